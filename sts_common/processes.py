"""Pool of processes that end with the command that started them."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for_process
from types import ModuleType
from typing import TypeVar

from .commands import HERE
from .processors import single_threaded_libraries
from .workers import WORKERS, Counters, Pool, Worker

Job = TypeVar("Job")
Result = TypeVar("Result")

SITE_PACKAGES = ("site-packages", "dist-packages")  # names of folders that Python has on its path anyway
current: Worker | None = None  # the one that this process is; a pool can hand it over in no other way


@contextmanager
def this_process(function: Callable[[Job, Worker], Result], counters: Counters) -> Iterator[Pool[Job, Result]]:
    """Yield a pool that does a job at once, in this process."""
    worker = Worker(0, counters)

    def work(job: Job) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(function(job, worker))
        return future

    with single_threaded_libraries():
        yield Pool(work, lambda: 1, Future.result)


@contextmanager
def processes(function: Callable[[Job, Worker], Result], counters: Counters) -> Iterator[Pool[Job, Result]]:
    """Yield a pool of processes of this machine; at the end, jobs that wait are dropped.

    Raises ValueError if a process dies.
    """
    context = worker_context(function.__module__)
    pool = ProcessPoolExecutor(counters.processes, context, initializer=start_worker, initargs=(counters,))
    try:
        yield Pool(partial(submit, pool, function), lambda: counters.processes, Future.result)
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker process died (out of memory, or a video crashes the decoder); the folders .part-* in DST show "
            "at which videos: run again with fewer worker processes, or without these videos"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def submit(pool: ProcessPoolExecutor, function: Callable[[Job, Worker], Result], job: Job) -> Future[Result]:
    """Submit a job to a pool, which starts its processes then."""
    with hidden_program():
        return pool.submit(run, function, job)


@contextmanager
def hidden_program() -> Iterator[None]:
    """Keep processes that start from running the file of the program again.

    They would do all that a program without `if __name__ == "__main__"` does, or fail where there is no such file, as
    for a program from standard input. No job needs anything of it.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def run_isolated(function: Callable[..., Result], *arguments: object) -> Result | None:
    """Call a function in a process of its own; returns None if the process dies of it."""
    with ProcessPoolExecutor(1, worker_context(function.__module__)) as pool:
        with hidden_program():
            future = pool.submit(function, *arguments)
        try:
            return future.result()
        except BrokenProcessPool:
            return None


def worker_context(module: str) -> multiprocessing.context.BaseContext:
    """Return the start method: a fork of a server that has imported `module`, so that no worker imports it again.

    Forked from this process they may hang: the thread pools of OpenCV and torch do not survive a fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    ensure_fork_server()
    return context


def ensure_fork_server() -> None:
    """Start the server that workers are forked from, unless it runs, with the packages on its path.

    Until Python 3.13 it is not told this process's path (https://github.com/python/cpython/issues/117378): started in
    any other folder than that of the packages it would import nothing, and so every worker all.
    """
    before = os.environ.get("PYTHONPATH")
    sources = [] if HERE.name in SITE_PACKAGES else [str(HERE)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*sources, *filter(None, [before])])
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def start_worker(counters: Counters) -> None:
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
