"""Workers of a loader: number and kind, threads or processes."""

import atexit
import multiprocessing
import os
import signal
import threading
from multiprocessing.context import BaseContext
from pathlib import Path

import cv2
import torch

from sts_common import cores
from sts_common.processes import ensure_fork_server

from ..decoding.jpeg import native

try:
    import resource
except ImportError:  # not everywhere
    resource = None  # type: ignore[assignment]

LOADERS = ("auto", "threads", "processes")
FILES, FILES_PER_WORKER = 16, 8  # open while a training and a validation loader run, in addition to the present ones
MOST_WORKERS = 16  # of "auto": they read more clips per second than a GPU trains on


def default_workers() -> int:
    """Return the workers of this process: its cores, which all processes of a training on this machine share."""
    share = cores() // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return min(max(1, share), MOST_WORKERS)


def choose_workers(n_workers: int | str, useful: int) -> int:
    """Choose the number of workers, "auto" or given; more than the useful ones would have nothing to do."""
    return min(default_workers(), max(1, useful)) if n_workers == "auto" else int(n_workers)


def choose_loader(loader: str) -> str:
    """Choose the kind of workers, "threads" or "processes"; raises ValueError if there is nothing of that name."""
    if loader not in LOADERS:
        raise ValueError(f"--loader {loader}: there are {', '.join(LOADERS)}")
    if loader != "auto":
        return loader
    return "processes" if native.missing() else "threads"


def allow_open_files(workers: int) -> None:
    """Raise this process's limit of open files to what so many loader processes need.

    Raises ValueError if the system does not allow it.
    """
    descriptors = Path("/dev/fd")
    if resource is None or not descriptors.is_dir():
        return
    needed = sum(1 for _ in descriptors.iterdir()) + FILES + FILES_PER_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"--n_workers {workers}: loader processes need about {needed} open files, and {hard} are allowed: raise "
            "the limit, as with `ulimit -n 4096`, or use --loader threads or --n_workers 0"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def worker_context() -> BaseContext:
    """Return the start method of loader processes: forked from a server with their imports and without threads.

    Forked from this process they may hang: the thread pools of OpenCV and torch do not survive a fork.
    """
    atexit.unregister(end_workers)
    atexit.register(end_workers)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __package__])
    if threading.current_thread() is threading.main_thread():  # others cannot change how signals are taken
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server is deaf as well: it inherits this
        ensure_fork_server()
        signal.signal(signal.SIGTERM, before)
    return context


def end_workers() -> None:
    """End loader processes that an unfinished epoch left: deaf to SIGTERM, they would be waited for at the exit."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def start_worker(worker: int) -> None:
    """Keep a loader process to one thread, as the processes share the cores already, and deaf to Ctrl-C and SIGTERM.

    Both reach all processes of a run: the main one ends the step for which it still needs the others.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End when the training process has died: torch watches its parent's id, which here is that of the server."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
