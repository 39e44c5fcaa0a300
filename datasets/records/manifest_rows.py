"""Rows of a manifest: parsed at once, and checked by whole columns, since Kinetics has 240,000 of them."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, get_args

Row = list[Any]  # `Facts` as JSON has them

LIMIT = 1e9  # frames, pixels, frames per second


class Facts(NamedTuple):
    """Facts about a sound video, in the order of the columns."""

    path: str  # as the annotation names it
    folder: str | None  # its path below the root; None if that is `path`
    rgb: int | None  # number of frames, None if none were counted
    flow: int | None  # number of flows, each of two images; None if none were counted
    first: int  # number of the first image in the file names
    width: int  # of its images, in pixels
    height: int  # likewise
    fps: float | int | None  # frames per second, None if nothing says so
    hash: str  # equal for videos of equal content; HASH says of what it is made


HASH = "blake2b of the length of each file, and of 64 kB at beginning, middle and end of the first, middle and last one"
TYPES = [set(get_args(kind) or [kind]) for kind in Facts.__annotations__.values()]  # of the columns


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
    paths, folders, rgb, flow, first, width, height, fps, _ = values
    numbers = set().union(rgb, flow, width, height, fps) - {None}
    if not all(0 < number < LIMIT for number in numbers) or not all(0 <= number < LIMIT for number in set(first)):
        return False
    counted = None not in rgb or None not in flow or all(a or b for a, b in zip(rgb, flow, strict=True))
    return counted and stay_below(paths) and stay_below([folder for folder in folders if folder is not None])


def stay_below(paths: Sequence[str]) -> bool:
    """Whether all paths that are appended to a root stay below it."""
    joined = "\n".join(["", *paths, ""])
    if ".." not in joined and "\0" not in joined and "\n/" not in joined and "\n\n" not in joined:
        return True  # at once, without a look at each
    return all(map(stays_below, paths))


def stays_below(path: str) -> bool:
    """Whether a path that is appended to a root stays below it."""
    if path[:1] not in ("", "/") and ".." not in path and "\0" not in path:
        return True  # without building a path, which takes long
    return bool(path) and path[0] != "/" and "\0" not in path and ".." not in PurePosixPath(path).parts
