"""Pool of processes that end with the command that started them."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_process
from types import ModuleType
from typing import TypeVar

import cv2
import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

LEFT, WORKERS, IMAGES, SIZE = range(4)  # places in `SharedCounters.numbers`


class SharedCounters:
    """Counters shared by all processes of a command.

    Args:
        jobs: Jobs that are to be done.
        processes: Processes that do them, >= 1.
        cores: Threads over all processes, >= `processes`.
    """

    def __init__(self, jobs: int, processes: int, cores: int) -> None:
        self.processes, self.cores = processes, cores
        self.numbers = multiprocessing.get_context("spawn").Array("q", [jobs, 0, 0, 0])

    def add(self, place: int, amount: int) -> int:
        """Add to a counter; return its value before."""
        with self.numbers.get_lock():
            before = self.numbers[place]
            self.numbers[place] = before + amount
        return before

    def images_and_size(self) -> tuple[int, int]:
        """Return the images that count as progress, and bytes of all files, written so far."""
        with self.numbers.get_lock():
            return self.numbers[IMAGES], self.numbers[SIZE]

    def threads(self) -> int:
        """Return the threads for one job, >= 1: when fewer jobs are left than processes, each gets more cores."""
        return max(1, self.cores // max(1, min(self.processes, self.numbers[LEFT])))


@dataclass(frozen=True)
class Worker:
    """A process of the pool."""

    number: int  # 0, 1, ...
    counters: SharedCounters


current: Worker | None = None  # the one that this process is; a pool can hand it over in no other way


def map_unordered(
    function: Callable[[Job, Worker], Result], jobs: Sequence[Job], counters: SharedCounters
) -> Iterator[Result]:
    """Yield results of `function` in the order in which they are ready.

    Args:
        function: A function of a module, so that another process finds it.
        jobs: Its arguments.
        counters: With the number of processes; 1 works in this one.

    Raises:
        ValueError: If a process dies.
    """
    results = in_this_process if counters.processes == 1 else in_processes
    for result in results(function, jobs, counters):
        counters.add(LEFT, -1)
        yield result


def in_this_process(
    function: Callable[[Job, Worker], Result], jobs: Sequence[Job], counters: SharedCounters
) -> Iterator[Result]:
    """Do the same as `map_unordered` without other processes."""
    with single_threaded_libraries():
        yield from (function(job, Worker(0, counters)) for job in jobs)


def in_processes(
    function: Callable[[Job, Worker], Result], jobs: Sequence[Job], counters: SharedCounters
) -> Iterator[Result]:
    """Do the same as `map_unordered` in a pool."""
    context = worker_context(function.__module__)
    pool = ProcessPoolExecutor(counters.processes, context, initializer=start_worker, initargs=(counters,))
    waiting = iter(jobs)
    try:
        pending = submit(pool, function, islice(waiting, counters.processes))
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= submit(pool, function, islice(waiting, len(ready)))
            yield from (future.result() for future in ready)
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker process died (out of memory, or a video crashes the decoder); the folders .part-* in DST show "
            "at which videos: run again with fewer worker processes, or without these videos"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def submit(
    pool: ProcessPoolExecutor, function: Callable[[Job, Worker], Result], jobs: Iterable[Job]
) -> set[Future[Result]]:
    """Submit jobs to a pool, which starts its processes then.

    A process that starts runs the file of the program again, and so would do all that a program without
    `if __name__ == "__main__"` does, or fail where there is no such file, as for a program from standard input. No job
    needs anything of it.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        return {pool.submit(run, function, job) for job in jobs}
    finally:
        sys.modules["__main__"] = program


def worker_context(module: str) -> multiprocessing.context.BaseContext:
    """Return the start method: a fork of a server that has imported `module`, so that no worker imports it again.

    Forked from this process they may hang: the thread pools of OpenCV and torch do not survive a fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def start_worker(counters: SharedCounters) -> None:
    """Number a worker, and make it end at once with Ctrl-C or with its parent, however that dies."""
    global current
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: wait_for_process([parent.sentinel]) and os._exit(1), daemon=True).start()
    current = Worker(counters.add(WORKERS, 1), counters)


def run(function: Callable[[Job, Worker], Result], job: Job) -> Result:
    """Run a job in a process of a pool."""
    assert current is not None
    with single_threaded_libraries():
        return function(job, current)


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Limit OpenCV and torch to one core in each thread of ours, which share the cores already."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
