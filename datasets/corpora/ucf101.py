"""UCF101 (Soomro et al., 2012): three splits of 101 classes.

UCF101_labels/classInd.txt                   lines "<index from 1> <class>"
UCF101_labels/trainlist01.txt                lines "<class>/<video>.avi <index from 1>"
UCF101_labels/testlist01.txt                 lines "<class>/<video>.avi"
UCF101/ApplyEyeMakeup/<video>/               frames
"""

from pathlib import Path

from ..lists.annotations import check_path, collect, read_lines, stem
from ..lists.class_names import read_numbered
from ..lists.entries import Entry, Listing
from ..lists.source_groups import source_of

LISTS = {"train": "trainlist", "test": "testlist"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`."""
    file = annotation_path / "classInd.txt"
    class_names = read_numbered(file, "'<index> <class>'", lambda line: line.partition(" ")[::2], first=1)
    index = {name.lower(): i for i, name in enumerate(class_names)}

    def parse(line: str) -> Entry:
        path = stem(line.split()[0])  # the index that training lists repeat is not needed: the folder is the class
        name, _, video = path.partition("/")
        if name.lower() not in index or not video:
            raise ValueError(f"expected '<class>/<video>.avi' with a class of classInd.txt, got {line[:80]!r}")
        return Entry(check_path(path), index[name.lower()], source_of(path))

    return Listing(collect(read_lines(annotation_path / f"{LISTS[subset]}{split:02d}.txt"), parse), class_names)
