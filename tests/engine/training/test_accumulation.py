"""Several batches a step: processes exchange gradients once a step, which is that of one larger batch."""

from argparse import Namespace
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from engine.training.fit import Saving
from engine.training.loop import Epoch, train_one_epoch
from engine.training.schedules import Schedule, Warmup
from engine.training.settings import RunSettings
from engine.training.stepper import Stepper

CPU = torch.device("cpu")
BATCHES = 7


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, batch):
        logits = self.layer(batch["x"])
        return {"loss": nn.functional.cross_entropy(logits, batch["label"]), "logits": logits}


@pytest.fixture
def exchanges() -> Iterator[tuple[DistributedDataParallel, list[int]]]:
    """A shared task, and how many batches had been learned from at each exchange of gradients."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    task, seen, noted = Linear(), [], list[int]()
    task.register_forward_hook(lambda *call: seen.append(call))
    shared = DistributedDataParallel(task)

    def note(state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        noted.append(len(seen))
        done = torch.futures.Future[torch.Tensor]()
        done.set_result(bucket.buffer())
        return done

    shared.register_comm_hook(None, note)
    yield shared, noted
    dist.destroy_process_group()


def data() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(BATCHES, 2, 4, generator=generator)
    label = torch.randint(3, (BATCHES, 2), generator=generator)
    return [{"x": x[i], "label": label[i]} for i in range(BATCHES)]


def joined(batches: list[dict[str, torch.Tensor]], size: int) -> list[dict[str, torch.Tensor]]:
    groups = [batches[i : i + size] for i in range(0, len(batches), size)]
    return [{name: torch.cat([batch[name] for batch in group]) for name in group[0]} for group in groups]


def stepper(task: nn.Module, iter_size: int) -> Stepper:
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    return Stepper(task, optimizer, Schedule(optimizer, Warmup()), iter_size=iter_size)


@pytest.mark.parametrize(("iter_size", "wanted"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (9, [7])])
def test_gradients_are_exchanged_with_the_last_batch_of_a_step_alone(exchanges, iter_size, wanted):
    shared, noted = exchanges
    train_one_epoch(shared, data(), stepper(shared, iter_size), CPU, Epoch())
    assert noted == wanted


def test_an_epoch_of_accumulated_batches_is_one_of_larger_ones_the_last_step_included(exchanges):
    shared, _ = exchanges
    alone = Linear()
    alone.load_state_dict(shared.module.state_dict())
    train_one_epoch(shared, data(), stepper(shared, 3), CPU, Epoch())
    larger = joined(data(), 3)
    train_one_epoch(alone, larger, stepper(alone, 1), CPU, Epoch())
    torch.testing.assert_close(shared.module.layer.weight, alone.layer.weight)


def test_a_checkpoint_comes_with_the_end_of_the_step_that_its_batch_is_in(monkeypatch):
    saved: list[int] = []
    run = Namespace(step=0, settings=RunSettings(save_steps=4), epoch=1)
    run.checkpoints = Namespace(path=lambda epoch, step: step)
    saving = Saving(run, Namespace(agreed_signal=int), "epoch 1")
    monkeypatch.setattr(saving, "save", lambda path, metrics: saved.append(path))
    for done in (3, 6, 9, 12, 14):  # --iter_size 3
        saving.after_step(done, lambda: None)
    assert saved == [6, 9, 12]
