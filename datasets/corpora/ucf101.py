"""UCF101 (Soomro et al., 2012): three splits of 101 classes.

UCF101_labels/classInd.txt                   lines "<index from 1> <class>"
UCF101_labels/trainlist01.txt                lines "<class>/<video>.avi <index from 1>"
UCF101_labels/testlist01.txt                 lines "<class>/<video>.avi"
UCF101/ApplyEyeMakeup/<video>/               frames
"""

from pathlib import Path

from ..lists.annotations import check_path, collect, parse_index, read_lines, stem
from ..lists.entries import Entry, Listing
from ..lists.source_groups import source_of

LISTS = {"train": "trainlist", "test": "testlist"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset.

    Arguments and errors are those of `ListVideos`.
    """
    class_names = read_classes(annotation_path / "classInd.txt")
    index = {name.lower(): i for i, name in enumerate(class_names)}

    def parse(line: str) -> Entry:
        path = stem(line.split()[0])  # the index that training lists repeat is not needed: the folder is the class
        name, _, video = path.partition("/")
        if name.lower() not in index or not video:
            raise ValueError(f"expected '<class>/<video>.avi' with a class of classInd.txt, got {line[:80]!r}")
        return Entry(check_path(path), index[name.lower()], source_of(path))

    return Listing(collect(read_lines(annotation_path / f"{LISTS[subset]}{split:02d}.txt"), parse), class_names)


def read_classes(path: Path) -> list[str]:
    """Read class names by index."""
    names: dict[int, str] = {}
    for place, line in read_lines(path):
        number, _, name = line.partition(" ")
        try:
            label = parse_index(number, first=1)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if not name.strip() or label in names:
            raise ValueError(f"{place}: expected '<index> <class>' with a new index, got {line[:80]!r}")
        names[label] = name.strip()
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{path}: class indices must go from 1 to {len(names)} without a gap")
    return [names[i] for i in range(len(names))]
