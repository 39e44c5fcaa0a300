"""Lists of any data set, in the forms that `forms` reads, by the names that tools give their files.

train.txt, val.txt, test.txt                 also training, validation, .csv and .tsv, and with more around the word,
                                             as mini_train.txt, train_rgb_split1.txt or train_videofolder.txt
videos.csv                                   any other single .csv, with a column "split"
classes.csv, classes.txt                     class names in the order of their indices, or "<index>,<class>"
<path>/                                      frames
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .annotations import check_path, parse_index, without_extension
from .class_names import find_names, read_names
from .entries import Listing
from .entry_table import EntryTable, stop_at, without_repeats
from .forms import FORMS, SUBSETS, Table, read_table
from .labels import number_labels
from .source_groups import source_of, ungroup_single_sources
from .text_columns import Texts, TextsBuilder, compact, in_parts

KINDS = (".txt", ".csv", ".tsv")
WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(SUBSETS, key=len, reverse=True))})(?![a-z])", re.IGNORECASE)


class Family(NamedTuple):
    """Lists of one data set, whose names differ in the word for the subset alone."""

    key: str  # the name around that word
    files: dict[str, Path]  # by "train", "val" and "test"; a list that has a column for the subset is under ""


def list_videos(annotation_path: Path, split: int, subset: str, first: int = 0, strip: str = "") -> Listing:
    """List the videos of one subset. Where there is no test list with labels, the validation list serves as one.

    Labels are numbers from `first` on, or class names, which are numbered in the order of the class file, without one
    in that of the names. A group is what the column "group" says, or the path without the number at its end. `strip` is
    taken from the beginning of absolute paths. Of lists whose names have "split1", "split2", "split3" the split tells
    which. Raises FileNotFoundError if there is no such list; ValueError if it is not clear which, a row is malformed or
    its class unknown.
    """
    family = find_family(annotation_path, split)
    tables = {name: read_table(file) for name, file in family.files.items()}
    if "test" in tables and not is_labelled(tables):
        del tables["test"]
    chosen = choose(annotation_path, family, tables, subset)
    folder = next(iter(family.files.values())).parent
    listed_names = read_names(find_names(folder, mini=family.key.startswith("mini_")))
    labels, class_names = number_labels(listed_names, list(tables.values()), first, next(iter(family.files.values())))

    def label_of(label: str) -> int:
        if labels is None:
            return parse_index(label, first, len(class_names))
        if label not in labels:
            raise ValueError(f"{label!r} is not among the {len(class_names)} class names")
        return labels[label]

    entries = list_entries(chosen, label_of, strip)
    grouped = chosen.groups is not None and chosen.groups.lengths.any()
    return Listing(entries if grouped else ungroup_single_sources(entries), class_names)


def list_entries(table: Table, label_of: Callable[[str], int], strip: str) -> EntryTable:
    """Parse the rows of a list, as `collect`; `strip` is taken from the beginning of absolute paths.

    The ValueError of `label_of`, which returns the class index of a label, is the reason alone.
    """
    labels, reasons = np.zeros(len(table.labels.values), np.int32), dict[int, str]()
    for code, label in enumerate(table.labels.values):
        try:
            labels[code] = label_of(label)
        except ValueError as error:
            reasons[code] = str(error)
    problems = dict[int, str]()
    paths, groups = clean_paths(table, strip, problems)
    for code, reason in reasons.items():  # the path of a row is looked at first
        problems = dict.fromkeys(np.flatnonzero(table.labels.codes == code).tolist(), reason) | problems
    entries = EntryTable(paths, compact(labels)[table.labels.codes], groups, table.segments)
    if not problems:
        return without_repeats(entries, table.place, [])
    good = np.ones(len(table.lines), bool)
    good[list(problems)] = False
    numbers, rows = np.cumsum(good) - good, np.flatnonzero(good)
    messages = [(int(numbers[row]), f"{table.place(row)}: {problems[row]}") for row in sorted(problems)]
    return without_repeats(entries.part(rows), table.take(rows).place, messages)


def clean_paths(table: Table, strip: str, problems: dict[int, str]) -> tuple[Texts, Texts]:
    """Return the path and the group of each row; what is wrong with a path is added to the problems."""
    paths, groups = (TextsBuilder(table.paths.data) for _ in range(2))
    for rows in in_parts(len(table.lines)):
        part = table.paths[rows]
        listed = part.decoded()
        video_paths = [clean(path, strip, number, problems) for number, path in enumerate(listed, rows.start)]
        paths.extend_within(video_paths, listed, part)
        group_column = table.groups[rows] if table.groups else [""] * len(video_paths)
        sources = [group or source_of(path) for group, path in zip(group_column, video_paths, strict=True)]
        groups.extend_within(sources, video_paths, paths.build(rows.start))
    return paths.build(), groups.build()


def clean(path: str, strip: str, row: int, problems: dict[int, str]) -> str:
    """Return the path of a video by that of a row; what is wrong with it is added to the problems of the rows."""
    try:
        return check_path(without_extension(path.removeprefix(strip)))
    except ValueError as error:
        problems[row] = str(error)
        return ""


def find_family(path: Path, split: int) -> Family:
    """Find the lists of a folder, or those that belong to a file.

    Raises FileNotFoundError if there is none, ValueError if there are several families.
    """
    folder = path if path.is_dir() else path.parent
    families: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("*")) if folder.is_dir() else []:
        match = WORD.search(file.stem)
        if file.suffix.lower() in KINDS and match and "label" not in file.stem.lower():
            key = f"{file.stem[: match.start()]}*{file.stem[match.end() :]}{file.suffix}"
            families.setdefault(key, {})[SUBSETS[match[1].lower()]] = file
    if path.is_file():
        return next((Family(k, files) for k, files in families.items() if path in files.values()), single_list(path))
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder; check --annotation_path")
    matching = select_split(families, split)
    if len(matching) > 1:
        names = ", ".join(sorted(file.name for files in matching.values() for file in files.values()))
        raise ValueError(f"{path}: holds {names}; give one of them as --annotation_path")
    if matching:
        return Family(*next(iter(matching.items())))
    tables = [file for file in sorted(path.glob("*.csv")) if not file.stem.lower().startswith(("class", "label"))]
    if len(tables) != 1:
        raise FileNotFoundError(f"{path}: no train.txt, train.csv or single .csv; check --annotation_path and --split")
    return single_list(tables[0])


def single_list(file: Path) -> Family:
    """Make a family of a single list."""
    return Family(file.stem, {"": file})


def select_split(families: dict[str, dict[str, Path]], split: int) -> dict[str, dict[str, Path]]:
    """Select the families of a split, or without one; of lists of frames and of flow for the same videos, frames."""
    fitting = {key: f for key, f in families.items() if (m := re.search(r"split_?0?(\d)", key)) and int(m[1]) == split}
    fitting = fitting or {key: f for key, f in families.items() if not re.search(r"split_?\d", key)}
    plain = {key: f for key, f in fitting.items() if key.startswith("*.")}
    frames = {key: f for key, f in fitting.items() if "flow" not in key.lower()}
    return plain or frames or fitting


def choose(path: Path, family: Family, tables: dict[str, Table], subset: str) -> Table:
    """Select the rows of a subset.

    Raises FileNotFoundError if there is no list of the subset, ValueError if it has no labels.
    """
    if "" in tables:
        return select_subset(tables[""], subset)
    name = subset if subset in tables else {"test": "val"}.get(subset, subset)
    if name not in tables:
        file_name = family.key.replace("*", name)
        raise FileNotFoundError(f"{path}: no {file_name} with labels; check --annotation_path and --split")
    return tables[name] if tables[name].form != "path" else select_subset(tables[name], subset)


def select_subset(table: Table, subset: str) -> Table:
    """Select the rows of a subset by the split column; without such a column all are for training."""
    if table.form == "path":
        raise ValueError(f"{table.place(0)}: has no label; expected '<path>,<label>' or another known form")
    splits = table.splits.values
    if splits != [""]:
        lacking = np.flatnonzero(table.splits.codes == (splits.index("") if "" in splits else -1)).tolist()
        stop_at([f"{table.place(row)}: lacks the subset that other rows have" for row in lacking])
    scored_split = "test" if "test" in splits else "val"
    split = scored_split if subset == "test" else ("train" if splits != [""] else "")
    rows = np.flatnonzero(table.splits.codes == (splits.index(split) if split in splits else -1))
    return table if len(rows) == len(table.lines) else table.take(rows)


def is_labelled(tables: dict[str, Table]) -> bool:
    """Whether the test list has labels: without, "<path> <first> <last>" looks like "<path> <frames> <label>"."""
    forms = {table.form for name, table in tables.items() if name != "test"}
    return tables["test"].form in (forms or set(FORMS) - {"path"})
