"""Manifest of an audit below a root, which saves looking at every folder again.

    {"manifest": 1, "layout": "sts", "made": "2020-05-01 12:00", "videos": 2, "columns": [...], "hash": "..."}
    ["catch/film0_catch", null, 20, 19, 1, 48, 40, 25.0, "0c7f..."]
    ["catch/film1_catch", null, 31, 30, 1, 48, 40, 25.0, "9ad1..."]

One JSON array in ASCII per line, so that any name survives, lines can be searched, and a large file is read at once.
"""

import datetime
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import lt
from pathlib import Path

import numpy as np

from sts_common import counted
from sts_common.files import write_text

from ..lists.text_columns import AT_ONCE, TextIndex, Texts, TextsBuilder
from ..stores.store import Store
from .located import FactBuilder, FactColumns, LocatedVideos
from .manifest_rows import HASH, Facts, Row, parse_rows

MANIFEST = "manifest.jsonl"
VERSION = 1
CURE = "run utils1/audit.py again, or remove the file"


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read."""

    root: Path  # folder of all videos
    layout: str  # layout in which the audit read them, a name of `--layout`
    made: str  # when, in UTC
    videos: int  # number of rows
    located: LocatedVideos  # facts for `find_videos`, about the videos that were asked for
    drawn: LocatedVideos  # facts about some, by which it is checked

    def check(self, store: Store) -> None:
        """Check that some videos, which were drawn as it was read, still are what the manifest says.

        Raises ValueError if one is not: the folder has changed since the audit.
        """
        for path in self.drawn.index.texts:
            if change := self.change(store, path):
                file = self.root / MANIFEST
                raise ValueError(
                    f"{file}: out of date: {path!r} has changed since {self.made}, or was read with another --layout "
                    f"or --video_fps: {change}; {CURE}"
                )

    def change(self, store: Store, path: str) -> str:
        """Return how a video differs from what the manifest says, "" if it does not."""
        located = self.drawn[path]
        try:
            folder = store.locate(path)
            counts = store.counts(folder, located.counts)
        except (OSError, ValueError) as error:
            return str(error)
        if str(folder) != located.folder:
            return f"it lies in {folder}, not in {located.folder}"
        if all(counts.get(stream) == count for stream, count in located.counts.items()):
            return ""
        return " and ".join(
            f"{counts.get(stream, 0)} {stream} images, not {count}" for stream, count in located.counts.items()
        )


def write_manifest(root: Path, layout: str, videos: Iterable[Facts]) -> Path:
    """Write the manifest of a root in place of the one that is there; returns its path."""
    rows = [json.dumps(facts, allow_nan=False) for facts in sorted(videos)]
    now = datetime.datetime.now(datetime.UTC)
    header = {"manifest": VERSION, "layout": layout, "made": f"{now:%Y-%m-%d %H:%M}", "videos": len(rows)}
    header |= {"columns": list(Facts._fields), "hash": HASH}
    path = root / MANIFEST
    write_text(path, "\n".join([json.dumps(header, allow_nan=False), *rows, ""]))
    return path


def read_manifest(root: Path, listed: Texts | None = None, *, checked: int = 8, seed: int = 0) -> Manifest | None:
    """Read the manifest of a root, None if it has none.

    Args:
        root: Folder of all videos.
        listed: Paths whose facts are kept; None: those of all.
        checked: Videos by which `Manifest.check` looks whether it is true, as many as there are at most.
        seed: Draws them, >= 0.

    Raises:
        ValueError: "FILE:LINE: reason" if it is malformed, cut short, or leads out of the root.
    """
    path = root / MANIFEST
    try:
        layout, made, count = read_header(path)
        index = TextIndex(all_names(path, count) if listed is None else listed)
        numbers = random.Random(seed).sample(range(count), min(checked, count))
        facts, drawn = read_facts(path, count, index, numbers)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file; {CURE}") from None
    return Manifest(root, layout, made, count, LocatedVideos(root, index, facts), locate_rows(root, drawn))


def read_facts(path: Path, count: int, index: TextIndex, numbers: Sequence[int]) -> tuple[FactColumns, list[Row]]:
    """Read the facts about videos, and rows by number, from 0, in the order of the paths; raises as `read_manifest`."""
    facts, drawn, ascending, last = FactBuilder(len(index.texts)), dict[int, Row](), True, ""
    for start, rows in scan(path, count):
        names = [row[0] for row in rows]
        facts.put(index.find(names), rows)
        drawn |= {n: rows[n - start] for n in numbers if start <= n < start + len(rows)}
        ascending = ascending and all(map(lt, [last, *names], names))
        last = names[-1]
    if ascending:  # as an audit writes them, so that no path comes twice
        return facts.build(), [drawn[number] for number in numbers]
    names = list(all_names(path, count))
    refuse_repeats(path, names)
    ranked = sorted(names)
    by_number = {row[0]: row for _, rows in scan(path, count) for row in rows if row[0] in {ranked[n] for n in numbers}}
    return facts.build(), [by_number[ranked[number]] for number in numbers]


def all_names(path: Path, count: int) -> Texts:
    """Return the paths of all rows; raises as `read_manifest`."""
    names = TextsBuilder()
    for _, rows in scan(path, count):
        names.extend([row[0] for row in rows])
    return names.build()


def refuse_repeats(path: Path, names: Sequence[str]) -> None:
    """Raise a ValueError if a path comes twice."""
    first: dict[str, int] = {}
    for number, name in enumerate(names, 2):
        if first.setdefault(name, number) != number:
            raise ValueError(f"{path}:{number}: the same video as in line {first[name]}; {CURE}")


def locate_rows(root: Path, rows: Sequence[Row]) -> LocatedVideos:
    """Return the facts of some rows, of other paths each."""
    names, facts = TextsBuilder(), FactBuilder(len(rows))
    names.extend([row[0] for row in rows])
    facts.put(np.arange(len(rows)), rows)
    return LocatedVideos(root, TextIndex(names.build()), facts.build())


def scan(path: Path, count: int) -> Iterator[tuple[int, list[Row]]]:
    """Yield rows, some at a time, with the number of the first of them, from 0: their text takes more memory.

    Raises ValueError, "FILE:LINE: reason", if there are more or fewer than so many, or one is malformed.
    """
    seen = bad = 0
    with path.open(encoding="utf-8") as lines:
        next(lines)
        while batch := list(islice(lines, AT_ONCE)):
            rows = None if bad else parse_rows(batch)
            if rows is not None:
                yield seen, rows
            elif not bad:
                bad = seen + 2 + next(i for i, line in enumerate(batch) if parse_rows([line]) is None)
            seen += len(batch)
    if seen != count:
        raise ValueError(f"{path}:{seen + 1}: ends after {seen} of {counted(count, 'video')}; {CURE}")
    if bad:
        raise ValueError(f"{path}:{bad}: not a video's {', '.join(Facts._fields)}; {CURE}")


def read_header(path: Path) -> tuple[str, str, int]:
    """Read layout, date and number of videos from the first line."""
    with path.open(encoding="utf-8") as file:
        lines = list(islice(file, 1))
    try:
        header = json.loads(lines[0])
    except (IndexError, ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "manifest" not in header:
        raise ValueError(f"{path}:1: not the header of a manifest; {CURE}")
    if header["manifest"] != VERSION or header.get("columns") != list(Facts._fields):
        raise ValueError(f"{path}:1: a manifest of another version; {CURE}")
    fields = header.get("layout"), header.get("made"), header.get("videos")
    if [type(field) for field in fields] != [str, str, int]:
        raise ValueError(f"{path}:1: lacks layout, made or videos; {CURE}")
    return fields  # type: ignore[return-value]
