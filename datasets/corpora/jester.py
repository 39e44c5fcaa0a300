"""Jester (Materzynska et al., ICCV workshops 2019): 27 hand gestures, whose labels have a side.

jester-v1-labels.csv                         one gesture per line, numbered in their order; also labels.csv
jester-v1-train.csv                          lines "<id>;<gesture>"; likewise -validation; also train.csv
<id>/                                        frames, as they come

Copies with Train.csv and Validation.csv (columns video_id, label, label_id, ...) keep frames below Train/ and so on.
"""

from pathlib import Path

from ..lists.annotations import check_path, collect, parse_index, read_rows
from ..lists.entries import Entry, Listing
from .something import list_named

COPIED_LISTS = {"train": "Train", "test": "Validation"}
Rows = list[tuple[str, dict[str, str]]]


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`.

    The validation list serves as test list, whose labels are secret.
    """
    files = {part: annotation_path / f"{folder}.csv" for part, folder in COPIED_LISTS.items()}
    names = {file.name for file in annotation_path.glob("*.csv")}  # where case does not count, train.csv is Train.csv
    if files[subset].name not in names:
        return list_named(annotation_path, "jester-v1", subset)
    class_names = read_names([row for file in files.values() if file.name in names for row in read_copy(file)])
    index = {name: i for i, name in enumerate(class_names)}

    def parse(row: dict[str, str]) -> Entry:
        video = check_path(f"{COPIED_LISTS[subset]}/{row['video_id']}")
        return Entry(video, index[row["label"]], video)

    return Listing(collect(read_copy(files[subset]), parse), class_names)


def read_copy(path: Path) -> Rows:
    """Read the rows of a copy's list by column, with their places."""
    rows = list(read_rows(path))
    header = rows[0][1] if rows else []
    if not {"video_id", "label", "label_id"} <= set(header):
        raise ValueError(f"{path}:1: expected the columns video_id, label, label_id")
    for place, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{place}: {len(row)} columns, but the header has {len(header)}")
    return [(place, dict(zip(header, row, strict=True))) for place, row in rows[1:]]


def read_names(rows: Rows) -> list[str]:
    """Read the gestures by their label_id; raises ValueError if one has two numbers, or a number is missing."""
    names: dict[int, str] = {}
    for place, row in rows:
        try:
            label = parse_index(row["label_id"])
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if names.setdefault(label, row["label"]) != row["label"]:
            raise ValueError(f"{place}: class {label} is {row['label']!r} here and {names[label]!r} before")
    if sorted(names) != list(range(len(names))) or len(set(names.values())) < len(names):
        first = rows[0][0] if rows else "no rows"
        raise ValueError(f"{first}: label_id must number the labels from 0 to {len(names) - 1} without a gap")
    return [names[i] for i in range(len(names))]
