"""Similarity of layers as a table, a CSV file and a picture."""

import csv
import io
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import write_atomically, write_text
from models import LEVELS
from models.similarity import LinearCKA
from utils1.plots import new_figure

PAIRS = (("student", "teacher"), ("baseline", "teacher"), ("student", "baseline"))
KINDS = {
    "pooled": "mean of each channel",
    "flattened": "whole maps",
}


def describe(alike: LinearCKA, paths: Mapping[str, str], features: str) -> dict[str, Any]:
    """What was measured, as plain values.

    Args:
        alike: Every level of every network.
        paths: Checkpoint by role, in the order of `alike`.
        features: A key of `models.similarity.FEATURES`.

    Returns:
        "clips", "features", "networks"; "pairs", the similarity of equal levels by pair of roles and level; "names" and
        "matrix", that of everything with everything. What has no similarity is None.
    """
    matrix = [[None if math.isnan(value) else value for value in row] for row in alike.matrix().tolist()]
    names = [f"{role} {level}" for role in paths for level in LEVELS]
    pairs = {
        f"{left}, {right}": {
            level: matrix[names.index(f"{left} {level}")][names.index(f"{right} {level}")] for level in LEVELS
        }
        for left, right in PAIRS
        if {left, right} <= paths.keys()
    }
    return {
        "clips": alike.clips,
        "features": features,
        "networks": dict(paths),
        "pairs": pairs,
        "names": names,
        "matrix": matrix,
    }


def as_table(report: Mapping[str, Any]) -> str:
    """Equal levels of each pair in Markdown, and with a baseline how much nearer to the teacher the student is."""
    pairs = report["pairs"]
    lines = [f"{role}: {path}" for role, path in report["networks"].items()]
    lines.append(f"linear CKA on {report['clips']:,} clips, {KINDS[report['features']]}; 1 is the same, 0 unrelated")
    gained = "baseline, teacher" in pairs
    header = ["layer", *pairs, *(["student nearer by"] if gained else [])]
    lines += ["", f"| {' | '.join(header)} |", f"|---|{'--:|' * (len(header) - 1)}"]
    for level in LEVELS:
        values = [pair[level] for pair in pairs.values()]
        cells = ["-" if value is None else f"{value:z.3f}" for value in values]
        if gained:
            cells.append("-" if None in values[:2] else f"{values[0] - values[1]:+.3f}")
        lines.append(f"| {' | '.join([level, *cells])} |")
    return "\n".join(lines)


def write_matrix(path: Path, report: Mapping[str, Any]) -> None:
    """Every level of every network against every other, as CSV; empty where there is no similarity."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["", *report["names"]])
    for name, values in zip(report["names"], report["matrix"], strict=True):
        rows.writerow([name, *("" if value is None else f"{value:.6f}" for value in values)])
    write_text(path, text.getvalue())


def write_picture(path: Path, report: Mapping[str, Any]) -> None:
    """The levels of each pair of networks against each other; without matplotlib that is said, and there is none."""
    pairs = [pair.split(", ") for pair in report["pairs"]]
    figure = new_figure(4.4 * len(pairs) + 0.6, 4.4)
    if figure is None:
        return
    matrix = np.array(report["matrix"], float).reshape(len(report["networks"]), len(LEVELS), -1, len(LEVELS))
    order = list(report["networks"])
    axes = figure.subplots(1, len(pairs), squeeze=False)[0]
    for ax, (left, right) in zip(axes, pairs, strict=True):
        shown = ax.imshow(matrix[order.index(left), :, order.index(right)], cmap="viridis", vmin=0, vmax=1)
        label(ax, matrix[order.index(left), :, order.index(right)])
        ax.set(ylabel=left, xlabel=right)
    figure.colorbar(shown, ax=list(axes), shrink=0.8, label="linear CKA")
    figure.suptitle(f"{report['clips']:,} clips, {KINDS[report['features']]}", fontsize=11)
    write_atomically(path, partial(figure.savefig, format="png", dpi=120))


def label(ax: Any, values: Any) -> None:
    """Names of the levels, and the numbers in the cells."""
    ax.set_xticks(range(len(LEVELS)), LEVELS, rotation=40, ha="right")
    ax.set_yticks(range(len(LEVELS)), LEVELS)
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:z.2f}"
        ax.text(column, row, text, ha="center", va="center", color="black" if value > 0.55 else "white", fontsize=9)
