"""Storage forms from which the loader reads the synthetic videos."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

from benchmarks.synthetic.videos import HEIGHT, WIDTH
from datasets.decoding.jpeg import native
from datasets.stores.cache import RAM, DecodedCache
from datasets.stores.frames import FrameFolders
from datasets.stores.pack import PackedVideos, file_of
from datasets.stores.store import Store, Video
from workflows.packing.pack import pack_tree

log = logging.getLogger(__name__)


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
        pack_tree(root / "frames", root / "packed", layout="sts", workers=1)
    return PackedVideos(root / "packed", "exact", "native")


# They open what lies below a root, and raise ValueError if that cannot be had here.
FORMS: dict[str, Callable[[Path], Store]] = {
    "native": native_folders,
    "python": lambda root: FrameFolders(root / "frames", "sts", "exact", "python"),
    "fast": lambda root: native_folders(root, "fast"),
    "pack": packed,
    "cache": lambda root: DecodedCache(FrameFolders(root / "frames", "sts"), RAM),
}


def kilobytes(store: Store, videos: Sequence[Video]) -> dict[str, float]:
    """Return what a store takes for an average video, by stream."""
    if isinstance(store, DecodedCache):
        frames = mean(video.num_frames for video in videos)
        return {"rgb": (frames + 1) * 3 * HEIGHT * WIDTH / 1000, "flow": frames * 2 * HEIGHT * WIDTH / 1000}
    sizes = {"rgb": 0, "flow": 0}
    for video in videos:
        if isinstance(store, PackedVideos):
            for stream in sizes:
                sizes[stream] += file_of(store.root / video.name, stream).stat().st_size
            continue
        for file in video.folder.glob("*.jpg"):
            sizes["flow" if file.name.startswith("TVL1") else "rgb"] += file.stat().st_size
    return {stream: size / 1000 / len(videos) for stream, size in sizes.items()}


def available_forms(root: Path) -> tuple[dict[str, Store], dict[str, str]]:
    """Return the storage forms available here, and the reasons why others are not."""
    stores, missing = {}, {}
    for name, form in FORMS.items():
        try:
            stores[name] = form(root)
        except ValueError as error:
            missing[name] = str(error)
            log.warning("%s: %s", name, error)
    return stores, missing
