"""Files that are either whole or not there, and their hashes."""

import hashlib
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

MAX_NAME = 200  # characters of a name that its temporary one has
TEMPORARY = re.compile(r"\.(.*)\.[0-9a-f]{8}\.part", re.DOTALL)


def write_atomically(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    durable: bool = True,
    place: Callable[[Path, Path], object] | None = None,
) -> None:
    """Write a file under a temporary name and rename it, so that a crash leaves the previous one in place.

    Args:
        path: Final name; its folder is made.
        write: Called with the open file.
        durable: Wait for the disk, so that a power cut leaves the previous one in place, too.
        place: Gives the temporary file its final name, in place of a rename.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:MAX_NAME]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if place:
            place(part, path)
        else:
            part.replace(path)
    except OSError as error:
        if error.filename in (None, str(part)):  # writing and fsync do not say which file
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Delete what `write_atomically` left of these files, killed or on a worker that is thought dead."""
    names: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        names[path.parent].add(path.name[:MAX_NAME])
    for folder, known in names.items():
        for file in folder.iterdir() if folder.is_dir() else ():
            match = TEMPORARY.fullmatch(file.name)
            if match and match[1] in known:
                file.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder would survive a power cut."""
    if os.name == "nt":  # Windows opens no folders
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def encoded(text: str) -> bytes:
    """Encode a text in UTF-8, whatever the locale; bytes of file names that are not UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a text file as `encoded` has it, whole or not at all."""
    write_atomically(path, lambda file: file.write(encoded(text)))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as `sha256sum` prints it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(option: str, folder: Path) -> None:
    """Refuse a folder that can be neither written to nor made, and make nothing.

    Raises OSError, which names the place that is in the way, and the option that chose the folder.
    """
    place = existing_part(folder)
    if not place.is_dir():
        raise NotADirectoryError(f"{place}: is a file, where results are to go; use another {option}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"{place}: cannot be written to; use another {option}")


def existing_part(folder: Path) -> Path:
    """Return a folder, or the nearest of its parents that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
