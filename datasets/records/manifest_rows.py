"""Rows of a manifest: parsed at once, and checked by whole columns, since Kinetics has 240,000 of them."""

import json
from pathlib import PurePosixPath
from typing import Any, NamedTuple

Row = list[Any]  # `Facts` as JSON has them

NONE = type(None)
MOST = 1e9  # frames, pixels, frames per second


class Facts(NamedTuple):
    """Facts about a sound video, in the order of the columns.

    Attributes:
        path: As the annotation names it.
        folder: Its path below the root; None if that is `path`.
        rgb: Number of frames, None if none were counted.
        flow: Number of flows, each of two images; None if none were counted.
        first: Number of the first image in the file names.
        width: Of its images, in pixels.
        height: Likewise.
        fps: Frames per second, None if nothing says so.
        hash: Equal for videos of equal content; HASH says of what it is made.
    """

    path: str
    folder: str | None
    rgb: int | None
    flow: int | None
    first: int
    width: int
    height: int
    fps: float | None
    hash: str


HASH = "blake2b of the length of each file, and of 64 kB at beginning, middle and end of the first, middle and last one"
TYPES: tuple[set[type], ...] = (
    {str},
    {str, NONE},
    {int, NONE},
    {int, NONE},
    {int},
    {int},
    {int},
    {float, int, NONE},
    {str},
)


def parse_rows(lines: list[str]) -> list[Row] | None:
    """Parse rows of `Facts`; None if any is not one."""
    if not lines:
        return []
    try:
        rows = json.loads(f"[{','.join(lines)}]")
    except (ValueError, RecursionError):
        return None
    return rows if len(rows) == len(lines) and are_facts(rows) else None


def are_facts(rows: list[Any]) -> bool:
    """Whether all rows have the types and ranges of `Facts`, and stay below the root."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {len(TYPES)}:
        return False
    values = list(zip(*rows, strict=True))
    if any(not set(map(type, column)) <= types for column, types in zip(values, TYPES, strict=True)):
        return False
    paths, folders, *columns, _ = map(set, values)
    *counts, first, width, height, fps = columns
    numbers = set().union(*counts, width, height, fps) - {None}
    if not all(0 < number < MOST for number in numbers) or not all(0 <= number < MOST for number in first):
        return False
    counted = all(rgb or flow for _, _, rgb, flow, *_ in rows)
    return counted and all(map(stays_below, paths)) and all(map(stays_below, folders - {None}))


def stays_below(path: str) -> bool:
    """Whether a path that is appended to a root stays below it."""
    if path[:1] not in ("", "/") and ".." not in path and "\0" not in path:
        return True  # without building a path, which takes long
    return bool(path) and path[0] != "/" and "\0" not in path and ".." not in PurePosixPath(path).parts
