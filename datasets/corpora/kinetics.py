"""Kinetics 400, 600, 700 and Mini-Kinetics, by their official CSV files or by lists of paths.

Kinetics_labels/kinetics-400_train.csv       columns label, youtube_id, time_start, time_end, split; likewise _val
Kinetics/train/abseiling/<id>_000010_000020/ frames; classes are numbered in the order of their names

Kinetics_labels/Kinetics_train_labels.txt    lines "<path> <class index from 0> <frames>", path may hold spaces
Kinetics_labels/Kinetics_val_labels.txt      the classes are those that the lists name
Kinetics/<path>/                             frames; paths are like train/abseiling/<video>
"""

from collections.abc import Iterator
from pathlib import Path

from ..lists.annotations import check_path, collect, parse_index, read_lines, read_rows
from ..lists.entries import Entry, Listing
from ..lists.entry_table import EntryTable
from ..lists.source_groups import source_of

FILES = {"train": "Kinetics_train_labels.txt", "test": "Kinetics_val_labels.txt"}
FOLDERS = {"train": "train", "test": "val"}
COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`; the official validation list serves as test list."""
    if find_csv(annotation_path, "train") or find_csv(annotation_path, "test"):
        return list_csv(annotation_path, subset)
    files = [name for name in FILES if name == subset or (annotation_path / FILES[name]).exists()]
    entries = {name: read_list(annotation_path / FILES[name]) for name in files}
    names: dict[int, str] = {}
    for listed in entries.values():  # either list may lack a class
        names |= {entry.label: entry.path.rpartition("/")[0].rpartition("/")[2] for entry in listed}
    class_names = [names.get(i) or f"class {i}" for i in range(max(names, default=-1) + 1)]
    return Listing(entries[subset], class_names)


def read_list(path: Path) -> EntryTable:
    """Read one list of paths. The frame count is not used: it may be another extractor's."""

    def parse(line: str) -> Entry:
        fields = line.rsplit(" ", 2)
        if len(fields) != 3:
            raise ValueError(f"expected '<path> <class index> <frames>', got {line[:80]!r}")
        video = check_path(fields[0])
        return Entry(video, parse_index(fields[1]), source_of(video))

    return collect(read_lines(path), parse)


def find_csv(folder: Path, subset: str) -> Path | None:
    """Find the official file of a subset, if there is one; raises ValueError if there are several."""
    files = sorted(folder.glob(f"*{FOLDERS[subset]}*.csv"))
    if len(files) > 1:
        raise ValueError(f"{folder}: holds {', '.join(f.name for f in files)}; give every version its own folder")
    return files[0] if files else None


def list_csv(folder: Path, subset: str) -> Listing:
    """List one subset by the official files, classes by name."""
    files = {name: find_csv(folder, name) for name in FOLDERS}
    if not (file := files[subset]):
        raise FileNotFoundError(f"{folder}: no *{FOLDERS[subset]}*.csv; check --annotation_path")
    names = {row["label"] for path in files.values() if path for _, row in read_clips(path)}
    index = {name: i for i, name in enumerate(sorted(names - {""}))}

    def parse(row: dict[str, str]) -> Entry:
        if not row["label"]:
            raise ValueError("has no label")
        start, end = (parse_index(row[key], count=10**6) for key in COLUMNS[2:])
        clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        return Entry(check_path(f"{FOLDERS[subset]}/{row['label']}/{clip}"), index[row["label"]], row["youtube_id"])

    return Listing(collect(read_clips(file), parse), list(index))


def read_clips(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the rows of an official file by column, with their places."""
    rows = read_rows(path)
    place, header = next(rows, (f"{path}:1", []))
    names = [name.strip().lower() for name in header]
    if not set(COLUMNS) <= set(names):
        raise ValueError(f"{place}: expected the columns {', '.join(COLUMNS)}, got {', '.join(names) or 'nothing'}")
    for place, row in rows:
        if len(row) < len(names):
            raise ValueError(f"{place}: {len(row)} columns, but the header has {len(names)}")
        yield place, dict(zip(names, (field.strip() for field in row), strict=False))
