"""Parsers of the list forms that tools write; the form is recognised by the fields of the rows.

header   columns by name: path, label and, where given, split, group, start, end, unit
ibm      <path> <first frame> <last frame> <label>
frames   <path> <frames> <label>; the number of frames is not used: it may be another extractor's
label    <path> <label>, or <path> <class> where not separated by spaces
split    <path> <label or class> <train, val or test>
path     <path> alone, as in test lists whose labels are secret

Fields are separated by spaces, semicolons, commas or tabs. They are counted from the right, so that paths may hold
separators; in .csv and .tsv files, fields may be quoted instead, and paths may hold anything.
"""

from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .annotations import number_lines, number_rows, whole_number
from .entries import Segment
from .entry_table import Segments, stop_at
from .text_columns import AT_ONCE, Codes, CodesBuilder, Numbers, Texts, TextsBuilder
from .text_files import open_text

QUOTED = (".csv", ".tsv")
SEPARATORS = (";", "\t", ",", " ")
SAMPLE = 100  # rows that a form is chosen by
HEADER_SHAPE = "what the first row names, a path and a label at least, and split train, val or test"
COLUMNS = {
    "path": ("path", "video", "file", "filename", "name", "video_path", "video_id", "video_name"),
    "label": ("label", "class", "class_name", "category", "action"),
    "split": ("split", "subset", "set"),
    "group": ("group", "source"),
    "start": ("start", "start_frame"),
    "end": ("end", "end_frame"),
    "unit": ("unit",),
}
SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Row(NamedTuple):
    """A parsed row, its text as written; "" where a form has no such field."""

    path: str
    label: str
    segment: Segment | None = None
    split: str = ""
    group: str = ""


class Form(NamedTuple):
    """Form of the rows of a list."""

    parse: Callable[[list[str]], Row | None]  # fields -> row, None for those of another form
    width: int  # number of fields
    shape: str  # for errors


class Table(NamedTuple):
    """The rows of a list in columns, and the name of their form."""

    form: str
    file: Path
    lines: Numbers  # of each row in the file, from 1
    paths: Texts
    labels: Codes
    splits: Codes
    groups: Texts | None  # None if no row has one
    segments: Segments | None

    def place(self, row: int) -> str:
        """Return where a row stands, "FILE:LINE"."""
        return f"{self.file}:{self.lines[row]}"

    def take(self, rows: Numbers) -> "Table":
        return self._replace(
            lines=self.lines[rows],
            paths=self.paths.take(rows),
            labels=self.labels.take(rows),
            splits=self.splits.take(rows),
            groups=self.groups and self.groups.take(rows),
            segments=self.segments and self.segments.take(rows),
        )


def read_table(path: Path) -> Table:
    """Read a list in whatever form it is, "path" if it has no labels.

    Raises FileNotFoundError if there is no such file; ValueError if it is empty or no CSV, or rows are unlike the
    others.
    """
    if table := read_named(path):
        return table
    problem = f"{path}:1: lists no video"
    for name, form in FORMS.items():
        for separator in SEPARATORS:
            try:
                sample = list(islice(split_rows(path, separator, form.width), SAMPLE))
            except ValueError as error:  # a quote that ends before another separator
                problem = str(error)
                continue
            if fits([row for _, row in sample], name, separator):
                return read_all(split_rows(path, separator, form.width), form, name, path)
    raise ValueError(problem)


def fits(sample: list[list[str]], name: str, separator: str) -> bool:
    """Whether rows are of a form. Half of them suffice: a bad row is reported, rather than another form chosen."""
    if name == "label" and separator == " " and not all(whole_number(row[-1]) for row in sample):
        return False  # the last word would be taken for the class
    matches = sum(FORMS[name].parse(row) is not None for row in sample)
    return matches > 0 and 2 * matches >= len(sample)


def read_named(path: Path) -> Table | None:
    """Read a table whose first row names its columns; None if it does not."""
    with open_text(path, "\n") as lines:
        first = lines.readline().removesuffix("\n")
    if path.suffix.lower() not in QUOTED:
        return None
    for separator in SEPARATORS[:3]:
        names = [name.strip(' "\r').lower() for name in first.split(separator)]
        columns = {c: next((names.index(n) for n in aliases if n in names), -1) for c, aliases in COLUMNS.items()}
        if columns["path"] >= 0 and columns["label"] >= 0:
            form = Form(partial(from_columns, columns), len(names), HEADER_SHAPE)
            return read_all(islice(number_rows(path, separator), 1, None), form, "header", path)
    return None


def split_rows(path: Path, separator: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Yield rows of fields: quoted in CSV files, elsewhere `width` of them counted from the right."""
    if path.suffix.lower() in QUOTED:
        return number_rows(path, separator)
    space = None if separator == " " else separator
    return ((number, line.rsplit(space, width - 1)) for number, line in number_lines(path))


def read_all(fields: Iterator[tuple[int, list[str]]], form: Form, name: str, path: Path) -> Table:
    """Parse all rows, which must be of one form."""
    lines, paths, labels, splits, groups = array("I"), TextsBuilder(), CodesBuilder(), CodesBuilder(), TextsBuilder()
    segments, sizes, unlike = list[Segments | None](), list[int](), array("I")
    while batch := list(islice(fields, AT_ONCE)):
        parsed = [(line, form.parse(row)) for line, row in batch]
        rows = [(line, row) for line, row in parsed if row]
        unlike.extend(line for line, row in parsed if not row)
        if any(row.group for _, row in rows):
            groups.fill(len(lines))
            groups.extend([row.group for _, row in rows])
        lines.extend(line for line, _ in rows)
        paths.extend([row.path for _, row in rows])
        labels.extend([row.label for _, row in rows])
        splits.extend([row.split for _, row in rows])
        segments.append(Segments.of([row.segment for _, row in rows]))
        sizes.append(len(rows))
    groups.fill(len(lines))
    stop_at([f"{path}:{line}: unlike the other rows, which are {form.shape}" for line in unlike])
    return Table(
        name,
        path,
        np.array(lines, np.uint32),
        paths.build(),
        labels.build(),
        splits.build(),
        groups.build() if groups.data else None,
        Segments.joined(segments, sizes),
    )


def from_ibm(row: list[str]) -> Row | None:
    """Parse <path> <first frame> <last frame> <label>."""
    if len(row) != 4 or not all(map(whole_number, row[1:])):
        return None
    start, end = (int(whole_number(field)) for field in row[1:3])
    return Row(row[0], row[3].strip(), Segment(start, end, "frames")) if 1 <= start <= end else None


def from_frames(row: list[str]) -> Row | None:
    """Parse <path> <frames> <label>."""
    return Row(row[0], row[2].strip()) if len(row) == 3 and all(map(whole_number, row[1:])) else None


def from_label(row: list[str]) -> Row | None:
    """Parse <path> <label>."""
    return Row(row[0], row[1].strip()) if len(row) == 2 and row[0].strip() and row[1].strip() else None


def from_split(row: list[str]) -> Row | None:
    """Parse <path> <label> <split>."""
    split = SUBSETS.get(row[2].strip().lower()) if len(row) == 3 else None
    return Row(row[0], row[1].strip(), split=split) if split and row[1].strip() else None


def from_columns(columns: dict[str, int], row: list[str]) -> Row | None:
    """Parse columns by name."""
    get = {name: row[i] if 0 <= i < len(row) else "" for name, i in columns.items()}
    split = get["split"].strip().lower()
    if not get["path"] or not get["label"] or (split and split not in SUBSETS):
        return None
    split = SUBSETS.get(split, "")
    if not get["start"] and not get["end"]:
        return Row(get["path"], get["label"], None, split, get["group"])
    try:
        start, end, seconds = float(get["start"]), float(get["end"]), get["unit"].strip() == "seconds"
    except ValueError:
        return None
    if not (0 <= start < end < 1e9 if seconds else 1 <= start <= end < 1e9):
        return None
    if not seconds and not (start.is_integer() and end.is_integer()):
        return None  # seconds, perhaps, of which the unit is not said
    segment = Segment(start, end, "seconds") if seconds else Segment(int(start), int(end), "frames")
    return Row(get["path"], get["label"], segment, split, get["group"])


def from_path(row: list[str]) -> Row | None:
    """Parse <path> alone."""
    return Row(row[0], "") if len(row) == 1 else None


FORMS = {  # those that ask for more come first
    "ibm": Form(from_ibm, 4, "'<path> <first frame from 1> <last frame> <label>'"),
    "frames": Form(from_frames, 3, "'<path> <frames> <label>'"),
    "split": Form(from_split, 3, "'<path> <label> <train, val or test>'"),
    "label": Form(from_label, 2, "'<path> <label>'"),
    "path": Form(from_path, 1, "'<path>'"),
}
