"""Diagnosis of frames whose place or names no layout expects."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from .layouts import LAYOUTS, PUBLISHED, Pattern

EXAMPLES = 3  # names that are shown of what was found
MOST_FOLDERS = 1000  # looked at one level below a root
NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def absent(root: Path, path: str) -> str:
    """Describe a root without the first listed video: what was expected, what is there, and the cure."""
    expected = root / path
    nearest = next(place for place in (expected, *expected.parents) if place.is_dir())
    cures = (
        misplaced(root, PurePosixPath(path)),
        unextracted(expected),
        "is the folder of the videos right, and all extracted?",
    )
    return (
        f"{expected}: no such folder of frames, nor a video file of that name; "
        f"{nearest} holds {join_names(names_in(nearest))}; {next(cure for cure in cures if cure)}"
    )


def misplaced(root: Path, path: PurePosixPath) -> str:
    """Suggest a cure for videos that are one folder above or below the root; "" if they are not."""
    below = (place for place in islice(root.iterdir(), MOST_FOLDERS) if place.is_dir())
    if inner := next((place for place in below if (place / path.parts[0]).exists()), None):
        return f"the root is one folder too high: use {inner}"
    if (root.parent / path).exists() or root.name == path.parts[0]:
        return f"the root is one folder too low: use {root.parent}"
    for start in range(1, len(path.parts)):
        if (place := root.joinpath(*path.parts[start:])).exists():
            missing = "/".join(path.parts[:start])
            return f"{place} is there: move it into a folder {missing}/, which the list names"
    return ""


def unextracted(expected: Path) -> str:
    """Suggest a cure for something else under the name of the video; "" if there is nothing."""
    namesakes = [name for name in names_in(expected.parent) if name.startswith(f"{expected.name}.")]
    if not namesakes:
        return ""
    if (expected.parent / namesakes[0]).is_dir():
        return f"{namesakes[0]} is a folder: take the extension off its name"
    return f"{namesakes[0]} is no video: unpack or extract it"


def unlike(folder: Path) -> str:
    """Describe a folder whose files no layout knows."""
    expected = [pattern.format(1).replace("{name}", folder.name) for pattern in rgb_patterns()]
    names = names_in(folder)
    return (
        f"{folder}: holds none of {', '.join(expected)}, with which a layout begins (files may count from 0); "
        f"it holds {join_names(names)}; {name_cure(folder, names)}"
    )


def name_cure(folder: Path, names: list[str]) -> str:
    """Suggest what to do about files of these names."""
    if not names:
        return "extract the video again"
    if inner := next((name for name in names if begins(folder / name)), None):
        return f"its images lie one folder lower, in {inner}: move them up, or list {folder.name}/{inner}"
    pictures = [match for name in names if (match := NUMBERED.fullmatch(name))]
    if not pictures:
        return "these are no numbered images: extract the video again"
    prefix, number, suffix = pictures[0].groups()
    if suffix.lower() in (".jpeg", ".jpg") and suffix != ".jpg":
        return f"rename {suffix} to .jpg"
    if suffix != ".jpg":
        return f"{suffix or 'no extension'}: images must be .jpg, extract the video again"
    if expected := next((pattern for pattern in rgb_patterns() if pattern.prefix == prefix), None):
        first = min(int(match[2]) for match in pictures if match[1] == prefix)
        if first > 1:
            return f"its first frame has number {first}: number the frames from 1, as {expected.format(1)}"
        return f"its numbers have {len(number)} digits: rename the frames to {expected.format(1)}, ..."
    return f"the prefix {prefix!r} is of no layout: rename the frames to img_00001.jpg, ..."


def begins(folder: Path) -> bool:
    """Whether a folder holds the first frame of some layout."""
    patterns = {pattern.format(layout.first) for layout in LAYOUTS.values() for pattern in layout["rgb"]}
    return any((folder / name.replace("{name}", folder.name)).is_file() for name in patterns)


def rgb_patterns() -> Iterator[Pattern]:
    """Yield the patterns of frames, each once."""
    yield from dict.fromkeys(pattern for layout in PUBLISHED.values() for pattern in layout["rgb"])


def names_in(folder: Path) -> list[str]:
    """List what a folder holds, sorted; nothing if it is not there."""
    return sorted(place.name for place in folder.iterdir()) if folder.is_dir() else []


def join_names(names: Iterable[str]) -> str:
    """Join a few names for a message."""
    first = list(islice(names, EXAMPLES + 1))
    return f"{', '.join(first[:EXAMPLES])}{', ...' if len(first) > EXAMPLES else ''}" if first else "nothing"
