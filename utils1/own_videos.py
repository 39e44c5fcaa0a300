"""Videos of one's own, one folder per class: video files, or folders of frames."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from datasets.entries import Entry
from datasets.folders import NO_CLASS, find_tree, refuse_clashes
from datasets.groups import source_of
from engine.files import encoded

from .list_writers import Lists

log = logging.getLogger(__name__)


def list_own(root: Path) -> tuple[Lists, bool]:
    """The videos that `find_tree` finds, all for training, by class folder; and whether they are files.

    What is left out is said.

    Raises:
        FileNotFoundError: If there is no such folder, or it holds no class with a video.
        ValueError: If two videos would have the same name, or a video lies in no class.
    """
    videos, search = tree = find_tree(root)
    strays = [f"{video.path}{video.suffix}" for video in videos if not video.folder]
    if strays := strays or search.examples.get(NO_CLASS, []):
        raise ValueError(f"{root / strays[0]}: lies in no class; make one folder per class")
    refuse_clashes(root, videos)
    for line in search.lines():
        log.warning("%s", line)
    index = {folder: i for i, folder in enumerate(tree.folders)}
    entries = [Entry(video.path, index[video.folder], source_of(video.path)) for video in videos]
    names = [encoded(folder).decode() for folder in tree.folders]  # of which any file can be written
    return Lists({"train": entries, "test": []}, names), bool(videos[0].suffix)


def clashes(names: Iterable[str]) -> list[list[str]]:
    """Names that differ in capitals alone, which some disks take for one."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        same[name.casefold()].append(name)
    return [group for group in same.values() if len(group) > 1]
