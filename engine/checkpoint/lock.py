"""Locks of run folders, and checks that a run can have its folder."""

import os
from pathlib import Path
from typing import IO

from filelock import lock_descriptor

from sts_common.files import check_writable

from ..command.naming import RunFiles
from ..device.distributed import is_main
from .rolling import Checkpoints

LOCK = ".lock"


def check_results(files: RunFiles, *, resuming: bool) -> None:
    """Refuse a result folder that the run cannot have, before anything is read or made.

    Raises OSError if the folder cannot be made or written to; ValueError if another run writes there, or a fresh run,
    one that is not `resuming`, would write over another.
    """
    if not is_main():  # the others write nothing
        return
    check_writable("--result_path", files.folder)
    if (files.folder / LOCK).exists():
        with Lock(files.folder):
            pass
    if not resuming:
        check_is_fresh(Checkpoints(files.checkpoint, files.best, 0))


def check_is_fresh(checkpoints: Checkpoints) -> None:
    """Refuse to begin a run where there is one of its names; raises ValueError if there is."""
    if checkpoints.existing():
        raise ValueError(
            f"{checkpoints.best.parent}: holds checkpoints of this run already: go on with --resume auto, "
            "use another --result_path or --run_name, or remove them"
        )


class Lock:
    """Lock on a folder, made if need be: no other process writes to it in the block.

    That of a dead process does not count. Raises ValueError on entering if another process has it, with its pid.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self.file: IO[str] | None = None

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+", encoding="utf-8")
        if not lock_descriptor(file.fileno(), blocking=False):  # the system lets go of it with the process
            file.seek(1)  # of the first byte, which Windows locks, nothing is read
            owner = file.read().strip() or "unknown"
            file.close()
            raise ValueError(
                f"{self.path.parent}: another run (pid {owner}) writes here; use another --result_path, or stop it"
            )
        file.truncate(0)
        file.write(f" {os.getpid()}\n")
        file.flush()
        self.file = file
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:  # the file stays: removed, two runs could lock two files of one name
            self.file.close()
