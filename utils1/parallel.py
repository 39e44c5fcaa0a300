"""Work spread over processes that end with the command that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_process
from typing import TypeVar

import cv2

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_unordered(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results of `function` in the order in which they are ready.

    Args:
        function: A function of a module, so that another process finds it.
        jobs: Its arguments.
        workers: Processes; 1 works in this one.

    Raises:
        ValueError: If a process dies.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(function, jobs)
        return
    # spawn: a forked child of a process that has imported torch may hang in its thread pools.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=start_worker)
    waiting = iter(jobs)
    try:
        pending = {pool.submit(function, job) for job in islice(waiting, workers)}
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {pool.submit(function, job) for job in islice(waiting, len(ready))}
            yield from (future.result() for future in ready)
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker process died (out of memory, or a video crashes the decoder); the folders .part-* in DST show "
            "at which videos: run again with fewer --workers, or without them"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker() -> None:
    """Make a worker use one core, and end at once with Ctrl-C or with its parent, however that dies."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: wait_for_process([parent.sentinel]) and os._exit(1), daemon=True).start()
