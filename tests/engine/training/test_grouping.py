"""Parameter groups that are alike are one while the optimiser steps, and as they were given in checkpoints."""

import copy

import pytest
import torch
from runs import differences
from torch import nn

from engine.training.creation import create_stepper
from engine.training.grouping import Grouping
from engine.training.settings import RunSettings
from engine.training.stepper import Stepper

CPU = torch.device("cpu")
RATES = (0.0, 0.0, 0.1, 0.05, 0.1, 0.1)  # of frozen layers, of those that learn, and of one with half of their rate


class Task(nn.Module):
    """Six weights, each a group of its own, as fine-tuning has them."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(3)) for _ in RATES)

    def loss(self) -> torch.Tensor:
        return torch.stack([(weight**2).sum() * (i + 1) for i, weight in enumerate(self.weights)]).sum()


def stepper_of(task: Task, **changes) -> Stepper:
    groups = [{"params": [weight], "lr": rate} for weight, rate in zip(task.weights, RATES, strict=True)]
    settings = RunSettings(**{"n_epochs": 10, "learning_rate": 0.1, "amp": "off"} | changes)
    return create_stepper(settings, task, groups, 4, CPU)


def steps(task: Task, stepper: Stepper, count: int) -> None:
    for _ in range(count):
        stepper.backward(task.loss(), 1)
        stepper.step()
        stepper.schedule.epoch(1.0)


@pytest.fixture
def never_joined(monkeypatch):
    """Groups stay as they are given, as they did before they were joined."""

    def build(task: Task, **changes) -> Stepper:
        with monkeypatch.context() as patch:
            patch.setattr(Grouping, "join", lambda self: None)
            stepper = stepper_of(task, **changes)
        stepper.grouping.groups, stepper.grouping.places = stepper.optimizer.param_groups, range(len(RATES))
        stepper.grouping.join = lambda: None
        return stepper

    return build


KINDS = [
    {"optimizer": optimizer, "lr_schedule": schedule, "lr_patience": 2, "lr_warmup": warmup}
    for optimizer in ("sgd", "adamw", "adam")
    for schedule, warmup in (("plateau", 0.0), ("cosine", 1.0), ("onecycle", 0.0))
]


def test_a_step_has_a_group_for_each_rate_and_a_checkpoint_one_for_each_that_was_given():
    task = Task()
    stepper = stepper_of(task)
    groups = stepper.optimizer.param_groups
    assert [(group["lr"], len(group["params"])) for group in groups] == [(0.0, 2), (0.1, 3), (0.05, 1)]
    steps(task, stepper, 2)
    state = stepper.state()
    assert [group["params"] for group in state["optimizer"]["param_groups"]] == [[i] for i in range(len(RATES))]
    assert [group["lr"] for group in state["optimizer"]["param_groups"]] == list(RATES) == state["scheduler"]["rates"]
    assert len(stepper.optimizer.param_groups) == 3  # afterwards they are joined again


@pytest.mark.parametrize("changes", KINDS, ids=lambda kind: f"{kind['optimizer']} {kind['lr_schedule']}")
def test_joined_groups_take_the_same_steps_and_leave_the_same_checkpoint_to_the_last_bit(changes, never_joined):
    task = Task()
    other = copy.deepcopy(task)
    joined, single = stepper_of(task, **changes), never_joined(other, **changes)
    assert len(single.optimizer.param_groups) == len(RATES) > len(joined.optimizer.param_groups)
    steps(task, joined, 6)
    steps(other, single, 6)
    assert differences(joined.state(), single.state()) == []
    assert [list(group) for group in joined.state()["optimizer"]["param_groups"]] == [
        list(group) for group in single.state()["optimizer"]["param_groups"]
    ]
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("changes", KINDS[:4], ids=lambda kind: f"{kind['optimizer']} {kind['lr_schedule']}")
def test_a_checkpoint_of_single_groups_is_gone_on_with_to_the_same_bits(changes, never_joined):
    task = Task()
    whole = never_joined(task, **changes)
    steps(task, whole, 3)
    other, state = copy.deepcopy(task), copy.deepcopy(whole.state())
    resumed = stepper_of(other, **changes)
    resumed.load(state, "old.pth")
    assert len(resumed.optimizer.param_groups) == 3
    steps(task, whole, 3)
    steps(other, resumed, 3)
    assert differences(whole.state(), resumed.state()) == []
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), other.parameters(), strict=True))


def test_groups_that_a_checkpoint_has_with_unlike_settings_are_not_joined():
    task = Task()
    stepper = stepper_of(task)
    steps(task, stepper, 1)
    state = copy.deepcopy(stepper.state())
    state["optimizer"]["param_groups"][4]["lr"] = 0.02
    other = stepper_of(copy.deepcopy(task))
    other.load(state, "edited.pth")
    assert [(group["lr"], len(group["params"])) for group in other.optimizer.param_groups] == [
        *((0.0, 2), (0.1, 2), (0.05, 1), (0.02, 1))
    ]
    assert other.state()["optimizer"]["param_groups"][4]["lr"] == 0.02
