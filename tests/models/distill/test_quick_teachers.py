"""Teachers in their quickest form give the features that they gave, and training puts them back afterwards."""

from types import SimpleNamespace

import pytest
import torch
from helpers import small
from torch import nn

from datasets import FLOW, RGB
from engine.device.precision import autocast
from models import Classify, Distill, StreamNetwork
from models.distill import output_shapes
from models.distill.feature_mse import FeatureMSE
from workflows.training import session

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def clips() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels = {"rgb": 3, "flow": 2}
    batch = {
        n: torch.randint(0, 256, (3, c, 4, 32, 32), dtype=torch.uint8, generator=generator) for n, c in channels.items()
    }
    return batch | {"label": torch.tensor([0, 1, 2])}


def teacher() -> StreamNetwork:
    """With statistics and weights of batch norms that folding must get right."""
    network = small("resnet", 2)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm3d)):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return StreamNetwork(network, FLOW)


def distillation() -> Distill:
    student, flow = StreamNetwork(small("resnet"), RGB), teacher().eval()
    shapes = [output_shapes(model.network, (model.network.in_channels, 4, 32, 32)) for model in (student, flow)]
    return Distill(student, flow, [FeatureMSE(*shapes)]).train()


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize(("dtype", "amp", "most"), [(torch.float32, "off", 1e-5), (torch.bfloat16, "bf16", 1.5e-2)])
def test_features_of_a_quick_teacher_are_as_near_to_float32_as_those_in_mixed_precision(dtype, amp, most):
    task, batch = distillation(), clips()
    with torch.no_grad():
        truth = task.teachers[0](batch)
        with autocast(CPU, amp):
            mixed = task.teachers[0](batch)
            with task.quick_teachers(dtype):
                quick = task.teachers[0](batch)
    assert quick.features.keys() == truth.features.keys()
    for name, feature in truth.features.items():
        error = apart(quick.features[name], feature)
        assert error < most, name
        assert amp == "off" or error < 1.5 * apart(mixed.features[name], feature), name
        assert quick.features[name].dtype == mixed.features[name].dtype


def test_quick_teachers_are_folded_and_cast_once_for_the_time_of_a_training():
    task, batch = distillation(), clips()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    whole, (own,) = task(batch), task.teachers
    with task.quick_teachers(torch.bfloat16):
        (quick,) = task.teachers
        assert not any(isinstance(module, nn.BatchNorm3d) for module in quick.modules())
        assert {p.dtype for p in quick.parameters()} == {torch.bfloat16}
        assert not any(module.training for module in task.train().teachers.modules())
        assert not any(p.requires_grad for p in task.teachers.parameters())
        assert (quick.stream, quick.view) == (own.stream, own.view)
        with autocast(CPU, "bf16"):
            loss = task(batch)["loss"]
        loss.backward()
        assert loss.item() == pytest.approx(whole["loss"].item(), rel=0.02)
    assert list(task.teachers) == [own]
    torch.testing.assert_close(
        {k: v for k, v in task.state_dict().items() if k.startswith("teachers")},
        {k: v for k, v in state.items() if k.startswith("teachers")},
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize(
    ("device", "amp", "quick"),
    [(GPU, "bf16", True), (GPU, "fp16", True), (GPU, "off", False), (GPU, "tf32", False), (CPU, "bf16", False)],
)
def test_teachers_are_quick_in_mixed_precision_on_gpus_alone(device, amp, quick, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    task = distillation()
    (own,) = task.teachers
    with session.quick_teachers(SimpleNamespace(task=task, device=device, amp=amp)):
        assert (task.teachers[0] is own) == (not quick)


def test_a_task_without_teachers_has_none_to_quicken():
    task = Classify(teacher())
    with session.quick_teachers(SimpleNamespace(task=task, device=CPU, amp="off")):
        assert not hasattr(task, "teachers")
