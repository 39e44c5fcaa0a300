"""Checks of the lists of a data set, alone and against the content of its folder."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datasets.lists.annotations import VIDEOS
from datasets.lists.class_folders import IMAGES, Search
from datasets.lists.entries import Entry, Listing, ListVideos
from sts_common import counted

from .checks import Problem

log = logging.getLogger(__name__)

SPLITS = (1, 2, 3)
SUBSETS = ("train", "test")
# Videos of the official lists by split, and classes.
OFFICIAL = {
    "UCF101": ({1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}, 101),
    "HMDB51": (dict.fromkeys(SPLITS, (3570, 1530)), 51),
}


class Lists(NamedTuple):
    """The lists that could be read, by split and subset, and the problems of the others."""

    listings: dict[tuple[int, str], Listing]
    problems: list[Problem]

    def entries(self) -> list[Entry]:
        """Entries of all lists, every path once."""
        return list({e.path: e for listing in self.listings.values() for e in listing.entries}.values())

    def pairs(self) -> Iterator[tuple[int, Listing, Listing]]:
        """(split, training list, test list) where both are there."""
        for split in SPLITS:
            if (split, "train") in self.listings and (split, "test") in self.listings:
                yield split, self.listings[split, "train"], self.listings[split, "test"]


def read_lists(list_videos: ListVideos, path: Path, splits: Sequence[int]) -> Lists:
    """Read the training and test lists of some splits; a data set without splits has only the first.

    Raises FileNotFoundError if there is none of them.
    """
    lists = Lists({}, [])
    absent: list[FileNotFoundError] = []
    for split, subset in product(splits, SUBSETS):
        try:
            listing = list_videos(path, split, subset)
        except FileNotFoundError as error:
            absent.append(error)
            continue
        except ValueError as error:
            lists.problems.append(Problem("list", "", str(error)))
            continue
        if split != splits[0] and listing == lists.listings.get((splits[0], subset)):
            break  # there are no splits
        lists.listings[split, subset] = listing
    if not lists.listings and not lists.problems:
        raise absent[0]
    for reason in absent:
        log.info("not looked at: %s", reason)
    problems = dict.fromkeys(lists.problems)  # a class file is read for every list
    return lists._replace(problems=list(problems))


def check_lists(lists: Lists, dataset: str) -> Iterator[Problem]:
    """Find problems within the lists, and between the lists of one split."""
    for (split, subset), listing in lists.listings.items():
        yield from check_entries(listing, f"split {split} {subset}")
    for split, train, test in lists.pairs():
        yield from check_overlap(split, train.entries, test.entries)
    if dataset in OFFICIAL:
        yield from check_official(lists, dataset)


def check_entries(listing: Listing, where: str) -> Iterator[Problem]:
    """Find videos that are listed twice, or whose class cannot be theirs."""
    labels = defaultdict(list)
    for entry in listing.entries:
        labels[entry.name].append(entry.label)
    for entry in {entry.name: entry for entry in listing.entries}.values():
        listed = labels[entry.name]
        if len(set(listed)) > 1:
            yield Problem("class", entry.path, f"{where}: listed {len(listed)} times with different classes")
        elif len(listed) > 1:
            yield Problem("duplicate", entry.path, f"{where}: listed {len(listed)} times")
    numbers = {name.lower(): i for i, name in enumerate(listing.class_names)}
    for entry in listing.entries:
        folder = PurePosixPath(entry.path).parent.name
        if entry.label >= len(listing.class_names):
            yield Problem("class", entry.path, f"{where}: class {entry.label} of {len(listing.class_names)}")
        elif numbers.get(folder.lower(), entry.label) != entry.label:
            name = listing.class_names[entry.label]
            yield Problem("class", entry.path, f"{where}: listed as {name!r}, but lies in the folder of {folder!r}")


def check_overlap(split: int, train: Sequence[Entry], test: Sequence[Entry]) -> Iterator[Problem]:
    """Find videos, and groups of clips of one source, on both sides of a split."""
    trained = {entry.path for entry in train}
    for path in dict.fromkeys(entry.path for entry in test if entry.path in trained):
        yield Problem("overlap", path, f"split {split}: in the training list and in the test list")
    groups = {entry.group: entry.path for entry in train}
    shared = {entry.group: entry for entry in test if entry.group in groups and entry.path not in trained}
    for group, entry in shared.items():
        yield Problem("group", entry.path, f"split {split}: source {group!r}, as {groups[group]!r} for training")


def check_official(lists: Lists, dataset: str) -> Iterator[Problem]:
    """Find lists whose length is not the published one."""
    counts, classes = OFFICIAL[dataset]
    for (split, subset), listing in lists.listings.items():
        official = counts[split][SUBSETS.index(subset)]
        if len(listing.entries) != official:
            text = f"split {split} {subset}: lists {counted(len(listing.entries), 'video')}, officially {official:,}"
            yield Problem("official", "", text)
    for count in sorted({len(listing.class_names) for listing in lists.listings.values()} - {classes}):
        yield Problem("official", "", f"{count} classes, officially {classes}")


def check_content(lists: Lists, hashes: Mapping[str, str]) -> Iterator[Problem]:
    """Find videos of equal content under two names: an error on both sides of a split."""
    by_content = defaultdict(list)
    for path, content in hashes.items():
        by_content[content].append(path)
    copies = {path: paths for paths in by_content.values() if len(paths) > 1 for path in paths}
    overlapping = set()
    for split, train, test in lists.pairs():
        trained = {entry.path for entry in train.entries}
        for path in dict.fromkeys(entry.path for entry in test.entries if entry.path in copies):
            twins = [other for other in copies[path] if other != path and other in trained]
            if twins:
                overlapping.add(path)
                yield Problem("overlap", path, f"split {split}: the same content as {twins[0]!r} of the training list")
    for paths in by_content.values():
        for path in paths[1:]:
            if path not in overlapping:
                yield Problem("duplicate", path, f"the same content as {paths[0]!r}")


def check_folder(root: Path, videos: Collection[Path]) -> Iterator[Problem]:
    """Find videos in a folder that are in no list; `videos` are the places that listed ones have, or should."""
    ancestors = {folder for place in videos for folder in place.parents if folder.is_relative_to(root)}
    holders = {place.parent for place in videos}
    kinds = {place.suffix.lower() for place in videos if place.is_file()}
    for folder in sorted(ancestors.difference(videos)):
        for place in children(folder, kinds):
            if place in ancestors or place in videos:
                continue
            if folder in holders and place.is_file() == bool(kinds):
                yield Problem("unlisted", place.relative_to(root).as_posix(), f"{place}: in none of the lists")
            elif place.is_dir() and holds_video(place, (*kinds, *VIDEOS) if kinds else IMAGES):
                yield Problem("unlisted class", "", f"{place}: a folder of which no video is listed")


def holds_video(folder: Path, endings: tuple[str, ...]) -> bool:
    """Whether a folder holds a video at any depth, as lists of folders would take it."""
    return any(name.lower().endswith(endings) for _, _, names in Search(folder).walk() for name in names)


def children(folder: Path, kinds: Collection[str]) -> list[Path]:
    """Return the folders, and the files if the videos are files."""
    if not folder.is_dir():
        return []
    shown = (place for place in sorted(folder.iterdir()) if not place.name.startswith("."))
    return [place for place in shown if place.suffix.lower() in kinds or place.is_dir()]
