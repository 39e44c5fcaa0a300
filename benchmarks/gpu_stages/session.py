"""Session of stages with deadlines: its record is written after every stage and row, so that whatever ends it keeps it.

A stage that fails is recorded with its error, one that is late with its limit, and the next one begins.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.common.report import Record, environment
from sts_common.json_text import as_json
from sts_common.timing import event_seconds

ROOT = Path(__file__).resolve().parents[2]
LEAST = 8  # seconds that are worth beginning a stage for
RESERVE = 3  # seconds for the record

log = logging.getLogger(__name__)


class Late(BaseException):
    """A stage has used up its time. No `Exception`, so that nobody swallows it."""


@dataclass
class Session:
    """State that the stages of a GPU session share."""

    folder: Path  # of the record `gpu.json` and of what else is written
    work: Path  # folder of files that are of no use afterwards
    device: torch.device  # where it is measured
    end: float  # `time.monotonic()` at which all must be over
    dry: bool = False  # whether everything is tiny, to try the code
    # What was found, by stage.
    record: Record = field(default_factory=lambda: {"environment": environment(), "stages": {}})

    @property
    def gpu(self) -> bool:
        """Return whether there is a GPU."""
        return self.device.type == "cuda"

    @property
    def half(self) -> torch.dtype:
        """Return the format of convolutions: bf16 on a GPU."""
        return torch.bfloat16 if self.gpu else torch.float32

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()

    def save(self) -> None:
        """Write the record, whole or not at all."""
        part = self.folder / "gpu.json.part"
        part.write_text(as_json(self.record, indent=1) + "\n", "utf-8")
        part.replace(self.folder / "gpu.json")

    def run(self, name: str, most: float, stage: Callable[["Session", Record], None]) -> None:
        """Run a stage for at most so many seconds."""
        rows: Record = {}
        self.record["stages"][name] = rows
        seconds = min(most, self.left() - RESERVE)
        if seconds < LEAST:
            rows["skipped"] = "no time left"
        else:
            began = time.monotonic()
            with self.deadline(rows, seconds):
                stage(self, rows)
            rows["stage_seconds"] = round(time.monotonic() - began, 1)
        log.info("%s: %s", name, summary(rows))
        self.save()

    @contextlib.contextmanager
    def deadline(self, rows: Record, seconds: float) -> Any:
        """Note in `rows` how the block fails, or that it takes longer than so many seconds."""

        def late(*_: object) -> None:
            raise Late(f"more than {seconds:.0f} s")

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        except Late as error:
            rows["late"] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other stages are to run
            rows["error"] = "".join(traceback.format_exception(error))[-3000:]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if self.gpu:
                with contextlib.suppress(RuntimeError):
                    torch.cuda.synchronize()
                    torch.cuda.empty_cache()

    def row(self, rows: Record, name: str, measure: Callable[[], Any]) -> None:
        """Measure a row and write it down; an error of the device is its result."""
        try:
            rows[name] = measure()
        except RuntimeError as error:  # out of memory, no such kernel
            rows[name] = {"refused": str(error)[:400]}
        log.info("  %s: %s", name, rows[name])
        self.save()

    def seconds(self, call: Callable[[], Any], least: float = 0.2, most: int = 30) -> float:
        """Return the median seconds of a call, by events on a GPU, after two that are not counted."""
        for _ in range(2 if self.gpu else 0):
            call()
        times: list[float] = []
        while len(times) < (3 if self.gpu else 1) or (self.gpu and sum(times) < least and len(times) < most):
            times.append(self.once(call))
        return median(times)

    def once(self, call: Callable[[], Any]) -> float:
        """Return the seconds of one call."""
        if self.gpu:
            return event_seconds(call)
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    def host_seconds(self, call: Callable[[], Any]) -> float:
        """Return the seconds that the host alone takes to give a GPU the work of a call."""
        if self.gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        taken = time.perf_counter() - began
        if self.gpu:
            torch.cuda.synchronize()
        return taken

    def memory(self) -> float:
        """Return the most memory of the GPU in use since the last call, in GB; 0 on a CPU."""
        if not self.gpu:
            return 0.0
        peak = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return peak


def summary(rows: Mapping[str, Any]) -> str:
    """Return how a stage ended."""
    for end in ("skipped", "late", "error"):
        if end in rows:
            return f"{end}: {str(rows[end]).strip().splitlines()[-1]}"
    return f"done in {rows['stage_seconds']} s"


def run_process(words: Sequence[object], seconds: float, **env: str) -> tuple[int | None, str]:
    """Run Python with some words in a group of its own, in the root of the sources.

    Returns its exit code, None if it was killed because its time was up, and all that it printed.
    """
    return run_processes([(words, env)], seconds)[0]


def run_processes(
    jobs: Sequence[tuple[Sequence[object], Mapping[str, str]]], seconds: float
) -> list[tuple[int | None, str]]:
    """Run several processes side by side; each is given by its words and environment. Returns as `run_process`."""
    running = [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )
        for words, env in jobs
    ]
    end, ends = time.monotonic() + seconds, []
    try:
        for process in running:
            try:
                text, _ = process.communicate(timeout=max(1.0, end - time.monotonic()))
                ends.append((process.returncode, text))
            except subprocess.TimeoutExpired:
                kill(process)
                ends.append((None, process.communicate()[0]))
    finally:
        for process in running:
            kill(process)
    return ends


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
