"""Similarity of layers as a table, a CSV file and a picture."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.analysis.similarity import LinearCKA, standard_error
from sts_common.files import write_atomically, write_text

from ..shared.plots import new_figure
from ..shared.tables import as_csv
from ..shared.templates import load_template

TEMPLATE = Path(__file__).with_name("similarity.md.jinja")
PAIRS = (("student", "teacher"), ("baseline", "teacher"), ("student", "baseline"))
FEW = 100  # clips, below which a table says so
WIDTH = 1.96  # standard errors: a normal 95 % interval
KINDS = {
    "pooled": "mean of each channel",
    "flattened": "whole maps",
}


def describe(cka: LinearCKA, paths: Mapping[str, str], levels: Sequence[str], features: str) -> dict[str, Any]:
    """Describe the measurement of every level of every network, in the order of their `paths`, as plain values.

    Returns "clips", "features", "networks"; "pairs", the similarity of equal levels by pair of roles and level, and
    "errors", their standard errors; with a baseline "nearer", how much nearer to the teacher the student is by level,
    and "nearer_errors"; "names" and "matrix", the similarity of everything with everything. What has no similarity, or
    for want of clips no error, is None.
    """
    names = [f"{role} {level}" for role in paths for level in levels]
    whole, parts = cka.matrix(), cka.replicates()
    chosen = [pair for pair in PAIRS if {*pair} <= paths.keys()]
    values = torch.stack([of_levels(whole, pair, names) for pair in chosen])
    folds = torch.stack([of_levels(parts, pair, names) for pair in chosen])
    report = {"pairs": values, "errors": torch.stack([standard_error(fold) for fold in folds])}
    named: dict[str, Any] = {
        kind: {", ".join(pair): by_level(levels, row) for pair, row in zip(chosen, rows, strict=True)}
        for kind, rows in report.items()
    }
    if ("baseline", "teacher") in chosen:
        named["nearer"] = by_level(levels, values[0] - values[1])
        named["nearer_errors"] = by_level(levels, standard_error(folds[0] - folds[1]))
    matrix = [[plain(value) for value in row] for row in whole.tolist()]
    return {
        "clips": cka.clips,
        "features": features,
        "networks": dict(paths),
        **named,
        "names": names,
        "matrix": matrix,
    }


def of_levels(matrix: Tensor, pair: Sequence[str], names: Sequence[str]) -> Tensor:
    """Return the similarity of equal levels of two networks, (..., levels), from (..., M, M) with these names."""
    rows, columns = ([i for i, name in enumerate(names) if name.startswith(f"{role} ")] for role in pair)
    return matrix[..., rows, columns]


def by_level(levels: Sequence[str], values: Tensor) -> dict[str, float | None]:
    """Return plain values by level."""
    return dict(zip(levels, map(plain, values.tolist()), strict=True))


def levels_in(report: Mapping[str, Any]) -> list[str]:
    """Return the levels of a report."""
    return list(next(iter(report["pairs"].values())))


def plain(value: float) -> float | None:
    """Return a value, None for NaN."""
    return None if math.isnan(value) else value


def as_table(report: Mapping[str, Any]) -> str:
    """Tabulate equal levels of each pair in Markdown, with a baseline also the student's gain over it."""
    columns = [("z.3f", values, report["errors"][pair]) for pair, values in report["pairs"].items()]
    header = ["layer", *report["pairs"]]
    if "nearer" in report:
        columns.append(("+.3f", report["nearer"], report["nearer_errors"]))
        header.append("student nearer by")
    rows = [
        [level, *(with_error(values[level], errors[level], form) for form, values, errors in columns)]
        for level in levels_in(report)
    ]
    kind = KINDS[report["features"]]
    return load_template(TEMPLATE).render(report, kind=kind, header=header, rows=rows, few=FEW).rstrip()


def with_error(value: float | None, error: float | None, form: str) -> str:
    """Format a value and the half-width of its 95 % interval, as far as they are known."""
    if value is None:
        return "-"
    return f"{value:{form}}" if error is None else f"{value:{form}} ± {WIDTH * error:.3f}"


def write_matrix(path: Path, report: Mapping[str, Any]) -> None:
    """Write the similarity of every two levels of all networks, as CSV; empty where there is none."""
    rows = ([name, *values] for name, values in zip(report["names"], report["matrix"], strict=True))
    write_text(path, as_csv([["", *report["names"]], *rows]))


def write_picture(path: Path, report: Mapping[str, Any]) -> None:
    """Draw the levels of each pair of networks against each other; without matplotlib only log that."""
    pairs = [pair.split(", ") for pair in report["pairs"]]
    figure = new_figure(4.4 * len(pairs) + 0.6, 4.4)
    if figure is None:
        return
    levels = levels_in(report)
    matrix = np.array(report["matrix"], float).reshape(len(report["networks"]), len(levels), -1, len(levels))
    order = list(report["networks"])
    axes = figure.subplots(1, len(pairs), squeeze=False)[0]
    for ax, (left, right) in zip(axes, pairs, strict=True):
        shown = ax.imshow(matrix[order.index(left), :, order.index(right)], cmap="viridis", vmin=0, vmax=1)
        label(ax, levels, matrix[order.index(left), :, order.index(right)])
        ax.set(ylabel=left, xlabel=right)
    figure.colorbar(shown, ax=list(axes), shrink=0.8, label="linear CKA")
    figure.suptitle(f"{report['clips']:,} clips, {KINDS[report['features']]}", fontsize=11)
    write_atomically(path, partial(figure.savefig, format="png", dpi=120))


def label(ax: Any, levels: Sequence[str], values: Any) -> None:
    """Label the axes with the levels, and the cells with numbers."""
    ax.set_xticks(range(len(levels)), levels, rotation=40, ha="right")
    ax.set_yticks(range(len(levels)), levels)
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:z.2f}"
        ax.text(column, row, text, ha="center", va="center", color="black" if value > 0.55 else "white", fontsize=9)
