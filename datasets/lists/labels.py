"""Labels of lists: numbers of classes, or their names, which may look like numbers."""

import logging
from collections import defaultdict
from collections.abc import Sequence, Set
from functools import cache
from pathlib import Path, PurePosixPath

from .annotations import MAX_CLASSES, whole_number
from .forms import Table

RENUMBER = "utils1/make_lists.py --first_label"

log = logging.getLogger(__name__)


def number_labels(
    names: list[str], tables: Sequence[Table], first: int, place: Path
) -> tuple[dict[str, int] | None, list[str]]:
    """Return indices by label, None where labels are numbers from `first` on, and the class names.

    The names are those of the class file, the tables all lists, and `place` is one of them for what is logged.
    """
    labels = {label for table in tables for label in table.labels.values}
    are_numbers = all(map(is_number, labels))
    if names and not are_numbers:
        return {name: i for i, name in enumerate(names)}, names
    if names:
        return by_name(labels, names, place), names
    if not are_numbers:
        if numeric := sorted(filter(is_number, labels)):
            name = min(labels.difference(numeric))
            log_once(f"{place}: labels are taken for class names, also {numeric[0]!r}, for {name!r} is no number")
        return {name: i for i, name in enumerate(sorted(labels))}, sorted(labels)
    return None, names_of_numbers(tables, first, place)


def is_number(label: str) -> bool:
    """Whether a label is written as a whole number."""
    return label.strip().isdecimal() or whole_number(label) != ""


def by_name(labels: Set[str], names: list[str], place: Path) -> dict[str, int] | None:
    """Return indices of numeric labels that are class names, None if not all of them are; logged."""
    if not labels:  # a list with a head alone
        return {}
    index = {whole_number(name) or name: i for i, name in enumerate(names)}
    numbers = {label: whole_number(label) for label in labels}
    if labels <= set(names):  # "1" and "1.0" may be two classes
        index, numbers = {name: i for i, name in enumerate(names)}, {label: label for label in labels}
    if set(numbers.values()) <= index.keys():
        log_once(f"{place}: labels like {min(labels)!r} are taken for class names, which the class file lists as such")
        return {label: index[name] for label, name in numbers.items()}
    if any(map(is_number, names)):
        log_once(f"{place}: labels like {min(labels)!r} are taken for numbers of classes: not all are class names")
    return None


def names_of_numbers(tables: Sequence[Table], first: int, place: Path) -> list[str]:
    """Return class names where labels are numbers: the folders' names, if each class has one of its own."""
    pairs = {pair for table in tables for pair in zip(table.labels, map(folder_of, table.paths), strict=True)}
    folders: dict[int, set[str]] = defaultdict(set)
    for label, folder in pairs:
        number = whole_number(label)
        if number and first <= int(number) < MAX_CLASSES:  # others are reported where they stand
            folders[int(number) - first].add(folder)
    if folders and 0 not in folders:
        log.warning("no video has label %d; if labels count from %d, rewrite the lists: %s", first, first + 1, RENUMBER)
    if folders and all(label == folder for label, folder in pairs):
        log_once(f"{place}: labels, which are the folders' names too, are taken for numbers of classes from {first}")
    names = ["".join(folders[i]) if len(folders[i]) == 1 else "" for i in range(max(folders, default=-1) + 1)]
    distinct = len(set(names)) == len(names) and all(names)  # the folders are the classes
    return names if distinct else [f"class {i}" for i in range(len(names))]


def folder_of(path: str) -> str:
    """Return the name of the folder in which a path lies; paths are many, and their folders few."""
    folder, _, name = path.rpartition("/")
    return name_of(folder) if name not in ("", ".") else PurePosixPath(path).parent.name


@cache
def name_of(folder: str) -> str:
    """Return the last part of a path."""
    return PurePosixPath(folder).name


@cache
def log_once(message: str) -> None:
    """Log a message once, however often the same lists are read."""
    log.info("%s", message)
