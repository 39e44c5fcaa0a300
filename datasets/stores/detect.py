"""Detection of a data set's storage form, from a few of its videos."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..lists.entries import Entry
from .diagnosis import absent, unlike
from .frames import FrameFolders
from .layouts import LAYOUTS, PUBLISHED, ZERO
from .pack import PackedVideos
from .store import Store
from .video_files import VideoFiles

log = logging.getLogger(__name__)

PROBES, ENOUGH = 16, 3  # entries looked for, evenly spaced; existing ones that decide


class ReadOptions(NamedTuple):
    """Options of reading pixels, where a form of storage leaves a choice."""

    decode: str = "exact"  # "exact" or "fast", of JPEG images
    decoder: str = "auto"  # decoder of JPEG images
    fps: float | None = 25.0  # frames per second that video files are read at; None for their own


DEFAULT = ReadOptions()


def open_folders(layout: str, root: Path, options: ReadOptions) -> Store:
    """Open the frame folders of a layout."""
    return FrameFolders(root, layout, options.decode, options.decoder)


# By the name that --layout knows; where several fit alike the first one is chosen.
STORES: dict[str, Callable[[Path, ReadOptions], Store]] = {
    **{layout: partial(open_folders, layout) for layout in LAYOUTS},
    "pack": lambda root, options: PackedVideos(root, decode=options.decode, decoder=options.decoder),
    "video": lambda root, options: VideoFiles(root, options.fps, options.decoder),
}


def open_store(kind: str, root: Path, entries: Sequence[Entry], options: ReadOptions = DEFAULT) -> Store:
    """Open the videos below `root` in one of `STORES`, or "auto": what fits some of the videos.

    Raises FileNotFoundError if the root is absent, or "auto" finds none of the videos; ValueError if there is no such
    kind, or "auto" finds nothing that fits the videos.
    """
    if kind == "auto":
        kind = detect_layout(root, entries)
        log.info("%s: read as --layout %s", root, kind)
    if kind not in STORES:
        raise ValueError(f"--layout {kind}: is none of auto, {', '.join(STORES)}")
    return STORES[kind](root, options)


def detect_layout(root: Path, entries: Sequence[Entry]) -> str:
    """Return the name in `STORES` that fits most of the first videos present; raises as `open_store`."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of extracted frames or videos")
    if not entries:
        raise ValueError(f"{root}: no video is listed to look for; name its --layout")
    votes, num_found = Counter[str](), 0
    for entry in entries[:: max(1, len(entries) // PROBES)]:
        fitting = evidence(root, entry.path)
        votes.update(fitting)
        num_found += bool(fitting)
        if num_found == ENOUGH:
            break
    if votes:
        return max(STORES, key=lambda kind: votes[kind])
    folder = next((place for entry in entries[:PROBES] if (place := root / entry.path).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(absent(root, entries[0].path))
    raise ValueError(unlike(folder))


def evidence(root: Path, path: str) -> dict[str, int]:
    """Count the streams of a video that each kind of storage would find, without counting their frames."""
    stream_counts = {kind: 1 for kind in STORES if kind not in LAYOUTS and located(STORES[kind](root, DEFAULT), path)}
    for name in PUBLISHED:
        folder = located(FrameFolders(root, name), path)
        for kind in (name, name + ZERO):
            if folder and (streams := FrameFolders(root, kind).streams_begun(folder)):
                stream_counts[kind] = streams
    return stream_counts


def located(store: Store, path: str) -> Path | None:
    """Return where a video lies, if it is there."""
    try:
        return store.locate(path)
    except FileNotFoundError:
        return None
