"""Formatters of lists of videos as text, in the forms that published tools read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from datasets.lists.annotations import VIDEOS, without_extension
from datasets.lists.entries import Entry
from sts_common.json_text import as_json

from ..shared.tables import as_csv

Count = Callable[[Entry, str], int]
Files = dict[str, str]


class Lists(NamedTuple):
    """Entries to write, with their classes and frame counts."""

    subsets: Mapping[str, Sequence[Entry]]  # entries of "train" and "test"
    class_names: list[str]  # by class index
    split: int = 1  # official split, from 1
    # Number that an entry has in a stream, "rgb" or "flow"; None where they are not at hand.
    images: Count | None = None
    streams: tuple[str, ...] = ("rgb",)  # of which settings lists are written

    def frames(self, entry: Entry, stream: str = "rgb") -> int:
        """Count the images of a whole video."""
        if self.images is None:
            raise ValueError("this form holds the number of frames: give --frame_dir, where they can be counted")
        return self.images(entry, stream)


def settings(lists: Lists) -> Files:
    """Format two-stream-pytorch's lists: "<path> <frames> <label>", a file per subset, stream and split."""
    files = {}
    for subset, word in (("train", "train"), ("test", "val")):
        for stream in lists.streams:
            rows = [f"{entry.path} {lists.frames(entry, stream)} {entry.label}" for entry in whole(lists, subset)]
            files[f"{word}_{stream}_split{lists.split}.txt"] = as_lines(rows)
    return files | class_file(lists)


def ibm(lists: Lists, separator: str = " ") -> Files:
    """Format lists of IBM's action-recognition-pytorch: path, first frame, last frame and label."""
    files = {}
    for subset, word in (("train", "train"), ("test", "val")):
        rows = []
        for entry in lists.subsets[subset]:
            if entry.segment and entry.segment.unit != "frames":
                raise ValueError(f"{entry.path}: a segment in seconds, which this form cannot hold; use csv or json")
            start, end = entry.segment[:2] if entry.segment else (1, lists.frames(entry))
            rows.append(separator.join((entry.path, str(int(start)), str(int(end)), str(entry.label))))
        files[f"{word}.txt"] = as_lines(rows)
    return files | class_file(lists)


def kinetics(lists: Lists) -> Files:
    """Format STS-Net's lists of Kinetics: "<path> <label> <frames>"."""
    names = {"train": "Kinetics_train_labels.txt", "test": "Kinetics_val_labels.txt"}
    return {
        name: as_lines(f"{entry.path} {entry.label} {lists.frames(entry)}" for entry in whole(lists, subset))
        for subset, name in names.items()
    }


def ucf(lists: Lists) -> Files:
    """Format UCF101's official lists: classes from 1, the class also being the folder."""
    for entry in (*lists.subsets["train"], *lists.subsets["test"]):
        if entry.path.partition("/")[0].lower() != lists.class_names[entry.label].lower():
            raise ValueError(f"{entry.path}: does not lie in a folder of its class, as in this form; use csv or json")
    train = [f"{entry.path}.avi {entry.label + 1}" for entry in whole(lists, "train")]
    return {
        "classInd.txt": as_lines(f"{i} {name}" for i, name in enumerate(lists.class_names, 1)),
        f"trainlist{lists.split:02d}.txt": as_lines(train),
        f"testlist{lists.split:02d}.txt": as_lines(f"{entry.path}.avi" for entry in whole(lists, "test")),
    }


def table(lists: Lists) -> Files:
    """Format one CSV with a column for the subset, and one of the classes; any name survives."""
    parts = any(entry.segment for entries in lists.subsets.values() for entry in entries)
    rows: list[tuple[Any, ...]] = [("path", "label", "split", "group", *(("start", "end", "unit") if parts else ()))]
    for subset, entries in lists.subsets.items():
        for entry in entries:
            segment = map(str, entry.segment or ("", "", "")) if parts else ()
            rows.append((listed(entry.path), lists.class_names[entry.label], subset, entry.group, *segment))
    return {"videos.csv": as_csv(rows)} | class_file(lists)


def listed(path: str) -> str:
    """Return a path as `any_list` reads it back, which strips one extension, as that of "a.mov", once "a.mov.mp4"."""
    return path if without_extension(path) == path else f"{path}{VIDEOS[0]}"


def database(lists: Lists) -> Files:
    """Format 3D-ResNets' JSON in the manner of ActivityNet; "path" where a video is not at <class>/<name>."""
    videos: dict[str, Any] = {}
    for subset, word in (("train", "training"), ("test", "validation")):
        for path, group in groupby(lists.subsets[subset], key=lambda entry: entry.path):
            entries = list(group)
            in_seconds = all(entry.segment and entry.segment.unit == "seconds" for entry in entries)
            for part in [entries] if in_seconds else [[entry] for entry in entries]:
                name = next(n for n in (path.rpartition("/")[2], path, part[0].name) if n not in videos)
                annotations = [annotation(lists, entry, name) for entry in part]
                several = part[0].segment is not None and part[0].segment.unit == "seconds"
                videos[name] = {"subset": word, "annotations": annotations if several else annotations[0]}
    text = as_json({"labels": lists.class_names, "database": videos}, indent=1, ensure_ascii=False)
    return {f"videos_{lists.split:02d}.json": f"{text}\n"}


def annotation(lists: Lists, entry: Entry, name: str) -> dict[str, Any]:
    """Return the JSON of an entry: segments in seconds as they are, those in frames without their last one."""
    label = lists.class_names[entry.label]
    fields: dict[str, Any] = {"label": label}
    if entry.segment:
        last = 1 if entry.segment.unit == "frames" else 0
        fields["segment"] = [entry.segment.start, entry.segment.end + last]
    return fields | ({"path": entry.path} if entry.path != f"{label}/{name}" else {})


def whole(lists: Lists, subset: str) -> Sequence[Entry]:
    """Return the entries of a subset, of which none may be a part of a video."""
    part = next((entry for entry in lists.subsets[subset] if entry.segment), None)
    if part:
        raise ValueError(f"{part.name}: a part of a video, which this form cannot hold; use csv, json or ibm")
    return lists.subsets[subset]


def class_file(lists: Lists) -> Files:
    """Format the names of the classes by their numbers."""
    return {"classes.csv": as_csv([("index", "name"), *enumerate(lists.class_names)])}


def as_lines(rows: Iterable[str]) -> str:
    """Join rows to lines, each with its line break."""
    return "".join(f"{row}\n" for row in rows)


# Form -> the texts by file name, and the name in `DATASETS` that reads them.
WRITERS: dict[str, tuple[Callable[..., Files], str]] = {
    "settings": (settings, "List"),
    "ibm": (ibm, "List"),
    "json": (database, "JSON"),
    "csv": (table, "List"),
    "ucf": (ucf, "UCF101"),
    "kinetics": (kinetics, "Kinetics"),
}
