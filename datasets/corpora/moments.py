"""Moments in Time (Monfort et al., TPAMI 2019): clips of three seconds, 339 classes (305 in its second release).

moments_categories.txt                       lines "<class>,<index from 0>"
trainingSet.csv, validationSet.csv           rows "<class>/<video>.mp4,<class>,<votes for>,<votes against>"
training/<class>/<video>/                    frames; likewise validation/
"""

from pathlib import Path

from ..lists.annotations import check_path, collect, parse_index, read_lines, read_rows, without_extension
from ..lists.entries import Entry, Listing
from ..lists.source_groups import source_of

SUBSETS = {"train": "training", "test": "validation"}


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset; labels of the test list are secret, the validation list serves as test list.

    Arguments and errors are those of `ListVideos`.
    """
    class_names = read_categories(annotation_path / "moments_categories.txt")
    index = {name: i for i, name in enumerate(class_names)}
    folder = SUBSETS[subset]

    def parse(row: list[str]) -> Entry:
        if len(row) < 2 or row[1].strip() not in index:
            raise ValueError(f"expected '<path>,<class>,...' with a class of moments_categories.txt, got {row}")
        video = check_path(without_extension(row[0].strip().removeprefix(f"{folder}/")))
        return Entry(f"{folder}/{video}", index[row[1].strip()], source_of(video.rpartition("/")[2]))

    return Listing(collect(read_rows(annotation_path / f"{folder}Set.csv"), parse), class_names)


def read_categories(path: Path) -> list[str]:
    """Read class names by index.

    Raises:
        ValueError: If the indices do not go from 0 without a gap.
    """
    names: dict[int, str] = {}
    for place, line in read_lines(path):
        name, _, number = line.rpartition(",")
        try:
            label = parse_index(number.strip())
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if label in names or not name.strip():
            raise ValueError(f"{place}: expected '<class>,<index>' with a new index, got {line[:80]!r}")
        names[label] = name.strip()
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{path}: class indices must go from 0 to {len(names) - 1} without a gap")
    return [names[i] for i in range(len(names))]
