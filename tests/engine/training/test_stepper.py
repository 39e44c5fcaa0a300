"""From losses to weights: accumulation, clipping, loss scaling, and going on in the middle of an epoch."""

from collections import OrderedDict

import pytest
import torch
from runs import differences
from torch import nn

from engine import OPTIMIZERS, SCHEDULES, RunSettings, checkpoint
from engine.training.ema import Ema
from engine.training.optim import create_optimizer, create_schedule, learning_rate
from engine.training.stepper import Stepper, steps_per_epoch

BATCHES, EPOCHS = 7, 4


class Task(nn.Module):
    """A small network that keeps the contract of a task."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [
            ("hidden", nn.Linear(4, 6)),
            *([("norm", nn.BatchNorm1d(6))] if norm else []),
            ("fc", nn.Linear(6, 3)),
        ]
        self.model = nn.ModuleDict({"network": nn.Sequential(OrderedDict(layers))})

    def forward(self, batch):
        return {"loss": nn.functional.cross_entropy(self.model["network"](batch[0]), batch[1])}


PLAN = {"lr_patience": 0, "lr_step": 1, "lr_milestones": (1, 2), "lr_gamma": 0.5, "lr_warmup": 0.6, "n_epochs": EPOCHS}


def make(task: nn.Module, ema: bool = False, scaler=None, clip_grad: float = 0.0, **changes) -> Stepper:
    settings = RunSettings(**PLAN | changes)
    optimizer = create_optimizer([{"params": list(task.parameters()), "lr": settings.learning_rate}], settings)
    schedule = create_schedule(settings, optimizer, BATCHES, iter_size=settings.iter_size)
    average = Ema(task.model["network"], 0.9) if ema else None
    return Stepper(
        task, optimizer, schedule, iter_size=settings.iter_size, clip_grad=clip_grad, scaler=scaler, ema=average
    )


def batch(seed: int, size: int = 4, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 4, generator=generator, dtype=dtype), torch.randint(3, (size,), generator=generator)


def train(task: nn.Module, stepper: Stepper, epoch: int, first: int = 0, last: int = BATCHES) -> None:
    for i in range(first, last):
        stepper.backward(task(batch(100 * epoch + i))["loss"], stepper.group(i, BATCHES))
        if stepper.closes(i, BATCHES):
            stepper.step()
    if last == BATCHES:
        stepper.schedule.epoch(1.0)


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("iter_size", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("batches", [1, 6, 7])
def test_every_batch_belongs_to_one_step(iter_size, batches):
    stepper = make(Task(), iter_size=iter_size)
    sizes, members = [], 0
    for i in range(batches):
        members += 1
        if stepper.closes(i, batches):
            assert [stepper.group(j, batches) for j in range(i - members + 1, i + 1)] == [members] * members
            sizes.append(members)
            members = 0
    assert members == 0
    assert sum(sizes) == batches
    assert len(sizes) == steps_per_epoch(batches, iter_size)
    assert set(sizes[:-1]) <= {iter_size}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("size", [3, 5])
def test_accumulated_batches_are_one_large_batch_the_last_group_included(optimizer, clip, size):
    small, large = Task().double(), Task().double()
    micro = make(small, iter_size=size, clip_grad=clip, optimizer=optimizer)
    whole = make(large, iter_size=size, clip_grad=clip, optimizer=optimizer)
    parts = [batch(i, dtype=torch.float64) for i in range(BATCHES)]
    for i, part in enumerate(parts):
        micro.backward(small(part)["loss"], micro.group(i, BATCHES))
        if micro.closes(i, BATCHES):
            micro.step()
    for first in range(0, BATCHES, size):
        joined = tuple(torch.cat(column) for column in zip(*parts[first : first + size], strict=True))
        whole.backward(large(joined)["loss"], 1)
        whole.step()
    for a, b in zip(weights(small), weights(large), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert micro.schedule.steps == whole.schedule.steps


def test_a_gradient_is_clipped_by_its_norm_and_the_norm_is_told():
    task = Task()
    stepper = make(task, clip_grad=0.01)
    stepper.optimizer = torch.optim.SGD(task.parameters(), lr=1.0)
    before = torch.cat([value.flatten() for value in weights(task)])
    loss = task(batch(1))["loss"]
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(task.parameters()), retain_graph=True)])
    stepper.backward(loss, 1)
    norm = stepper.step()
    torch.testing.assert_close(norm, expected.norm())
    moved = before - torch.cat([value.flatten() for value in weights(task)])
    torch.testing.assert_close(moved, expected * 0.01 / expected.norm(), rtol=1e-3, atol=1e-7)
    assert all(p.grad is None for p in task.parameters())
    assert make(task).step() is None


def scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=1024.0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_skips_the_step_and_lowers_the_scale(optimizer, clip):
    task = Task()
    stepper = make(task, scaler=scaler(), clip_grad=clip, optimizer=optimizer)
    before = weights(task)
    stepper.backward(task(batch(1))["loss"] * float("inf"), 1)
    stepper.step()  # the very first one, which torch's own schedules would warn about
    assert same(before, weights(task))
    assert stepper.scaler.get_scale() == 512
    stepper.backward(task(batch(1))["loss"], 1)
    stepper.step()
    assert not same(before, weights(task))
    assert all(value.isfinite().all() for value in weights(task))
    assert stepper.schedule.steps == 2


def test_scaled_losses_give_the_same_weights_and_are_unscaled_before_clipping():
    plain, scaled = Task(), Task()
    for task, own in ((plain, None), (scaled, scaler())):
        train(task, make(task, scaler=own, clip_grad=0.05, iter_size=2), 1)
    for a, b in zip(weights(plain), weights(scaled), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [(1, 2), (2, 4), (3, 7)])
def test_a_run_goes_on_in_the_middle_of_an_epoch_bit_for_bit(optimizer, schedule, stop, tmp_path):
    def start() -> tuple[Task, Stepper]:
        task = Task(norm=True)
        own = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=5)
        settings = {"optimizer": optimizer, "lr_schedule": schedule, "iter_size": 2}
        return task, make(task, ema=True, scaler=own, clip_grad=0.5, **settings)

    epoch, done = stop
    task, stepper = start()
    for e in range(1, epoch):
        train(task, stepper, e)
    train(task, stepper, epoch, 0, done)
    checkpoint.save(tmp_path / "a.pth", {"state_dict": task.model["network"].state_dict(), **stepper.state()})

    other, resumed = start()
    state = checkpoint.load(tmp_path / "a.pth")
    other.model["network"].load_state_dict(state["state_dict"])
    resumed.load(state, "a.pth")
    for t, s in ((task, stepper), (other, resumed)):
        train(t, s, epoch, done)
        for e in range(epoch + 1, EPOCHS + 1):
            train(t, s, e)
    assert differences(task.state_dict(), other.state_dict()) == differences(stepper.state(), resumed.state()) == []


def test_averaged_weights_are_deployed_and_a_run_without_them_goes_on_from_the_trained_ones():
    task = Task(norm=True)
    stepper = make(task, ema=True)
    train(task, stepper, 1)
    state = stepper.state()
    own, average = weights(task), list(state["state_dict"].values())
    assert not same(own, average)
    with stepper.averaged():
        assert same(weights(task), average)
    assert same(weights(task), own)
    assert same(list(state["raw_state_dict"].values()), own)
    other = Task(norm=True)
    other.model["network"].load_state_dict(state["state_dict"])
    resumed = make(other)
    resumed.load(state, "a.pth")
    assert same(weights(other), own)
    with resumed.averaged():
        assert same(weights(other), own)


def test_a_published_checkpoint_has_no_more_than_an_optimiser_and_each_lack_is_said_once(caplog):
    task = Task()
    stepper = make(task)
    train(task, stepper, 1)
    published = {"optimizer": stepper.optimizer.state_dict()}
    for group in published["optimizer"]["param_groups"]:
        for key in ("fused", "foreach", "maximize", "differentiable"):  # unknown to older versions
            del group[key]
    other = make(Task(), ema=True, scaler=scaler())
    other.load(published, "x.pth")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all(line.startswith("x.pth: ") and "afresh" in line for line in lines)
    assert all(any(word in line for line in lines) for word in ("schedule", "scale", "EMA"))
    train(other.task, other, 2)


def strangers() -> dict[str, dict]:
    task, wide = Task(), Task()
    wide.model["network"].fc = nn.Linear(6, 5)
    made = make(task)
    train(task, made, 1)
    adam = make(task, optimizer="adamw")
    train(task, adam, 1)
    single = torch.optim.SGD([{"params": [p]} for p in task.parameters()], lr=0.1)
    other = make(wide)
    train(wide, other, 1)
    return {
        "absent": {},
        "empty": {"optimizer": {}},
        "of another kind": {"optimizer": adam.optimizer.state_dict()},
        "of other groups": {"optimizer": single.state_dict()},
        "of other shapes": {"optimizer": other.optimizer.state_dict()},
    }


@pytest.mark.parametrize("name", ["absent", "empty", "of another kind", "of other groups", "of other shapes"])
def test_an_optimiser_state_that_does_not_fit_is_left_out_with_a_warning(name, caplog):
    task = Task()
    stepper = make(task, learning_rate=0.03)
    stepper.load(strangers()[name], "x.pth")
    assert "x.pth: its optimizer state does not fit this run and starts afresh" in caplog.text
    assert stepper.optimizer.state_dict()["state"] == {}
    train(task, stepper, 1)


def test_another_schedule_starts_afresh_with_a_warning(caplog):
    task = Task()
    stepper = make(task, lr_schedule="cosine")
    train(task, stepper, 1)
    other = make(Task(), lr_schedule="step")
    other.load(stepper.state(), "x.pth")
    assert "x.pth: holds another learning-rate schedule" in caplog.text
    assert other.schedule.steps == 0
    assert learning_rate(other.optimizer) == pytest.approx(0.01)  # where the warm-up begins


def test_another_optimiser_learns_at_its_own_rate():
    task = Task()
    stepper = make(task, lr_schedule="cosine")
    train(task, stepper, 1)
    other = make(Task(), lr_schedule="cosine", optimizer="adamw", learning_rate=0.001)
    other.load(stepper.state(), "x.pth")
    assert other.schedule.steps == BATCHES
    assert learning_rate(other.optimizer) == pytest.approx(learning_rate(stepper.optimizer) / 100)


def test_how_a_step_is_computed_is_not_taken_from_a_checkpoint():
    task = Task()
    stepper = make(task)
    train(task, stepper, 1)
    state = stepper.state()
    for group in state["optimizer"]["param_groups"]:
        group["fused"], group["foreach"] = True, None
    other = make(Task())
    other.load(state, "a.pth")
    assert not other.optimizer.param_groups[0]["fused"]


def test_a_checkpoint_within_a_step_would_lose_gradients():
    task = Task()
    stepper = make(task, iter_size=2)
    stepper.backward(task(batch(0))["loss"], 2)
    with pytest.raises(AssertionError, match="gradients"):
        stepper.state()
