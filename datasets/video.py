"""Videos and the clips cut from them, the same for every corpus."""

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from .frames import count_usable_frames, read_frames
from .layouts import Layout
from .sampling import Sampler, clip_starts, loop
from .streams import Stream
from .transforms import Transform

log = logging.getLogger(__name__)

MISSING = ("error", "skip")
SHOWN = 20  # skipped videos that are named one by one
Sample = dict[str, Any]


class Entry(NamedTuple):
    """A line of an annotation file.

    Attributes:
        path: Folder of the video's frames below the frame root, with forward slashes.
        label: Class index, from 0.
        group: What it was cut from. Clips of one group look alike and belong on one side of a hold-out.
    """

    path: str
    label: int
    group: str


class Listing(NamedTuple):
    """What an annotation lists.

    Attributes:
        entries: In the order of the files.
        class_names: By class index.
    """

    entries: list[Entry]
    class_names: list[str]


class Video(NamedTuple):
    """A labelled folder of frames that has been looked at.

    Attributes:
        name: Path of the entry, the identity of the video in results.
        folder: Folder of the frames.
        label: Class index, from 0.
        num_frames: Frames 1 to `num_frames` are there in every stream that is read.
    """

    name: str
    folder: Path
    label: int
    num_frames: int


def find_videos(
    entries: Sequence[Entry],
    frame_dir: Path,
    layout: Layout,
    *,
    needs: Collection[str],
    missing: str = "error",
    spare: int = 0,
) -> list[Video]:
    """Look at the folder of every entry.

    Args:
        entries: Videos wanted.
        frame_dir: Root of the frame folders.
        layout: File names.
        needs: Streams that every video must have.
        missing: "error" stops at the first video that cannot be used; "skip" leaves such videos out, and says so.
        spare: Frames after the last usable one: 1 where flow to the next frame is computed.

    Raises:
        FileNotFoundError: If the root is absent, or a video is and `missing` is "error".
        ValueError: If no video is left, or frames are missing and `missing` is "error".
    """
    if not frame_dir.is_dir():
        raise FileNotFoundError(f"{frame_dir}: no such folder; --frame_dir must hold the extracted frames")

    def look(entry: Entry) -> Video | OSError | ValueError:
        folder = locate(frame_dir, entry.path)
        try:
            count = count_usable_frames(folder, layout, needs) - spare
            if count < 1:
                raise ValueError(f"{folder}: a single frame has no flow")
            return Video(entry.path, folder, entry.label, count)
        except (OSError, ValueError) as error:
            return error

    with ThreadPoolExecutor(8) as pool:  # listing folders waits for the disk, not for Python
        found = list(pool.map(look, entries))
    videos = [video for video in found if isinstance(video, Video)]
    problems = [problem for problem in found if not isinstance(problem, Video)]
    if problems and (missing == "error" or not videos):
        first, advice = problems[0], cure(len(problems), len(entries), "flow" in needs)
        raise type(first)(f"{first} {advice}")
    for problem in problems[:SHOWN]:
        log.warning("skipped: %s", problem)
    if problems:
        more = f"{len(problems) - SHOWN} more skipped; " if len(problems) > SHOWN else ""
        log.warning("%susing %d of %d listed videos", more, len(videos), len(entries))
    return videos


def cure(bad: int, total: int, needs_flow: bool) -> str:
    """What to do about videos that cannot be used."""
    tool = "extract_frames_flows.py" if needs_flow else "extract_frames.py"
    hint = ", or read frames alone with --only_RGB" if needs_flow else ""
    return f"({bad} of {total} videos cannot be used): run utils1/{tool}{hint}, or leave them out with --missing skip"


def locate(frame_dir: Path, path: str) -> Path:
    """Folder of an entry. UCF101's lists and files disagree on capitals in places, so case may differ.

    Raises:
        ValueError: If the path leads out of the root.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"annotation lists {path!r}, which leads out of {frame_dir}")
    folder = frame_dir / path
    if not folder.is_dir() and folder.parent.is_dir():
        return next((f for f in folder.parent.iterdir() if f.name.lower() == folder.name.lower()), folder)
    return folder


class ClipReader:
    """Reads clips of a video.

    Args:
        streams: Streams to read.
        layout: Their file names.
        transform: Applied to all streams of a clip at once.

    Returns:
        {stream.name: uint8 (C, T, H, W), ..., "label": int, "video": str}
    """

    def __init__(self, streams: Sequence[Stream], layout: Layout, transform: Transform) -> None:
        self.streams, self.layout, self.transform = tuple(streams), layout, transform

    def __call__(self, video: Video, numbers: Sequence[int], rng: np.random.Generator) -> Sample:
        clip = {stream.name: self.read(video, stream, numbers) for stream in self.streams}
        return {**self.transform(clip, rng), "label": video.label, "video": video.name}

    def read(self, video: Video, stream: Stream, numbers: Sequence[int]) -> Tensor:
        """Frames of one stream, uint8 (T, C, H, W)."""
        return read_frames(video.folder, self.layout[stream.name], stream, numbers)


class VideoDataset(Dataset[Sample]):
    """One clip of each video, for training and validation.

    Items are addressed by `(epoch, index)`, or by an index alone, which means epoch 0. The random draws depend
    on the seed and the address only: not on workers, order or what was read before.

    Args:
        videos: What to read.
        reader: Reads a clip.
        sample: Chooses the frames.
        length: Frames per clip.
        seed: Seed of the draws, >= 0.
    """

    def __init__(self, videos: Sequence[Video], reader: ClipReader, *, sample: Sampler, length: int, seed: int) -> None:
        self.videos, self.reader, self.sample, self.length, self.seed = videos, reader, sample, length, seed

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, address: int | tuple[int, int]) -> Sample:
        epoch, index = address if isinstance(address, tuple) else (0, address)
        rng = np.random.default_rng((self.seed, epoch, index))
        video = self.videos[index]
        return self.reader(video, self.sample(video.num_frames, self.length, rng), rng)


class ClipDataset(Dataset[Sample]):
    """Every clip of each video, for testing. Samples carry the position of their video as "index".

    Args:
        videos: What to read.
        reader: Reads a clip.
        length: Frames per clip.
        tail: See `sampling.clip_starts`.
    """

    def __init__(self, videos: Sequence[Video], reader: ClipReader, *, length: int, tail: str = "overlap") -> None:
        self.videos, self.reader, self.length, self.tail = videos, reader, length, tail
        counts = [len(clip_starts(video.num_frames, length, tail)) for video in videos]
        self.ends = np.cumsum(counts)  # clip -> video by bisection: no list of every frame of a large corpus

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, address: int | tuple[int, int]) -> Sample:
        clip = address[1] if isinstance(address, tuple) else address  # nothing is drawn, so the epoch is irrelevant
        index = int(np.searchsorted(self.ends, clip, side="right"))
        video = self.videos[index]
        start = clip_starts(video.num_frames, self.length, self.tail)[clip - int(self.ends[index])]  # from the back
        numbers = loop(start, video.num_frames, self.length)
        return {**self.reader(video, numbers, np.random.default_rng(0)), "index": index}

    @property
    def clip_counts(self) -> list[int]:
        """Clips of each video."""
        return np.diff(self.ends, prepend=0).tolist()


ListVideos = Callable[[Path, int, str], Listing]
