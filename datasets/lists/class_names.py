"""Files of class names, one per line or row, in the order of their indices or with them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .annotations import MAX_CLASSES, number_names, parse_index, read_lines, read_rows, whole_number

NAMES = ("classes", "class_names", "class_list", "classInd", "labels", "category", "categories")
MINI = ("mini_ssv2.txt", "mini_kinetics400.txt")  # belong to lists whose names begin with mini_
HEADERS = ("index", "id", "label", "name", "class")
NUMBERED = re.compile(r"(\d{1,6}(?:\.0*)?)[ ,;\t]+(.+)", re.DOTALL | re.ASCII)

Numbered = tuple[str, str, str]  # place, number or "", name


def find_names(folder: Path, mini: bool) -> Path | None:
    """Find the file of class names in a folder, if there is one."""
    names = [f"{name}{kind}" for name in NAMES for kind in (".csv", ".txt")]
    return next((folder / name for name in (*(MINI if mini else ()), *names) if (folder / name).is_file()), None)


def read_names(path: Path | None) -> list[str]:
    """Read class names by index, none without a file.

    Raises ValueError if a name comes twice, or the file numbers them with gaps.
    """
    if path is None:
        return []
    rows = read_quoted(path) if path.suffix == ".csv" else read_plain(path)
    if not rows or len(rows) > MAX_CLASSES:
        raise ValueError(f"{path}:1: expected 1 to {MAX_CLASSES} class names, got {len(rows)}")
    if rows[0][1]:
        first = min(int(number) for _, number, _ in rows)
        rows.sort(key=lambda row: int(row[1]))
        for i, (place, number, _) in enumerate(rows, first):
            if int(number) != i or first > 1:
                raise ValueError(f"{place}: class indices must go from 0 or 1 without a gap or repeat, got {number}")
    return list(number_names((place, name) for place, _, name in rows))


def read_numbered(path: Path, shape: str, split: Callable[[str], tuple[str, ...]], first: int = 0) -> list[str]:
    """Read class names by index from lines, which `split` parts in index and name; `shape` is theirs for errors.

    Raises ValueError if a line is malformed, or the indices do not go from `first` without a gap.
    """
    names: dict[int, str] = {}
    for place, line in read_lines(path):
        number, name = (part.strip() for part in split(line))
        try:
            label = parse_index(number, first)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if label in names or not name:
            raise ValueError(f"{place}: expected {shape} with a new index, got {line[:80]!r}")
        names[label] = name
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{path}: class indices must go from {first} to {first + len(names) - 1} without a gap")
    return [names[i] for i in range(len(names))]


def read_plain(path: Path) -> list[Numbered]:
    """Read lines with their numbers, if every line begins with one and they differ."""
    lines = list(read_lines(path))
    matches = [NUMBERED.fullmatch(line) for _, line in lines]
    numbered = [(place, whole_number(m[1]), m[2]) for (place, _), m in zip(lines, matches, strict=True) if m]
    if len(numbered) == len(lines) and is_counted(numbered):
        return numbered
    return [(place, "", line) for place, line in lines]


def is_counted(rows: Sequence[Numbered]) -> bool:
    """Whether the numbers before the names count the lines, and are no part of the names ("3 point throw")."""
    return sorted(int(number) for _, number, _ in rows) in (list(range(len(rows))), list(range(1, len(rows) + 1)))


def read_quoted(path: Path) -> list[Numbered]:
    """Read rows of a name, or of a number and a name, without the header."""
    rows = list(read_rows(path))
    if rows and len(rows) > 1 and rows[0][1][0].strip().lower() in HEADERS:
        rows = rows[1:]
    width = len(rows[0][1]) if rows else 1
    numbered = []
    for place, row in rows:
        number = whole_number(row[0]) if width == 2 else ""
        if len(row) != width or width > 2 or (width == 2 and not number):
            raise ValueError(f"{place}: expected '<class>' or '<index>,<class>', as in the other rows")
        numbered.append((place, number, row[-1]))
    return numbered
