"""Workers that share the jobs of a command, and the counters in which they keep their progress."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

LEFT, WORKERS, IMAGES, SIZE = range(4)  # places in `Counters.numbers`


class Counters:
    """Counters of a process: jobs to be done, processes that do them, and threads over all of them, >= `processes`."""

    def __init__(self, jobs: int, processes: int, cores: int) -> None:
        self.processes, self.cores = processes, cores
        self.numbers: Any = [jobs, 0, 0, 0]
        self.lock: AbstractContextManager[Any] = threading.Lock()

    def add(self, place: int, amount: int) -> int:
        """Add to a counter; return its value before."""
        with self.lock:
            before: int = self.numbers[place]
            self.numbers[place] = before + amount
        return before

    def images_and_size(self) -> tuple[int, int]:
        """Return the images that count as progress, and bytes of all files, written so far."""
        with self.lock:
            return self.numbers[IMAGES], self.numbers[SIZE]

    def threads(self) -> int:
        """Return the threads for one job, >= 1: when fewer jobs are left than processes, each gets more cores."""
        return max(1, self.cores // max(1, min(self.processes, self.numbers[LEFT])))


class SharedCounters(Counters):
    """Counters shared by all processes of a command on this machine; arguments as those of `Counters`."""

    def __init__(self, jobs: int, processes: int, cores: int) -> None:
        super().__init__(jobs, processes, cores)
        self.numbers = multiprocessing.get_context("spawn").Array("q", self.numbers)
        self.lock = self.numbers.get_lock()


@dataclass(frozen=True)
class Worker:
    """A process that does jobs."""

    number: int  # 0, 1, ...; several GPUs are shared out by it
    counters: Counters  # of the command, or on a cluster of the job alone
    # A name of this attempt at the job, where a worker that is thought dead may still be at it; else "".
    attempt: str = ""


class LostJobError(Exception):
    """Several workers died during a job, perhaps by it."""


class Pool(NamedTuple, Generic[Job, Result]):
    """Workers that wait for jobs."""

    submit: Callable[[Job], "Future[Any]"]  # begins a job
    room: Callable[[], int]  # jobs that may be under way at a time, those included that wait for a worker
    result: Callable[["Future[Any]"], Result]  # result of a job that is done; raises what it raised, or LostJobError
