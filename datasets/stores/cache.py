"""Cache of decoded frames, in memory or on a disk: each video is decoded once, later clips are only resized."""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sts_common import counted, size_in_words

from ..clips.views import Placement, whole
from ..decoding.images import Decode, resample_frames
from ..decoding.timing import spent
from ..streams import Stream
from .cache_folder import SharedMemory, free_space, write_array
from .pack import file_of
from .store import Store, Video

log = logging.getLogger(__name__)

RAM = "ram"
OPEN = 1024  # arrays that a process keeps mapped
CHUNK = 64  # frames decoded at a time
PROBES = 8  # videos whose size is looked at
SUFFIX = ".npy"


class FrameArrays:
    """Arrays of the decoded frames of a store in a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def __call__(self, folder: Path, stream: Stream) -> NDArray[np.uint8]:
        """Return all frames of a stream, uint8 (T, H, W, C), decoded if they are not there; raises as `Store.read`."""
        count = self.store.counts(folder, {stream.name})[stream.name]
        place = self.place(folder, stream.name)
        target = place.with_name(f"{place.name}.{self.stamp(folder, stream.name, count)}{SUFFIX}")
        if (frames := open_array(target, count)) is not None:
            return frames
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(place):
            if (frames := open_array(target, count)) is not None:  # another process has made it meanwhile
                return frames
            for old in place.parent.iterdir():
                if old.name.startswith(f"{place.name}.") and len(old.name) == len(target.name):  # of another stamp
                    old.unlink(missing_ok=True)
            write_array(target, count, self.decoded(folder, stream, count))
        frames = open_array(target, count)
        assert frames is not None
        return frames

    def decoded(self, folder: Path, stream: Stream, count: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the decoded frames in pieces (n, H, W, C)."""
        video = Video(folder.name, folder, 0, count)
        for first in range(1, count + 1, CHUNK):
            numbers = range(first, min(first + CHUNK, count + 1))
            yield self.store.read(video, stream, numbers, Placement(whole)).transpose(1, 2, 3, 0)

    def place(self, folder: Path, stream: str) -> Path:
        """Return where the array of a stream is kept, without its stamp."""
        return self.folder / folder.relative_to(self.store.root).with_name(f"{folder.name}.{stream}")

    def stamp(self, folder: Path, stream: str, count: int) -> str:
        """Hash what requires a new array when it changes: when the source was written, and how it is read."""
        layout, fps = repr(getattr(self.store, "layout", "")), getattr(self.store, "fps", None)
        files = [file.stat() for file in (folder, file_of(folder, stream)) if file.exists()]
        times = [(file.st_mtime_ns, file.st_size) for file in files]
        text = repr((type(self.store).__name__, layout, fps, "", times, count))  # "": arrays that are there stay valid
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class DecodedCache:
    """A `store.Store` that decodes the frames of another one once, at full size, into arrays shared by all processes.

    An array is uint8 (T, H, W, C), a file `VIDEO.STREAM.STAMP.npy` below `folder`, or in memory until this process ends
    where that is "ram". The stamp says what it was made from: when the source changes it is made again.
    """

    def __init__(self, store: Store, folder: Path | str, decoder: str = "auto") -> None:
        self.store, self.decode = store, Decode(decoder)
        self.root, self.streams, self.flow_lag = store.root, store.streams, store.flow_lag
        self.memory = SharedMemory() if folder == RAM else None
        self.folder = self.memory.folder if self.memory else Path(folder)
        self.frames = lru_cache(OPEN)(FrameArrays(self.store, self.folder))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out mapped arrays, which stay in their process, and the memory, which its owner keeps."""
        return {name: value for name, value in vars(self).items() if name != "frames"} | {"memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.frames = lru_cache(OPEN)(FrameArrays(self.store, self.folder))

    def locate(self, path: str) -> Path:
        return self.store.locate(path)

    def counts(self, folder: Path, needs: Collection[str]) -> Mapping[str, int]:
        return self.store.counts(folder, needs)

    def rate(self, folder: Path) -> float:
        return self.store.rate(folder)

    def grey(self, video: Video, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Read from the store: the grey levels of a JPEG are not those of its colours, so they are not cached."""
        return self.store.grey(video, numbers)

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> NDArray[np.uint8]:
        frames = self.frames(video.folder, stream)
        positions = np.asarray(numbers) + (video.first - 1)
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(frames):
            raise FileNotFoundError(
                f"{video.folder}: has {len(frames)} {stream.name} images, not {positions.max() + 1}"
            )
        view = placement(*frames.shape[1:3])
        if len(positions) and (np.diff(positions) == 1).all():
            return resample_frames(frames[positions[0] : positions[-1] + 1], view, self.decode)
        with spent("read"):
            top, left, height, width = view.box
            boxes = frames[positions, top : top + height, left : left + width]
        return resample_frames(boxes, view._replace(box=view.box._replace(top=0, left=0)), self.decode)

    def prepare(self, videos: Sequence[Video], streams: Sequence[Stream]) -> int:
        """Estimate from a few videos the bytes of all arrays, before any is decoded, and log them.

        Raises ValueError if that is more than there is.
        """
        frames: dict[Path, int] = {}
        for video in videos:  # segments share the array of their file
            frames[video.folder] = max(frames.get(video.folder, 0), video.first + video.num_frames)
        probes = videos[:: max(1, len(videos) // PROBES)]
        shapes = [self.store.read(video, s, [1], Placement(whole)).size for video in probes for s in streams]
        needed = int(sum(frames.values()) * sum(shapes) / max(1, len(probes)))
        cached = sum(file.stat().st_size for file in self.folder.rglob(f"*{SUFFIX}"))
        most = cached + free_space(self.folder, self.memory is not None)
        where = "memory" if self.memory else str(self.folder)
        log.info("cache: about %s for %s in %s", size_in_words(needed), counted(len(frames), "video"), where)
        if needed > most:
            cure = "--cache DIR on a disk, or --cache none" if self.memory else "another folder, or --cache none"
            raise ValueError(
                f"--cache: {counted(len(frames), 'video')} need about {size_in_words(needed)} decoded, but "
                f"{size_in_words(most)} are free in {where}; use {cure}"
            )
        return needed


def open_array(path: Path, count: int) -> NDArray[np.uint8] | None:
    """Map the frames in a file; None if it is not there, or not whole."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    whole_video = frames.ndim == 4 and frames.dtype == np.uint8 and len(frames) == count
    return frames.view(np.ndarray) if whole_video else None  # np.memmap would make every slice slow


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Lock an array for one writer; the system frees the lock when a process dies."""
    path = place.with_name(f".{place.name[:200]}.lock")
    with FileLock(path):
        try:
            yield
        finally:
            with suppress(PermissionError):  # on Windows, where FileLock removes it
                path.unlink(missing_ok=True)
