"""The fusion laboratory's report as Markdown tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..shared.templates import load_template
from .systems import Row

FOLDER = Path(__file__).parent


def as_text(report: Row, *, every: bool = False) -> str:
    """Format all tables of a report; `every` adds all weightings to the table of fusions."""
    name = "splits.md.jinja" if "splits" in report else "report.md.jinja"
    template = load_template(FOLDER / name, described=describe, ratio=ratio)
    rows = report.get("fusions", [])
    shown = rows if every else best_of_each(rows, report.get("fusion_weights"))
    return template.render({"fit": None} | report, shown=shown)


def ratio(weights: Sequence[float] | None) -> str:
    """Format weights of streams, in short."""
    return "equal" if weights is None else " : ".join(f"{weight:.3g}" for weight in weights)


def describe(about: dict[str, Any]) -> str:
    """Describe data set, split and subset, where the file states them."""
    split = f"split {about['split']}" if about.get("split") is not None else ""
    return ", ".join(filter(None, (about.get("dataset"), split, about.get("subset")))) or "the file does not say which"


def best_of_each(rows: Sequence[Row], extra: Sequence[float] | None) -> list[Row]:
    """Choose each fusion's best weighting by top-1, then mean class, and the one asked for, in table order."""
    best: dict[str, Row] = {}
    for row in rows:
        leader = best.setdefault(row["fusion"], row)
        if (row["top1"], row["mean_class"]) > (leader["top1"], leader["mean_class"]):
            best[row["fusion"]] = row
    return [row for row in rows if row is best[row["fusion"]] or row["weights"] == extra]
