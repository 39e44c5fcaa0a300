"""Processors of this machine, and how many of them the libraries take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Limit OpenCV and torch to one core in each thread of ours, which share the cores already."""
    import cv2  # `setup.py` and the command `sts` import this package, and need neither
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
