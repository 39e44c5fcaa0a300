"""Moments in Time (Monfort et al., TPAMI 2019): clips of three seconds, 339 classes (305 in its second release).

moments_categories.txt                       lines "<class>,<index from 0>"
trainingSet.csv, validationSet.csv           rows "<class>/<video>.mp4,<class>,<votes for>,<votes against>"
training/<class>/<video>/                    frames; likewise validation/
"""

from pathlib import Path

from ..lists.annotations import check_path, collect, read_rows, without_extension
from ..lists.class_names import read_numbered
from ..lists.entries import Entry, Listing
from ..lists.source_groups import source_of

SUBSETS = {"train": "training", "test": "validation"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`.

    The validation list serves as test list, whose labels are secret.
    """
    file = annotation_path / "moments_categories.txt"
    class_names = read_numbered(file, "'<class>,<index>'", lambda line: line.rpartition(",")[::-2])
    index = {name: i for i, name in enumerate(class_names)}
    folder = SUBSETS[subset]

    def parse(row: list[str]) -> Entry:
        if len(row) < 2 or row[1].strip() not in index:
            raise ValueError(f"expected '<path>,<class>,...' with a class of moments_categories.txt, got {row}")
        video = check_path(without_extension(row[0].strip().removeprefix(f"{folder}/")))
        return Entry(f"{folder}/{video}", index[row[1].strip()], source_of(video.rpartition("/")[2]))

    return Listing(collect(read_rows(annotation_path / f"{folder}Set.csv"), parse), class_names)
