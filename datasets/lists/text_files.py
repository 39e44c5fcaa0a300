"""Text files of annotations: read once where they are small, line by line where they are large."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TextIO

LARGE = 64 * 2**20  # bytes of a file that is not kept
BLOCK = 2**20
ENCODING = "utf-8-sig"

kept: ContextVar[dict[Path, bytes] | None] = ContextVar("kept", default=None)


@contextmanager
def keep_files(files: dict[Path, bytes]) -> Iterator[None]:
    """Read each file that is not large once while this is open: its bytes are put into `files`, and taken from there.

    A large one is read from the disk whenever it is asked for, a block at a time.
    """
    token = kept.set(files)
    try:
        yield
    finally:
        kept.reset(token)


def read_text(path: Path) -> str:
    """Read a text file, unless it is among those that are kept.

    Raises FileNotFoundError if there is no such file, ValueError if it is not text.
    """
    return read_bytes(path).decode(ENCODING)


@contextmanager
def open_text(path: Path, newline: str) -> Iterator[TextIO]:
    """Open a text file to read its lines; `newline` as of `open`, raises as `read_text`."""
    files = kept.get() or {}
    stream: BinaryIO
    if path not in files and path.is_file() and path.stat().st_size > LARGE and is_text(path):
        stream = path.open("rb")
    else:
        stream = io.BytesIO(read_bytes(path))
    with io.TextIOWrapper(stream, ENCODING, newline=newline) as file:
        yield file


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a text file; raises as `read_text`."""
    files = kept.get()
    if files is None:
        return load(path)
    if path not in files:
        files[path] = load(path)
    return files[path]


def load(path: Path) -> bytes:
    """Read the bytes of a text file from the disk; raises as `read_text`."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise FileNotFoundError(f"{path}: no such file; check --annotation_path, --dataset and --split") from None
    try:
        data.decode(ENCODING)
        bad = data.find(b"\0")
    except UnicodeDecodeError as error:
        bad = error.start
    if bad >= 0:
        line = data.count(b"\n", 0, bad) + 1
        raise ValueError(f"{path}:{line}: not a text file; save it as UTF-8")
    return data


def is_text(path: Path) -> bool:
    """Whether a file is text, without holding all of it."""
    decoder = codecs.getincrementaldecoder(ENCODING)()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
                if b"\0" in block:
                    return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
