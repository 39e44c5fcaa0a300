"""Traces of a few steps."""

import gzip
import json
import re

import pytest
import torch

from engine.monitor import profiling
from engine.monitor.profiling import MAX_OPERATORS, WARM_UP, Profile

CPU = torch.device("cpu")


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO")
    return lambda: [record.getMessage() for record in caplog.records]


def train(steps: int, folder, after: int) -> list[float]:
    torch.manual_seed(0)
    weight = torch.randn(40, 40, requires_grad=True)
    losses = []
    with Profile(steps, CPU, folder) as profile:
        for _ in range(after):
            loss = (weight @ weight).square().mean()
            loss.backward()
            with torch.no_grad():
                weight -= 0.01 * weight.grad
                weight.grad = None
            losses.append(loss.item())
            profile.step()
    return losses


def test_a_trace_holds_the_steps_after_the_warm_up_and_the_worst_operators_are_told(tmp_path, lines):
    losses = train(3, tmp_path / "run", WARM_UP + 8)
    assert losses == train(0, tmp_path / "none", WARM_UP + 8)  # training is the same, and goes on
    trace = json.loads(gzip.decompress((tmp_path / "run" / "trace.json.gz").read_bytes()))
    assert sum(event["name"] == "aten::square" for event in trace["traceEvents"]) == 3
    first, *rest = lines()
    assert re.fullmatch(r"3 steps, [\d.]+ ms each on the CPU; most of it in", first)
    shares = [float(line.split("%")[0]) for line in rest[:-1]]
    assert len(shares) == MAX_OPERATORS
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 100.5
    assert any(re.search(r" 3 calls  aten::mm$", line) for line in rest)  # one forward, two backward
    assert "trace.json.gz: open it" in rest[-1]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["trace.json.gz"]
    assert not (tmp_path / "none").exists()


def test_no_steps_never_touch_the_profiler(tmp_path, monkeypatch, lines):
    monkeypatch.setattr(profiling, "profile", None)  # calling it would fail
    train(0, tmp_path / "run", 3)
    assert lines() == []


@pytest.mark.parametrize("after", [3, WARM_UP + 1])
def test_a_run_that_is_too_short_is_told_so(after, tmp_path, lines):
    train(5, tmp_path / "run", after)
    assert lines() == [f"--profile 5: the run had {after} steps, after 10 of warm-up"]
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_ends_its_profile(tmp_path):
    with pytest.raises(FloatingPointError), Profile(5, CPU, tmp_path) as profile:
        for _ in range(WARM_UP + 2):
            profile.step()
        raise FloatingPointError
    assert profile.profiler is None
    assert [*tmp_path.iterdir()] == []


class Failing:
    """A profiler whose step fails, for which torch warns; to stop one then crashes the process."""

    def __init__(self, **settings):
        self.settings, self.calls = settings, []

    def start(self):
        self.calls.append("start")

    def step(self):
        self.calls.append("step")
        raise UserWarning("Profiler clears events")

    def stop(self):
        self.calls.append("stop")


def test_a_profiler_that_fails_in_a_step_is_not_stopped(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(profiling, "profile", lambda **settings: made.append(Failing(**settings)) or made[-1])
    with pytest.raises(UserWarning, match="clears events"), Profile(2, CPU, tmp_path) as profile:
        profile.step()
    assert made[0].calls == ["start", "step"]
    assert made[0].settings["acc_events"]  # torch 2.11 warns without, though there is but one cycle


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_kernels_count_for_the_operators_that_launch_them(tmp_path, lines):
    device = torch.device("cuda")
    a = torch.randn(2048, 2048, device=device)
    with Profile(2, device, tmp_path) as profile:
        for _ in range(WARM_UP + 2):
            a = (a @ a) / 2048
            profile.step()
    assert "on the GPU" in lines()[0]
    assert lines()[1].endswith("aten::mm")
