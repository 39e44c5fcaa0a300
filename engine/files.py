"""Files that are either whole or not there, and what tells their content."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

CUT = 200  # characters of a name that its temporary one has


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name and rename it, so that a crash leaves the previous one in place.

    Args:
        path: Final name; its folder is made.
        write: Called with the open file.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:CUT]}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # writing and fsync do not say which file
        raise
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself must survive a power cut
    finally:
        os.close(folder)


def encoded(text: str) -> bytes:
    """A text in UTF-8, whatever the locale; what cannot be, as bytes of file names that are none, becomes escapes."""
    return text.encode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a text file as `encoded` has it, whole or not at all."""
    write_atomically(path, lambda file: file.write(encoded(text)))


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as `sha256sum` prints it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
