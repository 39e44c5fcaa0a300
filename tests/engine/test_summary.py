"""The lines that a run begins with."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from engine.device import hardware
from engine.device.hardware import contention
from engine.training.summary import Plan, count_parameters, describe, in_count, plan_of

PLAN = {
    "train_videos": 8460,
    "val_videos": 940,
    "classes": 51,
    "network": "resnext-101",
    "learn": 47_600_000,
    "frozen": 0,
    "batch_size": 32,
    "batches": 264,
    "epochs": 400,
    "amp": "off",
    "device": torch.device("cpu"),
    "seed": 7,
    "folder": Path("results") / "HMDB51",
}


def described(**changes) -> dict[str, str]:
    rows = describe(Plan(**PLAN | changes))
    return dict(line.split(maxsplit=1) for line in rows)


def test_a_plain_run_is_described_and_what_is_unknown_left_out():
    rows = described()
    assert rows["data"] == "8,460 training and 940 validation videos of 51 classes"
    assert rows["network"] == "resnext-101: 47.6 M parameters learn, 0 are frozen"
    assert rows["batch"] == "32 clips a step"
    assert rows["epochs"] == "1 to 400, of 264 steps each: 105,600 steps"
    assert rows["device"].startswith("cpu (cpu, ")
    assert rows["device"].endswith("threads), fp32")
    assert f"torch {torch.__version__}" in rows["versions"]
    assert rows["seed"] == "7"
    assert rows["results"] == str(PLAN["folder"])


def test_costs_are_told_where_they_are_known():
    rows = described(clip_flops=50.8e9, memory=10.2e9)
    assert rows["network"].endswith("frozen, 50.8 GFLOP per training clip, about 10.2 GB per device")


def test_accumulation_and_processes_multiply_the_batch_and_accumulation_divides_the_steps():
    rows = described(iter_size=5, ranks=4, first_epoch=399, amp="bf16")
    assert rows["batch"] == "32 clips x 5 batches x 4 processes = 640 a step"
    assert rows["epochs"] == "399 to 400, of 53 steps each: 106 steps"
    assert rows["device"].endswith("bf16")


def test_a_finished_run_has_no_steps_left():
    assert described(first_epoch=401)["epochs"].endswith(": 0 steps")


def test_parameters_are_counted_by_whether_they_learn_and_shared_ones_once():
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    second.weight = first.weight
    second.bias.requires_grad_(False)
    assert count_parameters(nn.Sequential(first, second)) == (15, 3)


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (512, "512"), (1500, "1.5 k"), (50.8e9, "50.8 G")])
def test_counts_are_short(value, text):
    assert in_count(value) == text


@pytest.mark.parametrize(("optimizer", "states"), [(torch.optim.SGD, 1), (torch.optim.AdamW, 2)])
def test_a_plan_is_made_of_the_run_and_memory_counts_what_learns_more_than_once(optimizer, states):
    task = nn.Linear(100, 100)
    task.bias.requires_grad_(False)
    run = SimpleNamespace(
        task=task,
        stepper=SimpleNamespace(optimizer=optimizer([task.weight], lr=0.1), iter_size=3),
        info={"options": {"batch_size": 8, "manual_seed": 7}, "class_names": ["a", "b"], "arch": "resnet-10"},
        files=SimpleNamespace(folder=Path("results")),
        device=torch.device("cpu"),
        amp="auto",
        epoch=2,
        epochs=5,
    )
    loader = SimpleNamespace(dataset=range(50))
    train = type("Loader", (), {"dataset": range(50), "__len__": lambda self: 6})()
    plan = plan_of(run, train, loader, clip_flops=1e9, clip_bytes=1000.0)
    assert plan.memory == 4 * (10_000 * (2 + states) + 100) + 8 * 1000
    assert (plan.learn, plan.frozen, plan.steps, plan.amp) == (10_000, 100, 2, "off")
    assert describe(plan)[3] == "epochs    2 to 5, of 2 steps each: 8 steps"
    assert plan_of(run, train, loader, clip_flops=None, clip_bytes=None).memory is None


@pytest.mark.parametrize(
    ("load", "threads", "policy", "device", "advised"),
    [
        (6.1, 2, None, "cpu", True),
        (1.9, 2, None, "cpu", False),
        (6.1, 1, None, "cpu", False),
        (6.1, 2, "passive", "cpu", False),
        (6.1, 2, "active", "cpu", False),
        (6.1, 2, None, "cuda", False),
    ],
)
def test_where_others_use_the_cores_threads_are_told_not_to_spin(load, threads, policy, device, advised, monkeypatch):
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    monkeypatch.setattr(hardware.os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    advice = contention(torch.device(device))
    assert ("load 6.1 on 2" in advice and "OMP_WAIT_POLICY=passive" in advice) if advised else advice == ""
