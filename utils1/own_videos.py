"""Videos of one's own, one folder per class: video files, or folders of frames."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datasets.annotations import VIDEOS

IMAGES = (".jpg", ".jpeg", ".png")


class Own(NamedTuple):
    """A video.

    Attributes:
        path: Below the root, with forward slashes and without the extension of a file.
        label: Name of its class: the first folder.
        is_file: Whether it is a video file; else a folder of frames.
    """

    path: str
    label: str
    is_file: bool


def find_own(root: Path) -> list[Own]:
    """Every video file, and every folder that holds images, below the class folders; in the order of their names.

    Raises:
        FileNotFoundError: If there is no such folder, or it holds no class with a video.
        ValueError: If two videos would have the same name, or a video lies in no class.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; it must hold one folder of videos per class")
    found: list[Own] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(folder).relative_to(root).as_posix()
        shown = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in shown if name.lower().endswith(VIDEOS)]
        if place == "." and videos:
            raise ValueError(f"{root / videos[0]}: lies in no class; make one folder per class")
        found += [own(f"{place}/{name.rpartition('.')[0]}", is_file=True) for name in videos]
        if "/" in place and any(name.lower().endswith(IMAGES) for name in shown):
            found.append(own(place, is_file=False))
            folders.clear()
    if not found:
        raise FileNotFoundError(f"{root}: no class folder holds a video ({' '.join(VIDEOS)}) or a folder of frames")
    refuse_repeats(root, found)
    return sorted(found)


def own(path: str, is_file: bool) -> Own:
    """A video whose class is its first folder."""
    return Own(path, path.partition("/")[0], is_file)


def refuse_repeats(root: Path, found: Iterable[Own]) -> None:
    """Raise a ValueError for videos that differ in their extension alone."""
    seen: set[str] = set()
    for video in found:
        if video.path in seen:
            raise ValueError(f"{root / video.path}: there are two such videos; rename or remove one")
        seen.add(video.path)


def clashes(names: Iterable[str]) -> list[list[str]]:
    """Names that differ in capitals alone, which some disks take for one."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        same[name.casefold()].append(name)
    return [group for group in same.values() if len(group) > 1]
