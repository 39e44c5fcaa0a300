"""Properties of the videos of a data set on which the recommended commands depend."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from PIL import Image

from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import is_even, mean_rate
from datasets.lists.class_folders import IMAGES
from datasets.lists.entries import Entry
from datasets.stores.detect import open_store
from datasets.stores.video_files import VideoFiles

LOOKED_AT = 20  # videos
USUAL = 240  # pixels, where none can be read
RATE, ALIKE = 25.0, 0.02  # frames per second that are extracted; how far apart rates of one data set may be


class VideoProperties(NamedTuple):
    """Storage, size and frame rate of the videos of a data set."""

    kind: str  # "files", "frames", "flow" for frames with flow, or "" where they are not at hand
    example: Path  # one of them
    side: int  # pixels of the shorter side, about
    source_rate: bool  # whether `--fps source` suits them: all have one rate, of which 25 is no even part


def inspect_videos(root: Path, entries: Sequence[Entry]) -> VideoProperties:
    """Inspect some videos, with the last entry as the example; unreadable ones are skipped."""
    sampled = entries[:: max(1, len(entries) // LOOKED_AT)]
    try:
        store = open_store("auto", root, sampled)
        places = [store.locate(entry.path) for entry in sampled]
        example = store.locate(entries[-1].path)
    except (OSError, ValueError):
        return VideoProperties("", root / entries[-1].path, USUAL, False)
    if isinstance(store, VideoFiles):
        sides, rates = of_files(places)
        return VideoProperties("files", example, sides, rates)
    try:
        kind = "flow" if store.counts(example, {"flow"}).get("flow") else "frames"
    except (OSError, ValueError):
        kind = "frames"
    return VideoProperties(kind, example, side_of_frames(places), False)


def of_files(files: Iterable[Path]) -> tuple[int, bool]:
    """Return the `side` and `source_rate` of video files."""
    sides, rates, uneven = list[int](), list[float](), 0
    for file in files:
        try:
            index = outline(file, allow_short=True)
            uneven += not is_even(file, index, RATE)
        except (OSError, ValueError):
            continue
        sides.append(min(index.size))
        rates.append(mean_rate(index))
    if not sides:
        return USUAL, False
    usual = median(rates)
    one_rate = all(abs(rate - usual) <= ALIKE * usual for rate in rates)
    return int(median(sides)), one_rate and 2 * uneven > len(rates)


def side_of_frames(folders: Iterable[Path]) -> int:
    """Return the `side` of folders of frames."""
    sides = []
    for folder in folders:
        image = next((file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGES), None)
        if image:
            try:
                with Image.open(image) as opened:
                    sides.append(min(opened.size))
            except OSError:
                continue
    return int(median(sides)) if sides else USUAL
