"""Fine-tuning: stages that learn and that stay as they are; smoothed labels."""

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from small_tasks import RGB, make_batch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engine.training.optim import create_optimizer, learning_rate
from engine.training.settings import RunSettings
from models import Classify, Distill, StreamNetwork, create_model, frozen_norms, parameter_groups

STEM = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


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
    task = Classify(StreamNetwork(network, RGB), frozen_norms(network, begin, partial)).train()
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}
    task(make_batch("flow", clips=2))
    assert {name for name, norm in norms.items() if torch.equal(norm.running_mean, before[name])} == expected


def test_frozen_norms_stay_frozen_when_they_are_synchronised_between_processes():
    network = small("resnet")
    task = Classify(StreamNetwork(network, RGB), frozen_norms(network, 0, True))
    task = nn.SyncBatchNorm.convert_sync_batchnorm(task).train()
    norms = {name: m.training for name, m in task.model.network.named_modules() if isinstance(m, nn.SyncBatchNorm)}
    assert len(norms) > 1
    assert [name for name, training in norms.items() if training] == ["bn1"]


def make(task: str, smoothing: float) -> nn.Module:
    torch.manual_seed(0)
    network = StreamNetwork(small("resnet"), RGB)
    if task == "classify":
        return Classify(network, label_smoothing=smoothing)
    return Distill(network, StreamNetwork(small("resnet"), RGB), [], ce_weight=2.0, label_smoothing=smoothing)


@pytest.mark.parametrize(("task", "weight"), [("classify", 1.0), ("distill", 2.0)])
def test_labels_are_smoothed_in_training_alone(task, weight):
    data = make_batch()
    out = make(task, 0.2).train()(data)
    log_p = out["logits"].log_softmax(1)
    expected = -(0.8 * log_p[range(4), data["label"]] + 0.2 * log_p.mean(1)).mean() * weight
    torch.testing.assert_close(out["loss"], expected)
    tested = make(task, 0.2).eval()(data)
    torch.testing.assert_close(tested["loss"], F.cross_entropy(tested["logits"], data["label"]) * weight)
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match="--label_smoothing"):
            make(task, wrong)


def rates_of(network: nn.Module, multiples: str, begin: int = 0) -> dict[str, tuple[float, float | None]]:
    """Rate and weight decay of each parameter by name; None where it is that of all."""
    groups = parameter_groups(network, begin, 1.0, multiples)
    told = {id(p): (group["lr"], group.get("weight_decay")) for group in groups for p in group["params"]}
    return {name: told[id(parameter)] for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("begin", [0, 1])
@pytest.mark.parametrize(("multiples", "head"), [("tsn", (1, 2)), ("tsm", (5, 10))])
def test_kinds_of_parameters_learn_at_the_multiples_of_tsn(multiples, head, begin):
    flow = create_model("vgg", 2, 5, depth=11, width=1 / 16, batch_norm=True, flow_stack=5)
    rates = rates_of(flow, multiples, begin)
    assert rates.pop("features.0.weight") == ((5.0 if not begin else 0.0), None)  # the stem, frozen from stage 1 on
    assert rates.pop("features.0.bias") == ((10.0 if not begin else 0.0), 0.0)
    assert rates.pop("fc.6.weight") == (head[0], None)
    assert rates.pop("fc.6.bias") == (head[1], 0.0)
    norms = {f"features.{i}" for i, module in enumerate(flow.features) if isinstance(module, nn.BatchNorm2d)}
    for name, told in rates.items():
        module, part = name.rsplit(".", 1)
        learns = 1.0 if not begin or flow.stage_of(name) >= begin else 0.0
        kind = (1.0, 0.0) if module in norms else (2.0, 0.0) if part == "bias" else (1.0, None)
        assert told == (learns * kind[0], kind[1]), name


def test_the_first_convolution_of_rgb_has_no_multiple_and_without_multiples_groups_are_as_ever():
    rgb = create_model("vgg", 3, 5, depth=11, width=1 / 16)
    rates = rates_of(rgb, "tsn")
    assert (rates["features.0.weight"], rates["features.0.bias"]) == ((1.0, None), (2.0, 0.0))
    (group,) = parameter_groups(rgb, 0, 0.1)
    assert group.keys() == {"params", "lr"}
    assert [id(p) for p in group["params"]] == [id(p) for p in rgb.parameters()]
    with pytest.raises(ValueError, match="--lr_multiples tsp: is none of off, tsn, tsm"):
        parameter_groups(rgb, 0, 0.1, "tsp")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_moves_kinds_of_parameters_by_their_multiples_and_the_log_has_the_rate_itself(optimizer):
    network = create_model("vgg", 2, 5, depth=11, width=1 / 16, flow_stack=5)
    settings = RunSettings(optimizer=optimizer, learning_rate=0.01, momentum=0.0, dampening=0.0, weight_decay=0.5)
    made = create_optimizer(parameter_groups(network, 0, 0.01, "tsm"), settings)
    assert learning_rate(made) == pytest.approx(0.01)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.step()
    for name, multiple, decays in (
        ("features.0.weight", 5, True),
        ("features.0.bias", 10, False),
        ("features.3.weight", 1, True),
        ("features.3.bias", 2, False),
        ("fc.6.weight", 5, True),
        ("fc.6.bias", 10, False),
    ):
        moved = before[name] - network.get_parameter(name).detach()
        step = torch.ones_like(moved) + (0.5 * before[name] if decays else 0)  # AdamW's first step is the sign as well
        torch.testing.assert_close(moved, 0.01 * multiple * step, rtol=1e-4, atol=1e-6, msg=name)
