"""Videos of a tree of frame folders, and their packed files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datasets.decoding.pixels import check_size, read_file
from datasets.lists.entries import Entry
from datasets.stores.detect import detect_layout
from datasets.stores.frames import FrameFolders
from datasets.stores.layouts import LAYOUTS
from datasets.stores.pack import file_of
from datasets.stores.pack_file import PackFile
from datasets.stores.pack_format import RECORD, SUFFIX, Description, write_pack
from datasets.stores.store import Video
from datasets.streams import STORED
from sts_common.files import remove_unfinished, write_atomically
from sts_common.workers import Worker


@dataclass(frozen=True)
class Job:
    """A folder of frames below `root`, whose packed files are named `target` and an ending."""

    root: Path
    layout: str
    folder: Path
    target: Path


class Images(NamedTuple):
    """The image files of one packed file."""

    stream: str  # its name
    planes: int  # per frame
    paths: Sequence[Path]  # of images, frame by frame, plane by plane
    others: Sequence[Path]  # further files of the video
    root: Path  # what paths in the file begin at
    rate: float | None  # frames per second, if known

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in (*self.paths, *self.others))


@dataclass(frozen=True)
class Outcome:
    """Bytes before and after, number of packed files that existed already, and the error or ""."""

    before: int = 0
    after: int = 0
    skipped: int = 0
    problem: str = ""


def choose_layout(root: Path, layout: str) -> str:
    """Return the layout of a tree, detected where it is "auto".

    Raises FileNotFoundError if the tree is not there, or empty; ValueError if it holds no frames.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    if (root / RECORD).exists():
        raise ValueError(f"{root}: holds packed clips, there is nothing to pack; --unpack makes folders of them")
    if layout != "auto":
        return layout
    entries = [Entry(folder.relative_to(root).as_posix(), 0, "") for folder in folders_with_files(root)]
    if not entries:
        raise FileNotFoundError(f"{root}: holds no folders of frames")
    detected = detect_layout(root, entries)
    if detected not in LAYOUTS:
        raise ValueError(f"{root}: holds no folders of frames, but --layout {detected}; there is nothing to pack")
    return detected


def folders_with_files(root: Path) -> Iterator[Path]:
    """Find the folders below a root that hold files, sorted."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith(".part-"))  # unfinished extractions
        if names and Path(folder) != root:
            yield Path(folder)


def find_folders(store: FrameFolders) -> list[Path]:
    """Find folders of videos: those with a first frame, and those that have flow but no frames anywhere."""
    folders = list(folders_with_files(store.root))
    framed = [folder for folder in folders if begins(store, folder, "rgb")]
    names = {folder.name for folder in framed}
    apart = any(pattern.folder for pattern in store.layout["flow"])  # flow has a tree of its own
    flow_only = [
        folder
        for folder in folders
        if folder not in set(framed)
        and begins(store, folder, "flow")
        and store.planes(folder, "flow")[0].folder == folder
        and not (apart and folder.name in names)
    ]
    return sorted(framed + flow_only)


def begins(store: FrameFolders, folder: Path, stream: str) -> bool:
    """Whether a stream has a first image."""
    planes = store.planes(folder, stream)
    return bool(planes) and all(plane.path(store.layout.first).is_file() for plane in planes)


def images_of(store: FrameFolders, folder: Path) -> list[Images]:
    """Return the images of each packed file of a video; raises ValueError if an image is missing."""
    streams = [stream for stream in STORED if begins(store, folder, stream)]
    counts = store.counts(folder, set(streams))
    video = Video(folder.name, folder, 0, 0)
    paths = {stream: store.paths(video, stream, range(1, counts[stream] + 1)) for stream in streams}
    packed = {path for planes in paths.values() for path in chain(*planes)}
    try:
        rate = store.rate(folder)
    except ValueError:
        rate = None
    seen: set[Path] = set()
    packed_files = []
    for number, stream in enumerate(streams):
        places = {plane.folder for plane in store.planes(folder, stream)} | ({folder} if number == 0 else set())
        files = sorted(file for place in places - seen for file in place.iterdir() if file.is_file())
        others = [file for file in files if file not in packed]
        seen |= places
        by_frame = list(chain(*zip(*paths[stream], strict=True)))
        packed_files.append(Images(stream, len(paths[stream]), by_frame, others, store.root, rate))
    return packed_files


def pack_video(job: Job, worker: Worker) -> Outcome:
    """Pack all streams of a video; existing packed files are left alone."""
    before = after = skipped = 0
    try:
        if worker.attempt:
            remove_unfinished(file_of(job.target, stream) for stream in STORED)
        for images in images_of(FrameFolders(job.root, job.layout), job.folder):
            target = file_of(job.target, images.stream)
            if is_packed(target, images):
                skipped += 1
            else:
                pack(images, target)
            before += images.size
            after += target.stat().st_size
    except (ValueError, FileNotFoundError) as error:
        return Outcome(before, after, skipped, str(error))
    return Outcome(before, after, skipped)


def lost_folder(job: Job, reason: str) -> Outcome:
    """Return the outcome of a video during which workers of a cluster die."""
    return Outcome(problem=f"{job.folder}: {reason}")


def pack(images: Images, target: Path) -> None:
    """Write a file of packed clips, which is whole or not there; raises ValueError if an image is damaged."""
    files = [*images.paths, *images.others]
    names = [path.relative_to(images.root).as_posix() for path in files]
    description = Description(images.planes, len(images.paths), images.rate, names)
    write_atomically(target, lambda file: write_pack(file, description, contents(images)))


def contents(images: Images) -> Iterator[bytes]:
    """Read the bytes of each file."""
    for path in images.paths:
        data = read_file(path)
        check_size(memoryview(data), path)
        yield data
    yield from map(read_file, images.others)


def is_packed(target: Path, images: Images) -> bool:
    """Whether a file exists, is whole, and has so many images."""
    try:
        return PackFile(target).images == len(images.paths)
    except (FileNotFoundError, ValueError):
        return False


def packed_videos(root: Path) -> list[list[Path]]:
    """Return the packed files by video, frames before flow."""
    videos: dict[str, list[Path]] = {}
    for file in sorted(root.rglob(f"*{SUFFIX}"), reverse=True):  # "rgb" before "flow"
        videos.setdefault(str(file).removesuffix(SUFFIX).rpartition(".")[0], []).append(file)
    return list(videos.values())[::-1]
