"""The lines that a run begins with."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from engine.device import hardware
from engine.device.hardware import contention
from engine.training import summary
from engine.training.settings import RunSettings
from engine.training.summary import count_parameters, describe
from sts_common import size_in_words


def described(*, costs=(None, None), iter_size=1, build=torch.optim.SGD, amp="off", epoch=1) -> dict[str, str]:
    """The lines, by what they begin with, of a network of 10,000 weights that learn and 100 that do not."""
    task = nn.Linear(100, 100)
    task.bias.requires_grad_(False)
    run = SimpleNamespace(
        task=task,
        stepper=SimpleNamespace(optimizer=build([task.weight], lr=0.1), iter_size=iter_size),
        info={
            "options": {"batch_size": 32, "manual_seed": 7},
            "class_names": [str(i) for i in range(51)],
            "arch": "resnext-101",
        },
        files=SimpleNamespace(folder=Path("results") / "HMDB51"),
        device=torch.device("cpu"),
        settings=RunSettings(amp=amp),
        epoch=epoch,
    )
    train = type("Loader", (), {"dataset": range(8460), "__len__": lambda self: 264})()
    val = SimpleNamespace(dataset=range(940))
    rows = describe(run, train, val, clip_flops=costs[0], clip_bytes=costs[1])
    return dict(line.split(maxsplit=1) for line in rows)


def test_a_plain_run_is_described_and_what_is_unknown_left_out():
    rows = described()
    assert rows["data"] == "8,460 training and 940 validation videos of 51 classes"
    assert rows["network"] == "resnext-101: 10.0 k parameters learn, 100 are frozen"
    assert rows["batch"] == "32 clips a step"
    assert rows["epochs"] == "1 to 400, of 264 steps each: 105,600 steps"
    assert rows["device"].startswith("cpu (cpu, ")
    assert rows["device"].endswith("threads), fp32")
    assert f"torch {torch.__version__}" in rows["versions"]
    assert rows["seed"] == "7"
    assert rows["results"] == str(Path("results") / "HMDB51")


@pytest.mark.parametrize(("build", "states"), [(torch.optim.SGD, 1), (torch.optim.AdamW, 2)])
def test_costs_are_told_where_they_are_known_and_memory_counts_what_learns_more_than_once(build, states):
    memory = size_in_words(4 * (10_000 * (2 + states) + 100) + 32 * 1000)
    rows = described(costs=(50.8e9, 1000.0), build=build)
    assert rows["network"].endswith(f"frozen, 50.8 GFLOP per training clip, about {memory} per device")


def test_accumulation_and_processes_multiply_the_batch_and_accumulation_divides_the_steps(monkeypatch):
    monkeypatch.setattr(summary, "world", lambda: 4)
    rows = described(iter_size=5, epoch=399, amp="bf16")
    assert rows["batch"] == "32 clips x 5 batches x 4 processes = 640 a step"
    assert rows["epochs"] == "399 to 400, of 53 steps each: 106 steps"
    assert rows["device"].endswith("bf16")


def test_a_finished_run_has_no_steps_left():
    assert described(epoch=401)["epochs"].endswith(": 0 steps")


def test_parameters_are_counted_by_whether_they_learn_and_shared_ones_once():
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    second.weight = first.weight
    second.bias.requires_grad_(False)
    assert count_parameters(nn.Sequential(first, second)) == (15, 3)


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
