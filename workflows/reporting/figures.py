"""Figures of a report as files of their own, PNG and PDF, by matplotlib, an extra."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sts_common.files import write_atomically

from ..shared.plots import load_figure, new_figure
from .details import Details
from .drawings import NUMBERED, ticks
from .group_report import GroupReport

# Kinds of files, and their metadata: the same report has the same bytes.
KINDS: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}}
INCHES_A_CLASS, SMALLEST, LARGEST = 0.22, 4.5, 15.0


def write_figures(reports: Sequence[GroupReport], folder: Path) -> None:
    """Write accuracies, confusion matrices and reliability curves, each as PNG and PDF.

    Raises ValueError without matplotlib.
    """
    load_figure("--figures needs")
    for name, figure in (pair for report in reports for pair in figures_of(report)):
        for kind, metadata in KINDS.items():
            path = folder / f"{name}.{kind}"
            write_atomically(path, partial(figure.savefig, format=kind, dpi=150, metadata=metadata))


def figures_of(report: GroupReport) -> Iterator[tuple[str, Any]]:
    """Yield the name and the figure of each drawing of a group."""
    group = f"group{report.group.number}"
    yield f"{group}_accuracy", accuracy_figure(report)
    for details in report.details:
        stem = re.sub(r"\W+", "_", f"{group}_file{details.number}_{details.main.stream}", flags=re.ASCII).strip("_")
        yield f"{stem}_confusion", confusion_figure(details)
        yield f"{stem}_reliability", reliability_figure(details)


def accuracy_figure(report: GroupReport) -> Any:
    """Draw top-1 of every system with its 95 % interval, and chance."""
    figure, axes = new_axes(7, 1.4 + 0.35 * len(report.results))
    values = [100 * result.video["top1"] for result in report.results]
    ends = np.array([[100 * end for end in result.interval] for result in report.results]).T
    rows = np.arange(len(values))
    axes.barh(rows, values, color="#0072B2")
    axes.errorbar(values, rows, xerr=np.abs(ends - values), fmt="none", ecolor="black", capsize=3)
    axes.axvline(100 * chance(report.details[0]), color="#D55E00", linestyle=":", label="chance")
    axes.set_yticks(rows, [plain(result.system.name) for result in report.results])
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="top-1 over videos, % (bar: 95 % interval)", title=basis(report.details[0]))
    axes.legend(loc="lower right")
    return figure


def confusion_figure(details: Details) -> Any:
    """Draw the shares of each true class by predicted class, with a colour bar."""
    names, table = details.file.scores.class_names, details.table
    side = min(LARGEST, max(SMALLEST, INCHES_A_CLASS * len(names)))
    figure, axes = new_axes(side + 1.5, side)
    share = 100 * table / table.sum(1, keepdim=True).clamp_min(1)
    image = axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="videos of the true class, %", fraction=0.046)
    if len(names) <= NUMBERED:
        axes.set_xticks(range(len(names)), [plain(name) for name in names], rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=7)
    else:
        axes.set_xticks(ticks(len(names)))
        axes.set_yticks(ticks(len(names)))
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{plain(details.main.stream)}\n{basis(details)}")
    return figure


def reliability_figure(details: Details) -> Any:
    """Draw accuracy by confidence of every system of a file, and videos below."""
    figure, axes = new_axes(5, 5)
    axes.plot([0, 100], [0, 100], color="#7F7F7F", linestyle=":", label="calibrated")
    for system in details.systems:
        curve = system.reliability
        there = curve.videos > 0
        axes.plot(100 * curve.confidence[there], 100 * curve.accuracy[there], marker="o", label=plain(system.stream))
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence, %", ylabel="accuracy of videos, %", title=basis(details))
    axes.legend()
    return figure


def new_axes(width: float, height: float) -> tuple[Any, Any]:
    """Return an empty figure of so many inches, and its axes."""
    figure = new_figure(width, height)
    return figure, figure.subplots()


def chance(details: Details) -> float:
    """Return the accuracy of guessing."""
    return 1 / len(details.file.scores.class_names)


def basis(details: Details) -> str:
    """Say of how many videos and classes a figure is."""
    count = len(details.file.scores.class_names)
    return f"{len(details.main.label):,} videos of {count:,} classes, chance {100 * chance(details):.2f} %"


def plain(name: str) -> str:
    """Return a name that matplotlib draws as it is: no formula, nothing that a font has not got."""
    return re.sub(r"[^\x20-\x7e]", "?", name).replace("$", r"\$")
