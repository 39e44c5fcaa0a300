"""One run per folder."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO

LOCK = ".lock"


class Lock:
    """A folder that no other process writes to while in the block. The lock of a dead process does not count.

    Args:
        folder: Made if it is not there.

    Raises:
        ValueError: On entering, if another process has it; names its pid.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self.file: IO[str] | None = None

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it with the process
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise ValueError(
                f"{self.path.parent}: another run (pid {owner}) writes here; use another --result_path, or stop it"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self.file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file:  # the file stays: removed, two runs could lock two files of one name
            self.file.close()
