"""Times that other work on the machine disturbs least: CPU time, and ratios of what ran in turn."""

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import Any, NamedTuple, TypeVar

import torch

Key = TypeVar("Key", bound=Hashable)

LEAST_CPU = 0.03  # seconds: quicker calls are repeated, so that the clock's grain does not count
MOST_CALLS = 30
LEAST_GPU = 0.5  # seconds


def cpu_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU time of all threads of this process in one call (mean of several if it is quick), and its result."""
    spent, calls = 0.0, 0
    while not calls or (spent < LEAST_CPU and calls < MOST_CALLS):
        start = time.process_time()
        result = call()
        spent += time.process_time() - start
        calls += 1
    return spent / calls, result


class Seconds(NamedTuple):
    """Seconds of a call by the clock, and of CPU time of all threads."""

    wall: float
    cpu: float


def alternated(calls: Mapping[Key, Callable[[], Any]], rounds: int) -> list[dict[Key, Seconds]]:
    """Time each call in each round; in every other round they run in reverse order."""
    times: list[dict[Key, Seconds]] = []
    for number in range(rounds):
        times.append({})
        for name in list(calls)[:: -1 if number % 2 else 1]:
            wall, cpu = time.perf_counter(), time.process_time()
            calls[name]()
            times[-1][name] = Seconds(time.perf_counter() - wall, time.process_time() - cpu)
    return times


def gpu_seconds(call: Callable[[], Any]) -> float:
    """Return the median time between two CUDA events around a call, over half a second of calls after a first one."""
    call()
    times: list[float] = []
    while sum(times) < LEAST_GPU:
        times.append(event_seconds(call))
    return median(times)


def event_seconds(call: Callable[[], Any]) -> float:
    """Return the time between two CUDA events around one call."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
