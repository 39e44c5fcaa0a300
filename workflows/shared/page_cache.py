"""Page cache of the system: files that it keeps in memory."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path


def forget(place: Path) -> bool:
    """Ask the system to drop what it keeps of a video from memory, by its folder, file, or files without endings.

    Returns whether it can be asked; it may do otherwise, and a folder in memory alone stays there.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in files_of(place):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def files_of(place: Path) -> Iterator[Path]:
    """Return the files of a video."""
    if place.is_dir():
        yield from (path for path in place.rglob("*") if path.is_file())
    elif place.is_file():
        yield place
    else:
        yield from place.parent.glob(f"{glob.escape(place.name)}.*")
