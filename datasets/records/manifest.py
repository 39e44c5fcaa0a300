"""Manifest of an audit below a root, which saves looking at every folder again.

    {"manifest": 1, "layout": "sts", "made": "2020-05-01 12:00", "videos": 2, "columns": [...], "hash": "..."}
    ["catch/film0_catch", null, 20, 19, 1, 48, 40, 25.0, "0c7f..."]
    ["catch/film1_catch", null, 31, 30, 1, 48, 40, 25.0, "9ad1..."]

One JSON array in ASCII per line, so that any name survives, lines can be searched, and a large file is read at once.
"""

import datetime
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sts_common import counted
from sts_common.files import write_text
from sts_common.memory import no_collection

from ..stores.store import Store
from .lookup import LocatedVideo
from .manifest_rows import HASH, Extent, Facts, parse_rows

MANIFEST = "manifest.jsonl"
VERSION = 1
AT_ONCE = 20_000  # lines
AGAIN = "run utils1/audit.py again, or remove the file"


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read."""

    root: Path  # folder of all videos
    layout: str  # layout in which the audit read them, a name of `--layout`
    made: str  # when, in UTC
    rows: Mapping[str, Extent]  # by path

    @property
    def located(self) -> Mapping[str, LocatedVideo]:
        """Facts by path for `find_videos`; each is built on request, for they take ten times the memory."""
        return LocatedVideos(self.root, self.rows)

    def check(self, store: Store, count: int = 8, seed: int = 0) -> None:
        """Check that some videos, drawn by `seed`, still are what the manifest says.

        Raises ValueError if one is not: the folder has changed since the audit.
        """
        for path in random.Random(seed).sample(sorted(self.rows), min(count, len(self.rows))):
            if change := self.change(store, path):
                file = self.root / MANIFEST
                raise ValueError(
                    f"{file}: out of date: {path!r} has changed since {self.made}, or was read with another --layout "
                    f"or --video_fps: {change}; {AGAIN}"
                )

    def change(self, store: Store, path: str) -> str:
        """Return how a video differs from what the manifest says, "" if it does not."""
        located = self.located[path]
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


class LocatedVideos(Mapping[str, LocatedVideo]):
    """Rows of a manifest as the facts that `find_videos` needs."""

    def __init__(self, root: Path, rows: Mapping[str, Extent]) -> None:
        self.root, self.rows = root, rows
        self.start = str(root / "x")[:-1]

    def __getitem__(self, path: str) -> LocatedVideo:
        folder, rgb, flow, fps = self.rows[path]
        counts = {stream: n for stream, n in (("rgb", rgb), ("flow", flow)) if n is not None}
        return LocatedVideo(str(self.root / folder) if folder else self.start + path, counts, fps)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def write_manifest(root: Path, layout: str, videos: Iterable[Facts]) -> Path:
    """Write the manifest of a root in place of the one that is there; returns its path."""
    rows = [json.dumps(facts, allow_nan=False) for facts in sorted(videos)]
    now = datetime.datetime.now(datetime.UTC)
    header = {"manifest": VERSION, "layout": layout, "made": f"{now:%Y-%m-%d %H:%M}", "videos": len(rows)}
    header |= {"columns": list(Facts._fields), "hash": HASH}
    path = root / MANIFEST
    write_text(path, "\n".join([json.dumps(header, allow_nan=False), *rows, ""]))
    return path


def read_manifest(root: Path) -> Manifest | None:
    """Read the manifest of a root, None if it has none.

    Raises:
        ValueError: "FILE:LINE: reason" if it is malformed, cut short, or leads out of the root.
    """
    path = root / MANIFEST
    try:
        with path.open(encoding="utf-8") as file, no_collection():
            layout, made, count = read_header(list(islice(file, 1)), path)
            paths, extents = read_rows(file, count, path)
            by_path = dict(zip(paths, extents, strict=True))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file; {AGAIN}") from None
    if len(by_path) < len(paths):
        first: dict[str, int] = {}
        number = next(i for i, name in enumerate(paths, 2) if first.setdefault(name, i) != i)
        raise ValueError(f"{path}:{number}: the same video as in line {first[paths[number - 2]]}; {AGAIN}")
    return Manifest(root, layout, made, by_path)


def read_rows(lines: Iterable[str], count: int, path: Path) -> tuple[list[str], list[Extent]]:
    """Read paths and extents of so many rows, some at a time: their text takes more memory than what is kept of it.

    Raises:
        ValueError: "FILE:LINE: reason" if there are more or fewer, or one is malformed.
    """
    lines, paths, extents, seen, bad = iter(lines), list[str](), list[Extent](), 0, 0
    alike: dict[Extent, Extent] = {}  # few differ
    while some := list(islice(lines, AT_ONCE)):
        parsed = None if bad else parse_rows(some)
        if parsed is None:
            bad = bad or seen + 2 + next(i for i, line in enumerate(some) if parse_rows([line]) is None)
        for row in parsed or []:
            name, folder, rgb, flow, _, _, _, fps, _ = row
            extent = Extent(folder, rgb, flow, fps)
            paths.append(name)
            extents.append(alike.setdefault(extent, extent))
        seen += len(some)
    if seen != count:
        raise ValueError(f"{path}:{seen + 1}: ends after {seen} of {counted(count, 'video')}; {AGAIN}")
    if bad:
        raise ValueError(f"{path}:{bad}: not a video's {', '.join(Facts._fields)}; {AGAIN}")
    return paths, extents


def read_header(lines: list[str], path: Path) -> tuple[str, str, int]:
    """Read layout, date and number of videos from the first line."""
    try:
        header = json.loads(lines[0])
    except (IndexError, ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "manifest" not in header:
        raise ValueError(f"{path}:1: not the header of a manifest; {AGAIN}")
    if header["manifest"] != VERSION or header.get("columns") != list(Facts._fields):
        raise ValueError(f"{path}:1: a manifest of another version; {AGAIN}")
    fields = header.get("layout"), header.get("made"), header.get("videos")
    if [type(field) for field in fields] != [str, str, int]:
        raise ValueError(f"{path}:1: lacks layout, made or videos; {AGAIN}")
    return fields  # type: ignore[return-value]
