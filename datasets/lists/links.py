"""Symbolic links that lead out of the folder of all videos: followed where its owner lists them.

ROOT/links.txt       such links, one a line, as paths below ROOT
"""

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath

LINKS = "links.txt"
RECORDS = frozenset({LINKS, "manifest.jsonl", "quarantine.tsv", "audit.tsv"})  # what is written beside the videos


def leading_out(root: Path, path: str) -> str:
    """Return the first link on the way to `root / path` that leads out of the root; "" for none, or no such path."""
    place, inner = root / path, root.resolve()
    if not place.exists() or place.resolve().is_relative_to(inner):
        return ""
    parts = PurePosixPath(path)
    steps = (step.as_posix() for step in (*reversed(parts.parents), parts))
    return next(s for s in steps if (root / s).is_symlink() and not (root / s).resolve().is_relative_to(inner))


def followed(root: Path) -> frozenset[str]:
    """Return the links that may lead out of a root."""
    file = root / LINKS
    try:
        return read(file, file.stat().st_mtime_ns)
    except FileNotFoundError:
        return frozenset()


@lru_cache(64)
def read(file: Path, _modified: int) -> frozenset[str]:
    """Read the lines of a file, of names in any encoding."""
    return frozenset(line.rstrip("\r") for line in os.fsdecode(file.read_bytes()).split("\n") if line)
