"""Properties of the videos of a data set on which the recommended commands depend."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from PIL import Image

from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import is_even, mean_rate
from datasets.lists.class_folders import IMAGES
from datasets.lists.entries import Entry
from datasets.stores.detect import open_store
from datasets.stores.video_files import VideoFiles
from engine.command.cli import one_line
from sts_common import counted

SAMPLED = 20  # videos that are opened
DEFAULT_SIDE = 240  # pixels, where none can be read
EXTRACTED_RATE = 25.0  # frames per second
RATE_TOLERANCE = 0.02  # part of a rate by which those of one data set may differ

Item = TypeVar("Item")


class VideoProperties(NamedTuple):
    """Storage, size and frame rate of the videos of a data set."""

    kind: str  # "files", "frames", "flow" for frames with flow, or "" where they are not at hand
    example: Path  # one of them
    side: int  # pixels of the shorter side, about
    source_rate: bool  # whether `--fps source` suits them: all have one rate, of which 25 is no even part
    problem: str = ""  # how many of those looked at cannot be opened, and why one of them cannot


def inspect_videos(root: Path, entries: Sequence[Entry]) -> VideoProperties:
    """Inspect some videos, with the last entry as the example.

    Raises ValueError if they are at hand and none of those that were looked at can be opened.
    """
    sampled = entries[:: max(1, len(entries) // SAMPLED)]
    try:
        store = open_store("auto", root, sampled)
        places = [store.locate(entry.path) for entry in sampled]
        example = store.locate(entries[-1].path)
    except (OSError, ValueError):
        return VideoProperties("", root / entries[-1].path, DEFAULT_SIDE, False)
    if isinstance(store, VideoFiles):
        outlines, problem = open_all(places, outline_of)
        return VideoProperties("files", example, *of_files(outlines), problem)
    sides, problem = open_all(places, side_of_frames)
    try:
        kind = "flow" if store.counts(example, {"flow"}).get("flow") else "frames"
    except (OSError, ValueError):
        kind = "frames"
    side = int(median(filter(None, sides))) if any(sides) else DEFAULT_SIDE
    return VideoProperties(kind, example, side, False, problem)


def open_all(places: Sequence[Path], open_one: Callable[[Path], Item]) -> tuple[list[Item], str]:
    """Open videos; return what was read of each, and the `problem` of those that cannot be opened.

    Raises ValueError if none can.
    """
    items, errors = list[Item](), list[str]()
    for place in places:
        try:
            items.append(open_one(place))
        except (OSError, ValueError) as error:
            errors.append(one_line(error))
    if errors and not items:
        raise ValueError(
            f"{errors[0]}; of {counted(len(places), 'video')} looked at none can be opened: get them again"
        )
    unread = f"{len(errors)} of the {counted(len(places), 'video')} looked at cannot be opened"
    return items, f"{errors[0]}; {unread}" if errors else ""


def outline_of(file: Path) -> tuple[int, float, bool]:
    """Return the shorter side of a video file, its frame rate, and whether the extracted rate is no even part of it."""
    index = outline(file, allow_short=True)
    return min(index.size), mean_rate(index), not is_even(file, index, EXTRACTED_RATE)


def of_files(outlines: Sequence[tuple[int, float, bool]]) -> tuple[int, bool]:
    """Return the `side` and `source_rate` of video files."""
    sides, rates, uneven = zip(*outlines, strict=True)
    typical = median(rates)
    one_rate = all(abs(rate - typical) <= RATE_TOLERANCE * typical for rate in rates)
    return int(median(sides)), one_rate and 2 * sum(uneven) > len(rates)


def side_of_frames(folder: Path) -> int | None:
    """Return the shorter side of the first image of a folder, None if it has none; raises ValueError if it is none."""
    image = next((file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGES), None)
    if image is None:
        return None
    try:
        with Image.open(image) as opened:
            return min(opened.size)
    except OSError:
        raise ValueError(f"{image}: is not an image, or damaged at the start") from None
