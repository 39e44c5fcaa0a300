"""A user's videos, one folder per class: video files, or folders of frames."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from datasets.lists.class_folders import NO_CLASS, VideoPath, find_tree, refuse_clashes
from datasets.lists.entries import Entry
from datasets.lists.links import LINKS, followed, leading_out
from datasets.lists.source_groups import source_of
from sts_common import counted
from sts_common.files import encoded, write_atomically

from .list_writers import Lists

log = logging.getLogger(__name__)


def list_own(root: Path) -> Lists:
    """List the videos that `find_tree` finds, all for training, by class folder; training may follow links to them.

    Warns of what is left out. Raises FileNotFoundError if there is no such folder, or it holds no class with a video;
    ValueError if two videos would have the same name, or a video lies in no class.
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
    follow_links(root, videos)
    return Lists({"train": entries, "test": []}, names)


def follow_links(root: Path, videos: Iterable[VideoPath]) -> None:
    """Record in `links.txt` which links of a user's videos may lead out of their folder, if any do."""
    links = {link for video in videos if (link := leading_out(root, f"{video.path}{video.suffix}"))}
    if not links:
        return
    lines = b"".join(os.fsencode(f"{link}\n") for link in sorted(links | followed(root)))
    try:
        write_atomically(root / LINKS, lambda file: file.write(lines))
    except OSError as error:
        log.warning("%s: cannot be written (%s), so training will refuse %s", root / LINKS, error.strerror, min(links))
    else:
        log.info("%s: %s out of the folder, which training follows", root / LINKS, counted(len(links), "link"))


def clashes(names: Iterable[str]) -> list[list[str]]:
    """Return names that differ in case alone, which some disks take for one."""
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        by_case[name.casefold()].append(name)
    return [group for group in by_case.values() if len(group) > 1]
