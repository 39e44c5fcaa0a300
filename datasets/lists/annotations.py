"""Reading annotation files: every error names file and line, and the first problems are reported together."""

import csv
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from .entries import Entry
from .entry_table import EntryBuilder, EntryTable, Problem, without_repeats
from .text_columns import AT_ONCE, CodesBuilder
from .text_files import open_text

CACHE_SIZE = 10_000  # parsed numbers that are cached, for lists repeat them
MAX_CLASSES = 100_000  # a mistyped index would otherwise fill the memory with names
DOT_PARTS = {"", ".", ".."}  # parts by which a path names another place than it seems to
ENDINGS = "3gp asf avi divx dv f4v flv gif m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv"
VIDEOS = tuple(f".{ending}" for ending in ENDINGS.split())
LONGEST_SUFFIX = max(map(len, VIDEOS))

FLOAT = re.compile(r"\d{1,9}\.\d*(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
ESCAPED_BYTE = re.compile(r"\\u(dc[89a-f][0-9a-f])")  # as `sts_common.files.encoded` writes a byte that is no UTF-8

Row = TypeVar("Row")


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the non-empty lines of a text file with their place, "FILE:LINE"; raises as `read_text`."""
    file = f"{path}:"
    return ((f"{file}{number}", line) for number, line in number_lines(path))


def number_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-empty lines of a text file with their numbers from 1; raises as `read_text`."""
    with open_text(path, "\n") as lines:
        for number, line in enumerate(lines, 1):
            if content := line.strip():
                yield number, content


def read_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Yield the non-empty rows of a CSV file with the place of their first line, "FILE:LINE".

    Raises as `read_text`, and ValueError if its quotes do not end.
    """
    return ((f"{path}:{number}", row) for number, row in number_rows(path, delimiter))


def number_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows of a CSV file with the number of their first line; raises as `read_rows`."""
    with open_text(path, "") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise ValueError(f"{path}:{number}: {error}") from None
            if row is None:
                return
            if any(field.strip() for field in row):
                yield number, row


def collect(rows: Iterable[tuple[str, Row]], parse: Callable[[Row], Entry]) -> EntryTable:
    """Parse rows with their places. Duplicates are dropped with a warning.

    The ValueError of `parse` is the reason alone. Raises ValueError, which names the first problems, if rows cannot be
    read, or list a video under two classes.
    """
    builder, files, lines = EntryBuilder(), CodesBuilder(), array("I")
    problems, rows = list[Problem](), iter(rows)
    while batch := list(islice(rows, AT_ONCE)):
        entries, places = list[Entry](), list[tuple[str, str, str]]()
        for place, row in batch:
            try:
                entries.append(parse(row))
                places.append(place.rpartition(":"))
            except ValueError as error:
                problems.append((len(lines) + len(entries), f"{place}: {error}"))
        builder.extend(entries)
        files.extend([file for file, _, _ in places])
        lines.extend([int(line) for _, _, line in places])
    names = list(files.numbers)
    return without_repeats(builder.build(), lambda i: f"{names[files.codes[i]]}:{lines[i]}", problems)


def check_path(path: str) -> str:
    r"""Normalise a listed path; `\udce9` in it is the byte E9 of a file name that is no UTF-8.

    Raises ValueError if it names nothing, or leads out of the root of the videos.
    """
    path = ESCAPED_BYTE.sub(lambda match: chr(int(match[1], 16)), path) if "\\udc" in path else path
    if not DOT_PARTS.intersection(path.split("/")) and "\0" not in path:
        return path
    pure = PurePosixPath(path)
    if "\0" in path or not pure.parts:
        raise ValueError(f"{path!r} names no video")
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{path!r} leads out of the folder of the videos, to which paths are relative")
    return str(pure)


@lru_cache(CACHE_SIZE)
def whole_number(text: str) -> str:
    """Return the digits of a whole number of at most nine, also in the form 2.0 (pandas) or 2.000e+00 (NumPy).

    That is "2" for "2", "2.0", "2." and " 2.00e+00 ", and "" for what is none.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return text if len(text) < 10 else ""
    if not FLOAT.fullmatch(text):
        return ""
    value = float(text)
    return str(int(value)) if value < 1e9 and value.is_integer() else ""


@lru_cache(CACHE_SIZE)
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
    """Return a file name without its extension."""
    return video.rsplit(".", 1)[0]


def without_extension(path: str) -> str:
    """Return a path without the extension of a video file; folders may have dots in their names."""
    return stem(path) if "." in path[-LONGEST_SUFFIX:] and path.lower().endswith(VIDEOS) else path
