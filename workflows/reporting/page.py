"""HTML page of a report: one file without links to others."""

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from ..shared.templates import html_environment
from .drawings import NUMBERED, PALEST, SIDE, STRIP, bars, shades, ticks
from .group_report import TOP, GroupReport
from .plain_forms import METRICS, shown
from .score_files import NOT_STATED
from .teaching import RunCurves

TEMPLATE = Path(__file__).with_name("page.html.jinja")
PAIRS = 20  # confused pairs that are shown
CHECKPOINT = ("reads", "arch", "epoch", "file", "sha256")


def as_html(reports: Sequence[GroupReport], runs: Sequence[RunCurves] = ()) -> str:
    """Render the page. Names are escaped as text whatever they contain."""
    return template().render(reports=reports, runs=runs)


@cache
def template() -> Template:
    """Load the template; compiling it takes longer than filling it."""
    environment = html_environment(
        TEMPLATE.parent,
        finalize=lambda value: shown(value) if type(value) is str else value,  # not what the template wrote itself
    )
    environment.filters.update(points=points, digest=digest)
    environment.globals.update(
        numbered=NUMBERED,
        palest=PALEST,
        side=SIDE,
        strip_height=STRIP,
        top=TOP,
        metrics=METRICS,
        most_pairs=PAIRS,
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
    first = report.results[0].protocol
    return {name for name in first if any(result.protocol[name] != first[name] for result in report.results)}


def networks(report: GroupReport) -> list[dict[str, Any]]:
    """Return for each stream of each file its number and name, and the metadata of its checkpoint."""
    rows = []
    for number, file in enumerate(report.group.files, 1):
        for stream in file.scores.streams:
            about = file.scores.about.get("checkpoints", {}).get(stream, {})
            stated = {name: NOT_STATED if about.get(name) in (None, "") else about[name] for name in CHECKPOINT}
            rows.append({"number": number, "label": file.label, "fusion": file.fusion, "stream": stream} | stated)
    return rows
