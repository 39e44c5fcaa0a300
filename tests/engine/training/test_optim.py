"""Optimisers and learning-rate schedules, against closed formulas and against torch's own."""

import math
from argparse import Namespace
from dataclasses import asdict

import pytest
import torch
from torch import nn

from engine import RunSettings, build_settings, create_settings
from engine.training import optim
from engine.training.optim import OPTIMIZERS, SCHEDULES, create_optimizer, create_schedule, learning_rate, scaled_rate
from opts import parse_opts

STEPS, EPOCHS, RATE = 5, 8, 0.4


PLAN = {"lr_patience": 2, "lr_step": 3, "lr_milestones": (2, 5), "lr_gamma": 0.5, "n_epochs": EPOCHS}


def settings(**changes) -> RunSettings:
    return RunSettings(**{"learning_rate": RATE, "weight_decay": 0.0, **PLAN} | changes)


def make(optimizer: str = "sgd", rates: tuple[float, ...] = (RATE,), **changes):
    groups = [{"params": [nn.Parameter(torch.zeros(2))], "lr": rate} for rate in rates]
    made = create_optimizer(groups, settings(optimizer=optimizer, **changes))
    return made, create_schedule(settings(**changes), made, STEPS)


def rates_of(schedule: str, **changes) -> list[float]:
    """The rate of every step of a run."""
    optimizer, plan = make(lr_schedule=schedule, **changes)
    rates = []
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            rates.append(learning_rate(optimizer))
            plan.step()
        plan.epoch(1.0)
    return rates


def ramp(done: int, steps: int, factor: float = 0.1) -> float:
    return factor + (1 - factor) * done / steps if done < steps else 1.0


TOTAL = STEPS * EPOCHS
FORMULAS = {
    "step": lambda s, w: RATE * ramp(s, w) * 0.5 ** (s // STEPS // 3),
    "multistep": lambda s, w: RATE * ramp(s, w) * 0.5 ** ((s >= 2 * STEPS) + (s >= 5 * STEPS)),
    "cosine": lambda s, w: RATE * (ramp(s, w) if s < w else (1 + math.cos(math.pi * (s - w) / (TOTAL - w))) / 2),
}  # fmt: skip


@pytest.mark.parametrize("warmup", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("schedule", ["step", "multistep", "cosine"])
def test_rates_follow_their_formula(schedule, warmup):
    steps = math.ceil(warmup * STEPS)
    expected = [FORMULAS[schedule](s, steps) for s in range(TOTAL)]
    assert rates_of(schedule, lr_warmup=warmup) == pytest.approx(expected, rel=1e-12)


def test_the_plateau_falls_after_epochs_12_and_23_of_constant_loss():
    optimizer, plan = make(rates=(1.0,), lr_patience=10)
    rates = []
    for _ in range(25):
        plan.epoch(1.0)
        rates.append(learning_rate(optimizer))
    assert [epoch for epoch in range(2, 26) if rates[epoch - 1] < rates[epoch - 2]] == [12, 23]


def test_the_plateau_counts_from_the_end_of_its_warm_up():
    rates = rates_of("plateau", lr_warmup=1.4)  # 7 steps; the second epoch is the first to count
    assert rates[:8] == pytest.approx([RATE * ramp(s, 7) for s in range(8)])
    firsts = rates[::STEPS]
    assert firsts[2:5] == [RATE] * 3
    assert firsts[5:8] == pytest.approx([RATE / 10] * 3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("total", [2, 3, 10, 40])
def test_one_cycle_is_torchs_to_the_last_bit(optimizer, total):
    ours, _ = make(optimizer, (RATE, 0.0))
    plan = create_schedule(settings(lr_schedule="onecycle", n_epochs=1), ours, total)
    groups = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    theirs = create_optimizer(groups, settings(optimizer=optimizer))
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, [RATE, 0.0], total_steps=total)
    for step in range(total):
        for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert (a["lr"], a.get("momentum"), a.get("betas")) == (b["lr"], b.get("momentum"), b.get("betas"))
        if step + 1 < total:
            plan.step()
            theirs.step()
            reference.step()


@pytest.mark.parametrize("warmup", [0.2, 2.0])
def test_the_rise_of_one_cycle_is_its_warm_up(warmup):
    rates, steps = rates_of("onecycle", lr_warmup=warmup), round(warmup * STEPS)
    assert rates[steps - 1] == pytest.approx(RATE) == max(rates)
    assert steps == 1 or rates[0] == pytest.approx(RATE * 0.1)
    assert all(a > b for a, b in zip(rates[steps:], rates[steps + 1 :], strict=False))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 2.0])
def test_frozen_groups_stay_at_zero_and_no_rate_is_negative(schedule, warmup):
    optimizer, plan = make(rates=(0.0, RATE), lr_schedule=schedule, lr_warmup=warmup)
    rates = []
    for _ in range(TOTAL + 5):
        plan.step()
        assert optimizer.param_groups[0]["lr"] == 0 <= optimizer.param_groups[1]["lr"] <= RATE
        rates.append(learning_rate(optimizer))
    assert set(rates[TOTAL:]) == {rates[TOTAL - 1]}, "a run longer than planned goes on at its last rate"


def test_steps_are_counted_in_groups_of_batches():
    rates = []
    for batches, iter_size in ((5, 1), (10, 2), (9, 2), (13, 3)):
        made, _ = make()
        plan = create_schedule(settings(lr_schedule="cosine"), made, batches, iter_size=iter_size)
        rates.append([plan.step() or learning_rate(made) for _ in range(TOTAL)])
    assert rates[0] == rates[1] == rates[2] == rates[3]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [3, 7, 10, 26])
def test_a_schedule_goes_on_where_it_stopped(schedule, stop):
    kwargs = {"rates": (0.0, RATE), "lr_schedule": schedule, "lr_warmup": 1.4}

    def go_on(optimizer, plan, first, last):
        rates = []
        for step in range(first, last):
            if step and step % STEPS == 0 and step != first:
                plan.epoch(1.0)
            rates.append([group["lr"] for group in optimizer.param_groups])
            plan.step()
        return rates

    whole = go_on(*make(**kwargs), 0, TOTAL)
    optimizer, plan = make(**kwargs)
    go_on(optimizer, plan, 0, stop)
    if stop % STEPS == 0:
        plan.epoch(1.0)
    again, resumed = make(**kwargs)
    again.load_state_dict(optimizer.state_dict())
    resumed.load(plan.state())
    assert resumed.state() == plan.state()
    assert go_on(again, resumed, stop, TOTAL) == whole[stop:]


def test_another_optimiser_keeps_its_own_rates_at_the_same_position():
    for schedule in SCHEDULES:
        _, plan = make(lr_schedule=schedule)
        for _ in range(10):
            plan.step()
        other, fresh = make("adamw", (RATE / 100,), lr_schedule=schedule)
        fresh.load(plan.state(), rates=False)
        assert learning_rate(other) == pytest.approx(learning_rate(plan.optimizer) / 100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_warmup": -1.0}, "--lr_warmup must be"),
        ({"lr_warmup": 8.0}, "below --n_epochs 8"),
        ({"lr_warmup": float("nan")}, "--lr_warmup must be"),
        ({"lr_warmup_factor": 0.0}, "--lr_warmup_factor"),
        ({"lr_gamma": 2.0}, "--lr_gamma"),
        ({"lr_schedule": "step", "lr_step": 0}, "--lr_step"),
        ({"lr_schedule": "multistep", "lr_milestones": [5, 2]}, "--lr_milestones"),
        ({"lr_schedule": "multistep", "lr_milestones": []}, "--lr_milestones"),
        ({"lr_schedule": "multistep", "lr_milestones": [0]}, "--lr_milestones"),
        ({"lr_schedule": "linear"}, "--lr_schedule linear: is none of plateau, step, multistep, cosine, onecycle"),
        ({"optimizer": "lion"}, "--optimizer lion: is none of sgd, adamw"),
    ],
)
def test_options_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_dampening_makes_the_steady_step_the_rate_times_the_gradient():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = create_optimizer([{"params": [weight], "lr": 0.1}], settings())
    for _ in range(200):
        weight.grad = torch.ones(1)
        optimizer.step()
    assert -weight.item() == pytest.approx(20.0, rel=0.05)


def test_nesterov_switches_dampening_off():
    optimizer, _ = make(nesterov=True)
    assert optimizer.param_groups[0]["dampening"] == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_is_fused_on_a_gpu_only(optimizer):
    assert not make(optimizer)[0].param_groups[0]["fused"]


@pytest.mark.parametrize(("amp", "fused"), [("off", True), ("bf16", True), ("fp16", None)])
def test_a_step_that_a_loss_scale_may_leave_out_is_not_fused(amp, fused, monkeypatch):
    monkeypatch.setattr(optim, "resolve", lambda device, amp: amp)
    on_gpu = [{"params": [Namespace(device=torch.device("cuda", 0))]}]
    assert optim.fuses(on_gpu, amp) is fused


def test_a_first_step_that_overflows_leaves_no_momentum_behind():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS["sgd"]([{"params": [weight]}], settings(learning_rate=0.1, weight_decay=0.0))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for factor in (math.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale((factor * weight).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    torch.testing.assert_close(weight.data, torch.full((3,), 0.9))


def test_the_logged_rate_is_that_of_the_layers_that_learn():
    assert learning_rate(make(rates=(0.0, 0.01))[0]) == 0.01


def test_a_rate_is_scaled_only_when_asked_and_says_so(caplog):
    caplog.set_level("INFO")
    assert scaled_rate(0.1, 20, 4, 8, 0) == 0.1
    assert caplog.text == ""
    assert scaled_rate(0.1, 20, 4, 8, 64) == pytest.approx(1.0)
    assert "640 clips" in caplog.text
    with pytest.raises(ValueError, match="--lr_scale_base"):
        scaled_rate(0.1, 20, 4, 8, -1)


def test_settings_are_the_options_with_their_defaults():
    defaults = parse_opts([])
    for name, value in asdict(RunSettings()).items():
        assert getattr(defaults, name) == (list(value) if isinstance(value, tuple) else value), name
    assert build_settings(defaults) == create_settings(lr_milestones=[200, 300])


def test_a_setting_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"^rate=0\.1: no setting of a training; there are .*learning_rate"):
        create_settings(rate=0.1)
