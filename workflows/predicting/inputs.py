"""Inputs of predict.py: files, folders of files or of frames, cameras, pipes; and the files of their results."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.lists.annotations import VIDEOS
from datasets.lists.class_folders import Search, video_files
from datasets.stores.layouts import LAYOUTS

FIRST_FRAME = LAYOUTS["sts"]["rgb"][0].format(1)
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Input(NamedTuple):
    """A video to classify."""

    path: Path  # A file or a folder of frames; of a camera its number, of the standard input "-"
    name: Path  # below the folder that was named, without the extension of a file: where its results go
    live: bool = False  # whether it is a camera or a pipe, which comes by only once


def find_inputs(words: Iterable[str]) -> list[Input]:
    """Find the videos that a user means, in the order given, those of a folder sorted.

    Raises FileNotFoundError if there is no such file, or no video in a folder; ValueError for addresses in a network,
    or a camera among other inputs.
    """
    videos = [video for word in words for video in find(word)]
    if len(videos) > 1 and (live := [video for video in videos if video.live]):
        raise ValueError(f"{live[0].path}: a camera or pipe is watched alone; run the script once for each")
    return videos


def find(word: str) -> list[Input]:
    """Find the videos that one word means."""
    if URL.match(word):
        raise ValueError(f"{word}: predict reads files and cameras, no URLs; fetch the file first")
    path = Path(word)
    if word == "-" or word.isdecimal():
        return [Input(path, path, live=True)]
    if path.is_dir():
        return below(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; a camera is named by its number alone: 0, 1, ...")
    return [Input(path, Path(path.stem), live=path.is_fifo() or path.is_char_device())]


def below(root: Path) -> list[Input]:
    """Return the folder itself, if it holds the frames of a video; else all video files and frame folders below it."""
    videos = []
    search = Search(root)
    for folder, folders, files in search.walk():
        if FIRST_FRAME in files:
            videos.append(Input(folder, folder.relative_to(root) if folder != root else Path(root.resolve().name)))
            folders.clear()
            continue
        paths = video_files(folder, files, search)
        videos += [Input(path, path.relative_to(root).with_suffix("")) for path in paths]
    if not videos:
        raise FileNotFoundError(f"{root}: holds no video ({' '.join(VIDEOS)}) and no folder of frames ({FIRST_FRAME})")
    return sorted(videos)


def targets(option: str, value: str | None, inputs: Sequence[Input], suffixes: Iterable[str]) -> Sequence[Path | None]:
    """Return the file of each input's result: the one named, or one per input in a folder of that name.

    `value` is that of an `option`: a file that ends in one of the suffixes, a folder, or None for no files. Raises
    ValueError if files would overwrite an input or each other, or are of another kind.
    """
    if value is None:
        return [None] * len(inputs)
    path, suffixes = Path(value), tuple(suffixes)
    is_file = path.suffix.lower() in suffixes and not path.is_dir()
    if is_file and len(inputs) > 1:
        raise ValueError(f"{option} {value}: one file for {len(inputs)} videos; name a folder")
    if path.suffix and not is_file and not path.is_dir():
        raise ValueError(f"{option} {value}: must be a folder or end in {' or '.join(suffixes)}")
    files = [path if is_file else path / video.name.with_name(video.name.name + suffixes[0]) for video in inputs]
    used = {video.path.resolve(): video.path for video in inputs}
    for file, video in zip(files, inputs, strict=True):
        if other := used.get(file.resolve()):
            raise ValueError(f"{option} {value}: {file} of {video.path} would overwrite that of {other}")
        used[file.resolve()] = video.path
    return files
