"""Folders of decoded frames: one in memory that vanishes with its process, and files that are whole."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import lock_descriptor
from numpy.typing import NDArray

from sts_common.files import write_atomically

SHARED = Path("/dev/shm")
PREFIX = "sts_net-cache-"
OWNER = "owner"  # locked by the process that made the folder
MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")  # where a container's limit is
SPARED = 0.9  # part of the free memory that may be taken


class SharedMemory:
    """A folder in memory for all processes of this run; in the folder for temporary files where there is none.

    It is removed when this process ends. Those of processes that were killed are removed by the next one.
    """

    def __init__(self) -> None:
        base = SHARED if os.access(SHARED, os.W_OK) else Path(tempfile.gettempdir())
        remove_stale(base)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        lock = os.open(self.folder / OWNER, os.O_CREAT | os.O_RDWR, 0o600)
        lock_descriptor(lock)  # waits for a process that looks whether this one is alive
        self.folder.mkdir(exist_ok=True)  # and has perhaps found that it is not
        self.remove = weakref.finalize(self, release, self.folder, lock, os.getpid())


def release(folder: Path, lock: int, owner: int) -> None:
    """Remove a folder; processes that were forked from its owner do not."""
    if os.getpid() == owner:
        os.close(lock)  # first, for Windows removes no open file
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale(base: Path) -> None:
    """Remove folders whose process has died: the system has freed its lock."""
    for folder in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / OWNER, os.O_RDWR)
        except OSError:  # of another user, or just being made or removed
            continue
        try:
            if lock_descriptor(lock, blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def free_space(folder: Path, in_memory: bool) -> int:
    """Return the bytes that may be written to a folder, which need not be there yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    return min(free, int(SPARED * free_memory())) if in_memory else free


def free_memory() -> int:
    """Return the bytes of memory that this machine, or this container, can still give."""
    free = [2**62]
    if MEMORY.is_file():
        lines = (line.split() for line in MEMORY.read_text("utf-8").splitlines())
        free += [1024 * int(words[1]) for words in lines if words[0] == "MemAvailable:"]
    limit, used = GROUP / "memory.max", GROUP / "memory.current"
    if limit.is_file() and used.is_file() and (text := limit.read_text("utf-8").strip()).isdecimal():
        free.append(max(0, int(text) - int(used.read_text("utf-8"))))
    return min(free)


def write_array(target: Path, count: int, pieces: Iterable[NDArray[np.uint8]]) -> None:
    """Write a .npy file of `count` frames that come in pieces (n, H, W, C); it is whole or not there."""

    def write(file: BinaryIO) -> None:
        for number, piece in enumerate(pieces):
            if number == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *piece.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(piece).data)

    write_atomically(target, write)
