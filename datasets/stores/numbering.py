"""Frame numbers of a folder, by the names of its files."""

import math
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .layouts import DONE, N_FRAMES, ZERO, Pattern

MOST_DIGITS = 9  # of a frame number; longer ones are something else


class Plane(NamedTuple):
    """Files of one image plane of one video."""

    folder: Path
    pattern: Pattern

    def path(self, number: int) -> Path:
        return self.folder / self.pattern.format(number)


def list_names(folder: Path) -> set[str]:
    """List the names of the files of a folder; raises FileNotFoundError if there is no such folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder, the video is not extracted")
    with os.scandir(folder) as files:
        return {file.name for file in files}


def numbers_of(names: Iterable[str], pattern: Pattern) -> set[int]:
    """Parse the frame numbers of the file names that `pattern` makes."""
    before, after = len(pattern.prefix), len(pattern.suffix)
    matching = (name for name in names if name.startswith(pattern.prefix) and name.endswith(pattern.suffix))
    middles = (name[before : len(name) - after] for name in matching)
    return {int(middle) for middle in middles if is_number(middle, pattern.digits)}


def is_number(text: str, digits: int) -> bool:
    """Whether `text` is a number written with `digits` digits, or with more because it needs them."""
    if not (text.isascii() and text.isdecimal()):
        return False
    return len(text) == digits or (digits < len(text) <= MOST_DIGITS and not text.startswith("0"))


def count_numbers(planes: Sequence[Plane], numbers: Sequence[set[int]], first: int = 1) -> int:
    """Count the frames of a stream by the numbers of the files of each plane, 0 if it has none.

    Raises ValueError, which names the file, if a frame between the first and the last is missing in any plane.
    """
    last = max((max(plane_numbers, default=first - 1) for plane_numbers in numbers), default=first - 1)
    for plane, plane_numbers in zip(planes, numbers, strict=True):
        gap = next((i for i in range(first, last + 1) if i not in plane_numbers), None)
        if gap is not None:
            raise ValueError(f"{plane.path(gap)}: missing, though frames go up to {last}")
        if first and 0 in plane_numbers:
            raise ValueError(
                f"{plane.path(0)}: its files are numbered from 0, which this layout does not expect; "
                f"number them from 1, or choose a layout that ends in {ZERO}"
            )
    return last + 1 - first


def stated_counts(folder: Path, names: Collection[str] = (DONE,)) -> dict[str, int]:
    """Read images per stream from those files among `names` that tools leave when a video is complete.

    Raises FileNotFoundError if such a file is not in the folder, ValueError if `n_frames` holds no number.
    """
    counts = {}
    if N_FRAMES in names:
        counts["rgb"] = int(number_in(folder / N_FRAMES))
    if DONE in names:  # ours holds counts; other tools leave it empty
        pairs = [line.split() for line in (folder / DONE).read_text("utf-8", "replace").splitlines()]
        counts |= {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and is_number(pair[1], 1)}
    return counts


def number_in(file: Path) -> float:
    """Read the number that is all of a small text file; raises ValueError if it is not."""
    with file.open(encoding="utf-8", errors="replace") as opened:
        text = opened.read(64).strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{file}: holds {text[:80]!r} where a number is expected; write it again, or delete it")
    return number
