"""Kinetics 400, 600, 700 and Mini-Kinetics: the classes are those that the lists name.

Kinetics_labels/Kinetics_train_labels.txt    lines "<path> <class index from 0> <frames>", path may hold spaces
Kinetics_labels/Kinetics_val_labels.txt
Kinetics/<path>/                             frames; paths are like train/abseiling/<video>
"""

from pathlib import Path, PurePosixPath

from .annotations import parse_index, read_lines
from .video import Entry, Listing

FILES = {"train": "Kinetics_train_labels.txt", "test": "Kinetics_val_labels.txt"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset; the official validation list serves as test list.

    Args:
        annotation_path: Folder of the two lists.
        split: Ignored, there is one.
        subset: "train" or "test".

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If a line is malformed.
    """
    entries = read_list(annotation_path / FILES[subset])
    names: dict[int, str] = {}
    for file in FILES.values():  # either list may lack a class
        known = read_list(annotation_path / file) if (annotation_path / file).exists() else []
        names |= {entry.label: PurePosixPath(entry.path).parent.name for entry in known}
    class_names = [names.get(i, f"class {i}") for i in range(max(names, default=-1) + 1)]
    return Listing(entries, class_names)


def read_list(path: Path) -> list[Entry]:
    """Entries of one list. The frame count is not used: it may be another extractor's."""
    entries = []
    for place, line in read_lines(path):
        fields = line.rsplit(" ", 2)
        if len(fields) != 3:
            raise ValueError(f"{place}: expected '<path> <class index> <frames>', got {line!r}")
        entries.append(Entry(fields[0], parse_index(fields[1], place, first=0), fields[0]))
    return entries
