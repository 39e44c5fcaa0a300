"""Processes of a run: what joins them, which group a tensor goes to, and what is exchanged."""

import warnings
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from engine.device import distributed
from engine.monitor.averages import Averages
from engine.training import fit
from engine.training.fit import parallel, with_shared_statistics
from engine.training.settings import RunSettings

CPU = torch.device("cpu")


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.layer(x))


@pytest.fixture
def group():
    """A group of one process, whose default backend takes no tensor of a CPU, as NCCL."""
    dist.init_process_group("cuda:gloo", store=dist.HashStore(), rank=0, world_size=1)
    distributed.cpu_groups.clear()
    yield
    dist.destroy_process_group()
    distributed.cpu_groups.clear()


@pytest.fixture
def two(group, monkeypatch):
    """It says that there are two."""
    monkeypatch.setattr(distributed, "world", lambda: 2)


def test_the_default_group_is_one_that_takes_no_tensor_of_a_cpu(group):
    with pytest.raises(RuntimeError, match="No backend type associated with device type cpu"):
        dist.all_reduce(torch.zeros(()))


def test_tensors_of_a_cpu_go_to_the_group_that_takes_them(two):
    tensor = torch.tensor([1.0, 2.0])
    assert distributed.sum_over_ranks(tensor) is tensor
    distributed.take_from_main(tensor)
    distributed.barrier()
    assert distributed.any_rank(True)
    assert not distributed.any_rank(False)
    assert tensor.tolist() == [1.0, 2.0]
    assert distributed.group_of(torch.device("cuda")) is None  # the default one, which is NCCL's


@pytest.mark.parametrize("values", [{}, {"loss": torch.tensor(0.5)}], ids=["no batches", "batches"])
def test_averages_are_summed_on_the_cpu_whether_a_process_had_batches_or_not(monkeypatch, values):
    """Or one process would wait in the group of its GPU, and another in that of its CPU."""
    devices = []
    monkeypatch.setattr("engine.monitor.averages.world", lambda: 2)
    monkeypatch.setattr("engine.monitor.averages.gather", lambda value: [value, ["loss"]])
    monkeypatch.setattr("engine.monitor.averages.sum_over_ranks", lambda sums: devices.append(sums.device) or sums)
    averages = Averages()
    averages.update(values, 4)
    assert averages.state() == {"loss": [2.0 if values else 0.0, 4 if values else 0]}
    assert devices == [CPU]


def test_nccl_is_told_its_gpu(monkeypatch):
    seen = []
    for name, value in (("LOCAL_RANK", "1"), ("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", seen.append)
    monkeypatch.setattr(dist, "init_process_group", lambda *words, **options: seen.append((words, options)))
    monkeypatch.setattr(dist, "new_group", lambda backend: seen.append(backend))
    monkeypatch.setattr(distributed.atexit, "register", lambda call: None)
    gpu = torch.device("cuda:1")
    assert distributed.start(torch.device("cuda")) == gpu
    assert seen == [gpu, (("nccl",), {"device_id": gpu}), "gloo"]
    distributed.cpu_groups.clear()


def test_without_a_group_a_task_is_not_wrapped():
    task = Normed()
    assert parallel(SimpleNamespace(task=task, device=CPU, settings=RunSettings())) is task


def test_a_single_process_of_a_group_is_wrapped_and_sends_no_statistics(group):
    run, sent = SimpleNamespace(task=Normed(), device=CPU, settings=RunSettings()), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shared = parallel(run)
    assert isinstance(shared, DistributedDataParallel)
    shared._sync_buffers = lambda: sent.append("buffers")  # of torch, before a forward pass
    shared(torch.randn(5, 4)).sum().backward()
    assert sent == []
    assert shared.module.norm.running_mean.abs().sum() > 0
    view = next(iter(shared.parameters())).grad
    assert view.untyped_storage().nbytes() > view.nbytes  # gradients are parts of what is exchanged


def test_a_gpu_without_a_number_can_be_wrapped(group, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        fit, "DistributedDataParallel", lambda task, **options: seen.update(options) or SimpleNamespace()
    )
    gpu = torch.device("cuda")
    parallel(SimpleNamespace(task=Normed(), device=gpu, settings=RunSettings()))
    assert (seen["device_ids"], seen["process_group"]) == ([gpu], None)


@pytest.mark.slow
def test_batch_norms_of_timm_keep_their_activations_when_they_share_statistics():
    layers = pytest.importorskip("timm.layers")
    task = nn.Sequential(nn.Conv2d(3, 4, 1), layers.BatchNormAct2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).eval()
    clips, parameters = torch.randn(2, 3, 5, 5), list(task.parameters())
    expected = task(clips)
    shared = with_shared_statistics(task)
    assert [isinstance(layer, nn.SyncBatchNorm) for layer in shared] == [False, True, False, True]
    assert all(a is b for a, b in zip(shared.parameters(), parameters, strict=True))
    assert torch.equal(shared(clips), expected)
