"""Optimisers that a task brings beside the run's: stepped at the same times, clipped and restored apart."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from engine.training.loop import Epoch, total_loss, train_one_epoch
from engine.training.schedules import Schedule, Warmup
from engine.training.stepper import Stepper

CPU = torch.device("cpu")
BATCHES = 5


class Game(nn.Module):
    """A network, and a judge of what it gives, whose gradients are apart."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"network": nn.Sequential(OrderedDict(fc=nn.Linear(4, 3)))})
        self.judge = nn.Linear(3, 1)
        self.blow = {"loss": 1.0, "own_loss_judge": 1.0}

    def own_optimizers(self):
        return {"judge": Adam(self.judge.parameters(), lr=0.05)}

    def forward(self, batch):
        given = self.model["network"](batch["rgb"])
        fixed = nn.functional.linear(given, self.judge.weight.detach(), self.judge.bias.detach())
        loss = given.square().mean() - fixed.mean() * 0.1
        own = (self.judge(given.detach()) - 1).square().mean()
        return {
            "loss": loss * self.blow["loss"],
            "own_loss_judge": own * self.blow["own_loss_judge"],
            "logits": given,
        }


def data(labels: bool = True) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    clips = [torch.randn(4, 4, generator=generator) for _ in range(BATCHES)]
    return [{"rgb": x} | ({"label": torch.tensor([0, 1, 2, 0])} if labels else {}) for x in clips]


def make(task: Game, **settings) -> Stepper:
    optimizer = SGD(task.model.parameters(), lr=0.1, momentum=0.9)
    return Stepper(task, optimizer, Schedule(optimizer, Warmup()), **settings)


def test_their_rates_are_those_of_the_epoch():
    task = Game()
    stepper = make(task)
    stepper.begin_epoch()
    assert stepper.loss_optimizers["judge"].param_groups[0]["lr"] == 0.05
    task.own_rates = lambda: {"judge": 0.005}
    stepper.begin_epoch()
    assert stepper.loss_optimizers["judge"].param_groups[0]["lr"] == 0.005
    assert stepper.optimizer.param_groups[0]["lr"] == 0.1


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def train(task: Game, stepper: Stepper, batches: list[dict]) -> None:
    for i, batch in enumerate(batches):
        stepper.backward(total_loss(task(batch)), stepper.group(i, len(batches)))
        if stepper.closes(i, len(batches)):
            stepper.step()


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_both_step_together_and_the_judge_is_not_clipped(size, clip):
    task, by_hand = Game(), Game()
    train(task, make(task, iter_size=size, clip_grad=clip), data())
    student, judge = SGD(by_hand.model.parameters(), lr=0.1, momentum=0.9), Adam(by_hand.judge.parameters(), lr=0.05)
    batches = data()
    for first in range(0, BATCHES, size):
        group = batches[first : first + size]
        for batch in group:
            out = by_hand(batch)
            (out["loss"] / len(group)).backward()
            (out["own_loss_judge"] / len(group)).backward()
        if clip:
            nn.utils.clip_grad_norm_(list(by_hand.model.parameters()), clip)
        for optimizer in (student, judge):
            optimizer.step()
            optimizer.zero_grad()
    for a, b in zip(weights(task), weights(by_hand), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("blown", ["loss", "own_loss_judge"])
def test_a_gradient_that_is_not_finite_skips_the_step_of_its_own_optimiser(blown):
    task = Game()
    stepper = make(task, scaler=torch.amp.GradScaler("cpu", init_scale=64.0), clip_grad=1.0)
    before = [weights(task.model), weights(task.judge)]
    task.blow[blown] = float("inf")
    train(task, stepper, data()[:1])
    kept = [same(a, b) for a, b in zip(before, (weights(task.model), weights(task.judge)), strict=True)]
    assert kept == [blown == "loss", blown == "own_loss_judge"]
    assert stepper.scaler.get_scale() == 32
    assert all(p.grad is None for p in task.parameters())


def test_loss_scaling_changes_nothing():
    found = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        task = Game()
        train(task, make(task, scaler=scaler, iter_size=2, clip_grad=0.05), data())
        found.append(weights(task))
    assert same(*found)


def test_its_state_is_restored_to_the_same_bits():
    whole = Game()
    train(whole, stepper := make(whole), data()[:3])
    state, task = copy.deepcopy(stepper.state()), Game()
    task.load_state_dict(whole.state_dict())
    resumed = make(task)
    resumed.load(state, "x.pth")
    for one, its in ((whole, stepper), (task, resumed)):
        train(one, its, data()[3:])
    assert same(weights(whole), weights(task))
    assert set(state["own_optimizers"]) == {"judge"}
    assert "own_optimizers" not in make_without().state()


def make_without() -> Stepper:
    task = Game()
    task.own_optimizers = dict
    return make(task)


@pytest.mark.parametrize("state", [None, {}, {"judge": {}}, {"judge": SGD([torch.zeros(2)], lr=1.0).state_dict()}])
def test_a_state_that_is_missing_or_of_another_optimiser_starts_afresh(state, caplog):
    stepper = make(Game())
    stepper.load(stepper.state() | {"own_optimizers": state}, "x.pth")
    assert "x.pth: its optimizer state of judge does not fit this run and starts afresh" in caplog.text
    assert stepper.loss_optimizers["judge"].state_dict()["param_groups"][0]["lr"] == 0.05


def test_its_settings_are_those_that_it_has_here():
    stepper = make(Game())
    state = stepper.state()
    state["own_optimizers"]["judge"]["param_groups"][0]["lr"] = 7.0
    stepper.load(state, "x.pth")
    assert stepper.loss_optimizers["judge"].param_groups[0]["lr"] == 0.05


def test_what_it_lowers_is_reported_beside_the_loss_and_checked():
    task = Game()
    means = train_one_epoch(task, data(), make(task), CPU, Epoch())
    assert {"loss", "own_loss_judge", "acc"} <= means.keys()
    task.blow["own_loss_judge"] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss became nan"):
        train_one_epoch(task, data(), make(task), CPU, Epoch())


def test_batches_without_labels_are_counted_by_their_clips():
    task = Game()
    means = train_one_epoch(task, data(labels=False), make(task), CPU, Epoch())
    assert "acc" not in means
    labelled = Game()
    expected = train_one_epoch(labelled, data(), make(labelled), CPU, Epoch())
    assert means["loss"] == expected["loss"]
    assert same(weights(task), weights(labelled))
