"""HMDB51 (Kuehne et al., ICCV 2011): three splits of 51 classes, one annotation file per class and split.

HMDB51_labels/brush_hair_test_split1.txt     lines "<video>.avi <tag>", tag 1 train, 2 test, 0 unused
HMDB51/brush_hair/<video>/                   frames
"""

import re
from pathlib import Path

from .annotations import read_lines, stem
from .video import Entry, Listing

TAGS = {"train": "1", "test": "2"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset. Classes are numbered in the order of their names.

    Args:
        annotation_path: Folder of the annotation files.
        split: 1, 2 or 3.
        subset: "train" or "test".

    Raises:
        FileNotFoundError: If there is no annotation of the split.
        ValueError: If a line is malformed.
    """
    files = {}
    for file in sorted(annotation_path.glob("*.txt")):
        if match := re.fullmatch(rf"(.+)_test_split{split}\.txt", file.name):
            files[match[1]] = file
    if not files:
        raise FileNotFoundError(f"{annotation_path}: no *_test_split{split}.txt; check --annotation_path and --split")
    class_names = sorted(files)
    entries = []
    for name, file in files.items():  # the order of file names, which is that of the published item lists
        for place, line in read_lines(file):
            video, _, tag = line.rpartition(" ")
            if tag not in ("0", "1", "2") or not video.strip():
                raise ValueError(f"{place}: expected '<video>.avi <0, 1 or 2>', got {line!r}")
            if tag == TAGS[subset]:
                folder = stem(video.strip())
                entries.append(Entry(f"{name}/{folder}", class_names.index(name), source_of(folder, name)))
    return Listing(entries, class_names)


def source_of(video: str, class_name: str) -> str:
    """The film or clip a video was cut from: what stands before the class in its name."""
    return video.split(f"_{class_name}_")[0]
