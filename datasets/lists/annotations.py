"""Reading annotation files: every error names file and line, and the first problems are reported together."""

import csv
import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

from sts_common import counted

from .entries import Entry, Segment

SHOWN = 20  # problems that are named one by one
KEPT = 10_000  # numbers whose text has been parsed, for lists repeat them
MAX_CLASSES = 100_000  # a mistyped index would otherwise fill the memory with names
PECULIAR = {"", ".", ".."}  # parts that make a path another one than it seems
ENDINGS = "3gp asf avi divx dv f4v flv gif m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv"
VIDEOS = tuple(f".{ending}" for ending in ENDINGS.split())
LONGEST = max(map(len, VIDEOS))

WHOLE = re.compile(r"\d{1,9}\.\d*(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
BYTE = re.compile(r"\\u(dc[89a-f][0-9a-f])")  # as `sts_common.files.encoded` writes a byte that is no UTF-8

Row = TypeVar("Row")

log = logging.getLogger(__name__)
kept: ContextVar[dict[Path, str] | None] = ContextVar("kept", default=None)


@contextmanager
def keep_texts(texts: dict[Path, str]) -> Iterator[None]:
    """Read each file once while this is open: `read_text` puts its text into `texts`, and takes it from there."""
    token = kept.set(texts)
    try:
        yield
    finally:
        kept.reset(token)


def read_text(path: Path) -> str:
    """Read a text file, unless it is among the texts that are kept.

    Raises FileNotFoundError if there is no such file, ValueError if it is not text.
    """
    texts = kept.get()
    if texts is None:
        return decode_text(path)
    if path not in texts:
        texts[path] = decode_text(path)
    return texts[path]


def decode_text(path: Path) -> str:
    """Read a text file from the disk; raises as `read_text`."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise FileNotFoundError(f"{path}: no such file; check --annotation_path, --dataset and --split") from None
    try:
        text = data.decode("utf-8-sig")
        bad = text.find("\0")
        line = text.count("\n", 0, bad) + 1
    except UnicodeDecodeError as error:
        bad, line = error.start, data.count(b"\n", 0, error.start) + 1
    if bad >= 0:
        raise ValueError(f"{path}:{line}: not a text file; save it as UTF-8")
    return text


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the non-empty lines of a text file with their place, "FILE:LINE"; raises as `read_text`."""
    return parse_lines(path, read_text(path))


def parse_lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of the text of a file, see `read_lines`."""
    file = f"{path}:"
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if content := line.strip():
            yield f"{file}{number}", content


def read_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Yield the non-empty rows of a CSV file with the place of their first line, "FILE:LINE".

    Raises as `read_text`, and ValueError if its quotes do not end.
    """
    return parse_rows(path, read_text(path), delimiter)


def parse_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of the text of a file, see `read_rows`."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        place = f"{path}:{reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{place}: {error}") from None
        if row is None:
            return
        if any(field.strip() for field in row):
            yield place, row


def collect(rows: Iterable[tuple[str, Row]], parse: Callable[[Row], Entry]) -> list[Entry]:
    """Parse rows with their places. Duplicates are dropped with a warning.

    The ValueError of `parse` is the reason alone. Raises one of the first `SHOWN` problems, if rows cannot be read, or
    list a video under two classes.
    """
    entries: dict[tuple[str, Segment | None], tuple[Entry, str]] = {}
    problems, repeats = [], []
    for place, row in rows:
        try:
            entry = parse(row)
            first, first_place = entries.setdefault((entry.path, entry.segment), (entry, place))
            if first.label != entry.label:
                raise ValueError(f"{entry.name!r} is also listed at {first_place}, as another class")
            if first_place != place:
                repeats.append(f"{place}: {entry.name!r} is also listed at {first_place}")
        except ValueError as error:
            problems.append(f"{place}: {error}")
    stop_at(problems)
    if repeats:
        log.warning("%s; %s left out", repeats[0], counted(len(repeats), "repeated line"))
    return [entry for entry, _ in entries.values()]


def stop_at(problems: list[str]) -> None:
    """Raise a ValueError of the first problems, if there are any."""
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise ValueError("; ".join(problems[:SHOWN]) + more)


def check_path(path: str) -> str:
    r"""Normalise a listed path; `\udce9` in it is the byte E9 of a file name that is no UTF-8.

    Raises ValueError if it names nothing, or leads out of the root of the videos.
    """
    path = BYTE.sub(lambda match: chr(int(match[1], 16)), path) if "\\udc" in path else path
    if not PECULIAR.intersection(path.split("/")) and "\0" not in path:
        return path
    plain = PurePosixPath(path)
    if "\0" in path or not plain.parts:
        raise ValueError(f"{path!r} names no video")
    if plain.is_absolute() or ".." in plain.parts:
        raise ValueError(f"{path!r} leads out of the folder of the videos, to which paths are relative")
    return str(plain)


@lru_cache(KEPT)
def whole_number(text: str) -> str:
    """Return the digits of a whole number of at most nine, also in the form 2.0 (pandas) or 2.000e+00 (NumPy).

    That is "2" for "2", "2.0", "2." and " 2.00e+00 ", and "" for what is none.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return text if len(text) < 10 else ""
    if not WHOLE.fullmatch(text):
        return ""
    value = float(text)
    return str(int(value)) if value < 1e9 and value.is_integer() else ""


@lru_cache(KEPT)
def parse_index(text: str, first: int = 0, count: int = MAX_CLASSES) -> int:
    """Parse a class index counted from `first` into one counted from 0; raises ValueError if it is none."""
    if not (number := whole_number(text)):
        raise ValueError(f"{text[:80]!r} is not a class index from {first} on")
    if not first <= int(number) < first + count:
        raise ValueError(f"class index {text} is outside {first} to {first + count - 1}")
    return int(number) - first


def number_names(rows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Number class names in the order of the rows; raises ValueError if a name comes twice."""
    index: dict[str, int] = {}
    for place, name in rows:
        if name in index:
            raise ValueError(f"{place}: class {name!r} is listed twice")
        index[name] = len(index)
    return index


def stem(video: str) -> str:
    """Return a file name without its extension, which starts at the last dot."""
    return video.rsplit(".", 1)[0]


def without_extension(path: str) -> str:
    """Return a path without the extension of a video file; folders may have dots in their names."""
    return stem(path) if "." in path[-LONGEST:] and path.lower().endswith(VIDEOS) else path
