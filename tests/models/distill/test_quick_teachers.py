"""Teachers in their quickest form give the features that they gave, and training puts them back afterwards."""

from types import SimpleNamespace

import pytest
import torch
from helpers import small
from small_tasks import FLOW, RGB, make_batch, relative_error, shapes, with_statistics
from torch import nn

from engine.device.precision import autocast
from models import Classify, Distill, StreamNetwork
from models.distill.feature_mse import FeatureMSE
from workflows.training import session

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def distillation() -> Distill:
    student, teacher = StreamNetwork(small("resnet"), RGB), with_statistics("resnet", FLOW).eval()
    return Distill(student, teacher, [FeatureMSE(*shapes(student.network, teacher.network))]).train()


@pytest.mark.parametrize(("dtype", "amp", "most"), [(torch.float32, "off", 1e-5), (torch.bfloat16, "bf16", 1.5e-2)])
def test_features_of_a_quick_teacher_are_as_near_to_float32_as_those_in_mixed_precision(dtype, amp, most):
    task, batch = distillation(), make_batch(clips=3, frames=4)
    with torch.no_grad():
        truth = task.teachers[0](batch)
        with autocast(CPU, amp):
            mixed = task.teachers[0](batch)
            with task.quick_teachers(dtype):
                quick = task.teachers[0](batch)
    assert quick.features.keys() == truth.features.keys()
    for name, feature in truth.features.items():
        error = relative_error(quick.features[name], feature)
        assert error < most, name
        assert amp == "off" or error < 1.5 * relative_error(mixed.features[name], feature), name
        assert quick.features[name].dtype == mixed.features[name].dtype


def test_quick_teachers_are_folded_and_cast_once_for_the_time_of_a_training():
    task, batch = distillation(), make_batch(clips=3, frames=4)
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
    assert all(torch.equal(value, state[f"teachers.{name}"]) for name, value in task.teachers.state_dict().items())


@pytest.mark.parametrize(
    ("device", "amp", "quick"),
    [(GPU, "bf16", True), (GPU, "fp16", True), (GPU, "off", False), (GPU, "tf32", False), (CPU, "bf16", False)],
)
def test_teachers_are_quick_in_mixed_precision_on_gpus_alone(device, amp, quick, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    task = distillation()
    (own,) = task.teachers
    with session.quick_teachers(SimpleNamespace(task=task, device=device, settings=SimpleNamespace(amp=amp))):
        assert (task.teachers[0] is own) == (not quick)


def test_a_task_without_teachers_has_none_to_quicken():
    task = Classify(with_statistics("resnet"))
    with session.quick_teachers(SimpleNamespace(task=task, device=CPU, settings=SimpleNamespace(amp="off"))):
        assert not hasattr(task, "teachers")
