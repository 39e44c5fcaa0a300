"""What fine-tuning computes and what it leaves alone; smoothed labels."""

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models import Classify, Distill, StreamNetwork, frozen_norms, parameter_groups

STEM = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


class Stream:
    name, channels, mean, std = "rgb", 3, (127.5,) * 3, (50.0,) * 3


def is_trained(network: nn.Module, name: str, begin: int) -> bool:
    return network.stage_of(name) >= begin


def clip(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


def tuned(begin: int) -> nn.Module:
    torch.manual_seed(0)
    network = small("resnet").train()
    parameter_groups(network, begin, 0.1)
    return network


def parts(network: nn.Module, name: str) -> list[nn.Module]:
    """The modules that the network calls: a stage's blocks one by one."""
    module = network.get_submodule(name)
    return list(module) if isinstance(module, nn.Sequential) else [module]


def leaves(loss: torch.Tensor) -> set[int]:
    """Every parameter that the graph below `loss` would give a gradient."""
    found, seen, todo = set(), set(), [loss.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        todo += [parent for parent, _ in node.next_functions]
    return found


@pytest.mark.parametrize("begin", range(6))
def test_no_graph_is_recorded_below_the_first_trained_stage(begin):
    network, recorded = tuned(begin), {}
    for name in STEM:
        parts(network, name)[-1].register_forward_hook(
            lambda module, inputs, out, name=name: recorded.update({name: out.requires_grad})
        )
    loss = network(clip()).logits.square().mean()
    assert recorded == {name: is_trained(network, name, begin) for name in STEM}
    trained = {id(p) for name, p in network.named_parameters() if is_trained(network, name, begin)}
    assert leaves(loss) == trained
    loss.backward()
    assert {id(p) for p in network.parameters() if p.grad is not None} == trained


@pytest.mark.parametrize("begin", [3, 4, 5])
def test_the_backward_pass_costs_what_the_trained_stages_alone_cost(begin):
    network = tuned(begin)
    below = []
    first = STEM[begin + 1]
    parts(network, first)[0].register_forward_pre_hook(lambda module, inputs: below.append(inputs[0].detach()))
    loss = network(clip()).logits.square().mean()
    with FlopCounterMode(display=False) as whole:
        loss.backward()
    x = below[0]
    for name in STEM[begin + 1 : -1]:
        for block in network.get_submodule(name):
            x = F.relu(block(x))
    top = network.fc(x.mean((2, 3, 4)) if first != "fc" else x).square().mean()
    with FlopCounterMode(display=False) as alone:
        top.backward()
    assert whole.get_total_flops() == alone.get_total_flops() > 0


@pytest.mark.parametrize("begin", [1, 4, 5])
def test_frozen_stages_without_autograd_give_the_same_bits(begin):
    results = []
    for guarded in (False, True):
        network = tuned(begin)
        for name in STEM if guarded else ():
            for module in parts(network, name) if not is_trained(network, name, begin) else ():
                module.forward = torch.no_grad()(module.forward)
        loss = network(clip()).logits.square().mean()
        loss.backward()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        results.append([loss.detach(), *grads, *network.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(("begin", "partial"), [(0, False), (0, True), (2, False), (2, True), (5, True)])
def test_statistics_move_in_the_norms_that_are_not_frozen_alone(begin, partial):
    network = small("resnet")
    norms = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm3d)}
    expected = {name for name in norms if not is_trained(network, name, begin) or (partial and name != "bn1")}
    task = Classify(StreamNetwork(network, Stream()), frozen_norms(network, begin, partial)).train()
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}
    task({"rgb": torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8), "label": torch.tensor([0, 1])})
    assert {name for name, norm in norms.items() if torch.equal(norm.running_mean, before[name])} == expected


def test_frozen_norms_stay_frozen_when_they_are_synchronised_between_processes():
    network = small("resnet")
    task = Classify(StreamNetwork(network, Stream()), frozen_norms(network, 0, True))
    task = nn.SyncBatchNorm.convert_sync_batchnorm(task).train()
    norms = {name: m.training for name, m in task.model.network.named_modules() if isinstance(m, nn.SyncBatchNorm)}
    assert len(norms) > 1
    assert [name for name, training in norms.items() if training] == ["bn1"]


def batch() -> dict[str, torch.Tensor]:
    clips = torch.randint(0, 256, (4, 3, 8, 32, 32), dtype=torch.uint8)
    return {"rgb": clips, "label": torch.tensor([0, 1, 2, 3])}


def make(task: str, smoothing: float) -> nn.Module:
    torch.manual_seed(0)
    network = StreamNetwork(small("resnet"), Stream())
    if task == "classify":
        return Classify(network, label_smoothing=smoothing)
    return Distill(network, StreamNetwork(small("resnet"), Stream()), [], ce_weight=2.0, label_smoothing=smoothing)


@pytest.mark.parametrize(("task", "weight"), [("classify", 1.0), ("distill", 2.0)])
def test_labels_are_smoothed_in_training_alone(task, weight):
    data = batch()
    out = make(task, 0.2).train()(data)
    log_p = out["logits"].log_softmax(1)
    expected = -(0.8 * log_p[range(4), data["label"]] + 0.2 * log_p.mean(1)).mean() * weight
    torch.testing.assert_close(out["loss"], expected)
    tested = make(task, 0.2).eval()(data)
    torch.testing.assert_close(tested["loss"], F.cross_entropy(tested["logits"], data["label"]) * weight)
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match="--label_smoothing"):
            make(task, wrong)
