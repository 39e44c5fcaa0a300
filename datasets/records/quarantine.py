"""Quarantine of videos that must not be used, with reasons: a table that `utils1/audit.py` or a person writes.

    path                 reason                                                date
    catch/film1_catch    audit: truncated: .../00007.jpg: ends in the middle    2020-05-01

The fields are separated by one tab. A field that holds a tab, a line break or a character that cannot be shown, or
begins with a quotation mark, is written as a JSON string. Reasons that begin with "audit:" are those of the audit,
which takes them back when the video is whole again; the others stay.
"""

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sts_common.files import write_text

QUARANTINE = "quarantine.tsv"
COLUMNS = ("path", "reason", "date")
AUDIT = "audit: "


class Case(NamedTuple):
    """Reason and date of a quarantine."""

    reason: str
    date: str


def read_quarantine(root: Path) -> dict[str, str]:
    """Read the reasons of quarantined videos by annotation path; raises as `read_cases`."""
    return {path: case.reason for path, case in read_cases(root).items()}


def read_cases(root: Path) -> dict[str, Case]:
    """Read the table by path, {} if the root has none; raises ValueError, "FILE:LINE: reason", if malformed."""
    file = root / QUARANTINE
    try:
        lines = file.read_text("utf-8").split("\n")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not a text file; its columns are {', '.join(COLUMNS)}") from None
    cases: dict[str, Case] = {}
    for number, line in enumerate(lines, 1):
        fields = line.removesuffix("\r").split("\t")
        if fields == [""] or (number == 1 and tuple(fields) == COLUMNS):
            continue
        if not 2 <= len(fields) <= 3:
            raise ValueError(f"{file}:{number}: expected path, reason and date separated by tabs, got {line[:80]!r}")
        try:
            path, *details = map(unquote, fields)
        except ValueError:
            raise ValueError(f"{file}:{number}: begins like a JSON string, but is none: {line[:80]!r}") from None
        if not path:
            raise ValueError(f"{file}:{number}: names no video")
        cases[path] = Case(details[0], details[1] if len(details) > 1 else "")
    return cases


def update_quarantine(root: Path, bad: Mapping[str, str], looked_at: Collection[str]) -> int:
    """Add to the table what an audit found `bad`, by path, and return the number of videos in quarantine.

    Earlier reasons of the audit for what it has `looked_at` no longer count.
    """
    before, today = read_cases(root), f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    passed = set(looked_at) - bad.keys()
    cases = {path: case for path, case in before.items() if path not in passed or not case.reason.startswith(AUDIT)}
    for path, reason in bad.items():
        old = cases.get(path)
        if old is None or old.reason.startswith(AUDIT):
            unchanged = old is not None and old.reason == AUDIT + reason
            cases[path] = old if unchanged and old else Case(AUDIT + reason, today)
    if cases or before:
        rows = ((path, *cases[path]) for path in sorted(cases))
        write_text(root / QUARANTINE, table(COLUMNS, rows))
    return len(cases)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Format a table as text, one line per row."""
    return "".join("\t".join(map(quote, row)) + "\n" for row in (columns, *rows))


def quote(field: str) -> str:
    """Quote a field of a table."""
    return field if field.isprintable() and not field.startswith('"') else json.dumps(field)


def unquote(field: str) -> str:
    """Return the field that `quote` quoted; raises ValueError if it only begins like a JSON string."""
    return json.loads(field) if field.startswith('"') else field
