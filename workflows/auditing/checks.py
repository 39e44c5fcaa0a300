"""Checks of one video.

Of a folder of frames every image is opened, but only its first and last bytes are read: a quarter of a minute per
million images and core once they are in memory. Of a video file every packet is read. Three frames of each video are
decoded, or all of them; of a file as its extraction does, with the same verdict in the same words.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datasets.clips.views import Placement, whole
from datasets.decoding.video.frames import timed_frames
from datasets.records.manifest import Facts
from datasets.stores.frames import FrameFolders
from datasets.stores.pack import PackedVideos, file_of
from datasets.stores.store import Store, Video, usable_frames
from datasets.stores.video_files import VideoFiles
from datasets.streams import FLOW, RGB, STORED
from sts_common.workers import Worker

from .jpeg_ends import Fault, check_image

CHUNK = 16  # frames decoded at a time
PIECE = 65536  # bytes of a file that count for its hash, at three places


class Problem(NamedTuple):
    """A problem of a video or of a list."""

    kind: str  # A key of `findings.KINDS`
    path: str  # the video as the annotation names it; empty if it is not about one
    text: str  # one line that names the file


class Job(NamedTuple):
    """A video to check: where it is, which streams it must have, and whether every frame is decoded."""

    store: Store
    path: str
    needs: frozenset[str]
    deep: bool


class VideoCheck(NamedTuple):
    """Result of a job; there are facts if there is no problem."""

    path: str
    facts: Facts | None
    problems: list[Problem]


class UnusableVideo(Exception):  # noqa: N818 - no error of the program
    """Signal that ends the checks of a video that cannot be used."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


def check_video(job: Job, worker: Worker) -> VideoCheck:
    """Check one video; every fault of the video is a problem in the result, never an exception."""
    try:
        return VideoCheck(job.path, examine(*job), [])
    except UnusableVideo as error:
        return VideoCheck(job.path, None, error.problems)


def examine(store: Store, path: str, needs: frozenset[str], deep: bool) -> Facts:
    """Return the manifest's facts of a sound video; raises UnusableVideo with what is wrong."""
    folders = isinstance(store, FrameFolders)
    with reported_as("outside", path):
        folder = store.locate(path)
    with reported_as("count" if folders else "undecodable", path):
        counts = store.counts(folder, needs)
        usable_frames(counts, store.flow_lag)
    counts = {stream: count for stream, count in counts.items() if count}
    files, first = files_of(store, folder), 1
    video = Video(path, folder, 0, min(counts.values()))
    if isinstance(store, FrameFolders):
        planes = [store.paths(video, stream, range(1, count + 1)) for stream, count in counts.items()]
        check_images(path, planes)
        files, first = planes[0][0], store.layout.first
    with reported_as("undecodable", path):
        height, width = decode(store, video, counts, deep)
        content = hash_of(files)
    place = folder.relative_to(store.root).as_posix()
    rgb, flow = counts.get(RGB.name), counts.get(FLOW.name)
    return Facts(path, place if place != path else None, rgb, flow, first, width, height, rate(store, folder), content)


@contextmanager
def reported_as(kind: str, path: str) -> Iterator[None]:
    """Convert errors that a user can cause into problems of the video."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnusableVideo(Problem("missing", path, one_line(error))) from None
    except (OSError, ValueError) as error:
        raise UnusableVideo(Problem(kind, path, one_line(error))) from None


def files_of(store: Store, folder: Path) -> list[Path]:
    """Return the files of a located video: a folder, a file, or a packed file for each stream."""
    if isinstance(store, PackedVideos):
        packed = [file_of(folder, stream) for stream in STORED]
        return [file for file in packed if file.is_file()]
    return [folder]


def check_images(path: str, streams: Sequence[Sequence[Sequence[Path]]]) -> None:
    """Check the first and last bytes of every image of a video, by stream and image plane.

    Raises UnusableVideo with one problem of each kind, which names the first file.
    """
    faults = defaultdict(list)
    for planes in streams:
        size = None
        for file in chain(*planes):
            fault, (width, height) = check_image(file)
            size = size or (None if fault else (width, height))
            if not fault and size != (width, height):
                fault = Fault("size", f"{width}x{height}, unlike the other frames of the video")
            if fault:
                faults[fault.kind].append(f"{file}: {fault.text}")
    if faults:
        more = {kind: f" (and {len(texts) - 1} more)" if len(texts) > 1 else "" for kind, texts in faults.items()}
        raise UnusableVideo(*(Problem(kind, path, texts[0] + more[kind]) for kind, texts in faults.items()))


def decode(store: Store, video: Video, counts: Mapping[str, int], deep: bool) -> tuple[int, int]:
    """Decode every frame of a video, or only its first, middle and last one; return height and width.

    Raises FileNotFoundError if a frame is missing; ValueError if one cannot be decoded, or another has another size.
    """
    if deep and isinstance(store, VideoFiles):  # as an extraction reads it, which notices more than single frames show
        for _ in timed_frames(video.folder):
            pass
        deep = False
    shape = (0, 0)
    for stream in (FLOW, RGB):  # the size is that of the frames where there are any
        count = counts.get(stream.name, 0)
        numbers = list(range(1, count + 1)) if deep or count < 3 else [1, (count + 1) // 2, count]
        for start in range(0, len(numbers), CHUNK):
            frames = store.read(video, stream, numbers[start : start + CHUNK], Placement(whole))
            if start and frames.shape[-2:] != shape:
                raise ValueError(f"{video.folder}: the size of its {stream.name} images changes")
            shape = (int(frames.shape[-2]), int(frames.shape[-1]))
    return shape


def hash_of(files: Sequence[Path]) -> str:
    """Hash the content of files, whatever their names; `manifest.HASH` says which bytes count."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(" ".join(str(file.stat().st_size) for file in files).encode())
    for index in sorted({0, len(files) // 2, len(files) - 1}):
        with files[index].open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            for start in sorted({0, max(0, length // 2 - PIECE // 2), max(0, length - PIECE)}):
                file.seek(start)
                digest.update(file.read(PIECE))
    return digest.hexdigest()


def rate(store: Store, folder: Path) -> float | None:
    """Return the frames per second, None if they are not stated; only segments in seconds need them."""
    try:
        return store.rate(folder)
    except (OSError, ValueError):
        return None


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks."""
    return " ".join(str(error).split())
