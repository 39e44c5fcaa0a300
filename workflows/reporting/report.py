"""The pages of a report on results, from score files: HTML in one file without links to others, Markdown, tables."""

import base64
import hashlib
import logging
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from sts_common.files import write_text

from ..shared.templates import html_environment
from .drawings import NUMBERED, PALEST, SIDE, STRIP, bars, shades, ticks
from .figures import write_figures
from .group_report import TOP, GroupReport, report_group
from .plain_forms import AGREEMENT, METRICS, TABLES, as_markdown, printable, table_text
from .score_files import NOT_STATED, group_files, read_files
from .teaching import runs_of

log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_name("page.html.jinja")
MOST_PAIRS = 20  # of confused classes, on the page
CHECKPOINT = ("reads", "arch", "epoch", "file", "sha256")


def write_report(
    scores: Sequence[Path],
    out: Path = Path("report"),
    *,
    worst: int = 12,
    frame_dir: str = "",
    teacher: Path | None = None,
    runs: Sequence[Path] = (),
    figures: bool = False,
) -> list[GroupReport]:
    """Write a page that explains results, and its tables, as utils1/report.py does with its options.

    Returns a report for each group of files that were tested on the same videos. Raises FileNotFoundError if there is
    no score file or no run; ValueError if a named file is no score file, no other file is of the teacher's videos, or
    matplotlib is missing for figures.
    """
    if worst < 0:
        raise ValueError(f"--worst {worst}: a number of errors to show, 0 for none")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; name a folder")
    files = read_files([*scores, *([teacher] if teacher and teacher not in scores else [])])
    taught = teacher.resolve() if teacher else None
    reports = [report_group(group, frame_dir, worst, taught) for group in group_files(files)]
    if teacher and not any(report.agreements for report in reports):
        raise ValueError(f"--teacher {teacher}: no other score file is of the same videos: test both on the same list")
    for details in (details for report in reports for details in report.details if details.errors):
        if details.no_pictures:
            log.warning("%s: no pictures of errors: %s", details.file.label, details.no_pictures)
    texts = {"index.html": template().render(reports=reports, runs=runs_of(runs)), "report.md": as_markdown(reports)}
    texts |= {name: table_text(make, reports) for name, make in TABLES.items() if teacher or name != AGREEMENT}
    for name, text in texts.items():
        write_text(out / name, text)
    if figures:
        write_figures(reports, out / "figures")
    return reports


@cache
def template() -> Template:
    """Load the template; compiling it takes longer than filling it."""
    environment = html_environment(
        TEMPLATE.parent,
        finalize=lambda value: printable(value) if type(value) is str else value,  # not what the template wrote itself
    )
    environment.filters.update(points=points, digest=digest)
    environment.globals.update(
        numbered=NUMBERED,
        palest=PALEST,
        side=SIDE,
        strip_height=STRIP,
        top=TOP,
        metrics=METRICS,
        most_pairs=MOST_PAIRS,
        bars=bars,
        shades=shades,
        ticks=ticks,
        networks=networks,
        differing=differing,
        is_known=lambda value: not math.isnan(value),
    )
    return environment.get_template(TEMPLATE.name)


def points(value: float) -> str:
    """Format a difference of two accuracies in percentage points, with its sign."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\N{MINUS SIGN}")


def digest(script: str) -> str:
    """Hash a script for the content security policy: the browser runs no other one in the page."""
    return base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()


def differing(report: GroupReport) -> set[str]:
    """Return the settings in which the systems of a group were not tested alike."""
    first = report.systems[0].file.protocol
    return {name for name in first if any(system.file.protocol[name] != first[name] for system in report.systems)}


def networks(report: GroupReport) -> list[dict[str, Any]]:
    """Return for each stream of each file its number and name, and the metadata of its checkpoint."""
    rows = []
    for number, file in enumerate(report.group.files, 1):
        for stream in file.scores.streams:
            about = file.scores.about.get("checkpoints", {}).get(stream, {})
            stated = {name: NOT_STATED if about.get(name) in (None, "") else about[name] for name in CHECKPOINT}
            rows.append({"number": number, "label": file.label, "fusion": file.fusion, "stream": stream} | stated)
    return rows
