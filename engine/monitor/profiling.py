"""Profile of training steps: `--profile N`.

torch's `tensorboard_trace_handler` is not used: it names files by host and time, and a full disk leaves half of one.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from sts_common import counted
from sts_common.files import write_atomically

WARM_UP = 10  # steps that are left out: compiling, choosing kernels, starting workers
PROFILER_WARM_UP = 2  # steps that the profiler itself takes to start, of those left out
MAX_OPERATORS = 10  # operators that are named

log = logging.getLogger(__name__)


class Profile:
    """Profiler of some steps of training after a warm-up; writes a trace and names what took longest; for `with`.

    Training goes on meanwhile, more slowly, and as before afterwards. With 0 steps it does nothing. `trace.json.gz` in
    the folder is for https://ui.perfetto.dev or chrome://tracing.
    """

    def __init__(self, steps: int, device: torch.device, folder: Path) -> None:
        self.steps, self.gpu, self.path = steps, device.type == "cuda", folder / "trace.json.gz"
        self.profiler: profile | None = None
        self.seen = 0

    def __enter__(self) -> "Profile":
        if self.steps:
            kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.gpu else [])]
            plan = schedule(wait=WARM_UP - PROFILER_WARM_UP, warmup=PROFILER_WARM_UP, active=self.steps, repeat=1)
            # Events of several cycles, of which there is one: without, torch 2.11 warns as if there were more.
            self.profiler = profile(activities=kinds, schedule=plan, acc_events=True)
            self.profiler.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.profiler is None:
            return
        self.profiler.stop()
        self.profiler = None
        log.warning("--profile %d: the run had %d steps, after %d of warm-up", self.steps, self.seen, WARM_UP)

    def step(self) -> None:
        """End a step of training."""
        if self.profiler is None:
            return
        self.seen += 1
        finished, self.profiler = self.profiler, None  # one that fails here must not be stopped: torch would crash
        if self.seen < WARM_UP + self.steps:
            finished.step()
            self.profiler = finished
            return
        finished.stop()
        write_trace(finished, self.path)
        for line in report(finished, self.steps, self.gpu):
            log.info(line)
        log.info("%s: open it at https://ui.perfetto.dev", self.path)


def write_trace(finished: profile, path: Path) -> None:
    """Write a Chrome trace, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".trace") as folder:
        part = Path(folder) / path.name
        finished.export_chrome_trace(str(part))
        data = part.read_bytes()
    write_atomically(path, lambda file: file.write(data))


def report(finished: profile, steps: int, gpu: bool) -> list[str]:
    """Format the operators that took most time themselves, not counting those that they called."""
    times = operator_times(finished, gpu)
    total = max(sum(time for _, time, _ in times), 1e-9)
    worst = sorted(times, key=lambda row: -row[1])[:MAX_OPERATORS]
    where = "the GPU" if gpu else "the CPU"
    lines = [f"{counted(steps, 'step')}, {total / steps / 1000:.1f} ms each on {where}; most of it in"]
    return lines + [
        f"{100 * time / total:5.1f} %  {time / steps / 1000:8.2f} ms  {calls / steps:6g} calls  {name}"
        for name, time, calls in worst
    ]


def operator_times(finished: profile, gpu: bool) -> list[tuple[str, float, int]]:
    """Return name, microseconds and calls of every operator; a GPU's kernels count for the operator launching them."""
    events: Any = finished.key_averages()
    operators = [e for e in events if e.device_type == DeviceType.CPU and not e.key.startswith("ProfilerStep")]
    return [(e.key, e.self_device_time_total if gpu else e.self_cpu_time_total, e.count) for e in operators]
