"""Storage forms from which the loader reads the synthetic videos."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.synthetic.videos import HEIGHT, WIDTH
from datasets.decoding.jpeg import native
from datasets.stores.cache import RAM, DecodedCache
from datasets.stores.frames import FrameFolders
from datasets.stores.pack import PackedVideos
from datasets.stores.pack_format import SUFFIX
from datasets.stores.store import Store, Video
from utils1 import pack

log = logging.getLogger(__name__)

Disk = dict[str, float]  # kilobytes per video by stream


class Form(NamedTuple):
    """A way to store and read videos."""

    build: Callable[[Path], Store]  # opens what lies below a root; raises ValueError if that cannot be had here
    disk: Callable[[Store, Sequence[Video]], Disk]  # bytes, in thousands, of an average video


def native_folders(root: Path, decode: str = "exact") -> Store:
    """Open frame folders with the native decoder."""
    if reason := native.missing():
        raise ValueError(reason)
    return FrameFolders(root / "frames", "sts", decode, "native")


def packed(root: Path) -> Store:
    """Open packed videos, which are packed first where they are not yet."""
    if reason := native.missing():
        raise ValueError(reason)
    if not (root / "packed").exists():
        pack.main(pack.parse_args([str(root / "frames"), str(root / "packed"), "--layout", "sts", "--workers", "1"]))
    return PackedVideos(root / "packed", "exact", "native")


def kept(root: Path) -> Store:
    """Open decoded frames in memory."""
    return DecodedCache(FrameFolders(root / "frames", "sts"), RAM)


def size_of_files(store: Store, videos: Sequence[Video]) -> Disk:
    """Return kilobytes per video of frame folders, by stream."""
    sizes = {"rgb": 0, "flow": 0}
    for video in videos:
        for file in video.folder.glob("*.jpg"):
            sizes["flow" if file.name.startswith("TVL1") else "rgb"] += file.stat().st_size
    return {stream: size / 1000 / len(videos) for stream, size in sizes.items()}


def size_of_packs(store: Store, videos: Sequence[Video]) -> Disk:
    """Return kilobytes per video of packed videos, by stream."""
    return {
        stream: mean((store.root / f"{video.name}.{stream}{SUFFIX}").stat().st_size for video in videos) / 1000
        for stream in ("rgb", "flow")
    }


def size_decoded(store: Store, videos: Sequence[Video]) -> Disk:
    """Return kilobytes per video of decoded frames, by stream."""
    frames = mean(video.num_frames for video in videos)
    return {"rgb": (frames + 1) * 3 * HEIGHT * WIDTH / 1000, "flow": frames * 2 * HEIGHT * WIDTH / 1000}


FORMS = {
    "native": Form(native_folders, size_of_files),
    "python": Form(lambda root: FrameFolders(root / "frames", "sts", "exact", "python"), size_of_files),
    "fast": Form(lambda root: native_folders(root, "fast"), size_of_files),
    "pack": Form(packed, size_of_packs),
    "cache": Form(kept, size_decoded),
}


def available_forms(root: Path) -> tuple[dict[str, Store], dict[str, str]]:
    """Return the storage forms available here, and the reasons why others are not."""
    stores, missing = {}, {}
    for name, form in FORMS.items():
        try:
            stores[name] = form.build(root)
        except ValueError as error:
            missing[name] = str(error)
            log.warning("%s: %s", name, error)
    return stores, missing
