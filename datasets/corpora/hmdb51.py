"""HMDB51 (Kuehne et al., ICCV 2011): three splits of 51 classes, one annotation file per class and split.

HMDB51_labels/brush_hair_test_split1.txt     lines "<video>.avi <tag>", tag 1 train, 2 test, 0 unused
HMDB51/brush_hair/<video>/                   frames
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..lists.annotations import check_path, collect, read_lines, stem, whole_number
from ..lists.entries import Entry, Listing

TAGS = {"train": "1", "test": "2"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`. Classes are numbered in the order of their names."""
    files = {}
    for file in sorted(annotation_path.glob("*.txt")):
        if match := re.fullmatch(rf"(.+)_test_split{split}\.txt", file.name):
            files[match[1]] = file
    if not files:
        raise FileNotFoundError(f"{annotation_path}: no *_test_split{split}.txt; check --annotation_path and --split")
    index = {name: i for i, name in enumerate(sorted(files))}

    def rows() -> Iterator[tuple[str, tuple[str, str]]]:
        for name, file in files.items():  # the order of file names, which is that of the published item lists
            yield from ((place, (name, line)) for place, line in read_lines(file) if tag_of(line) in (TAGS[subset], ""))

    def parse(row: tuple[str, str]) -> Entry:
        name, line = row
        if not tag_of(line):
            raise ValueError(f"expected '<video>.avi <0, 1 or 2>', got {line[:80]!r}")
        video = stem(line.rpartition(" ")[0].strip())
        return Entry(check_path(f"{name}/{video}"), index[name], source_of(video, name))

    return Listing(collect(rows(), parse), list(index))


def tag_of(line: str) -> str:
    """Return the number after the name of a video, "" if the line is malformed."""
    video, _, tag = line.rpartition(" ")
    tag = whole_number(tag)
    return tag if tag in ("0", "1", "2") and video.strip() else ""


def source_of(video: str, class_name: str) -> str:
    """Return the film or clip a video was cut from: the part of its name before the class."""
    return video.split(f"_{class_name}_")[0]
