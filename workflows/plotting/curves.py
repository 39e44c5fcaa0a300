"""Curves of one or several runs in one picture: losses, accuracy, learning rate, waiting for data, clips per second."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sts_common.files import write_atomically

from ..shared.plots import COLOURS, load_figure
from ..shared.run_records import Curve, Record, curves_of, find_runs, labels, read_run

GREY = "#555555"
CHARACTER = 0.085  # inches, of the legend

TITLES = {
    "loss": "loss (of a distillation the total)",
    "loss_ce": "cross-entropy",
    "acc": "clip accuracy",
    "lr": "learning rate",
    "data_wait": "time waiting for data",
    "data_flow": "time waiting for computed flow",
    "clips_per_second": "training clips per second",
    "memory_gb": "memory, GB",
    "seconds": "seconds of training per epoch",
}

FRACTIONS = ("acc", "data_wait", "data_flow")
OUTLIERS = 0.05  # share of a curve's values that an axis may cut off, one at least
FEWEST = 8  # values of a curve that may lose some
FAR = 2.0  # times the greatest of the others, from where they are
FIRST, LAST = ("loss", "acc"), ("lr", "data_wait", "clips_per_second")  # drawn by default, with the loss terms between


def plot_runs(
    folders: Sequence[Path],
    out: Path,
    *,
    metrics: Sequence[str] | None = None,
    smooth: int = 1,
    whole_axis: bool = False,
) -> tuple[list[str], list[Record]]:
    """Draw the curves of runs in one picture, as utils1/plot_run.py does, and return the metrics and the runs.

    `metrics` None is all that matter. Raises FileNotFoundError if there is no run; ValueError if no run has such a
    metric, or without matplotlib.
    """
    if smooth < 1:
        raise ValueError(f"--smooth {smooth}: a number of epochs, at least 1")
    runs = [read_run(run) for run in find_runs(folders)]
    chosen = choose_metrics(runs, metrics)
    figure = draw(runs, chosen, smooth, cut=not whole_axis)
    kind = out.suffix.removeprefix(".") or "png"
    write_atomically(out, lambda file: figure.savefig(file, format=kind, dpi=120))
    return chosen, runs


def choose_metrics(runs: Sequence[Record], wanted: Sequence[str] | None) -> list[str]:
    """Choose metrics to draw, in order; raises ValueError if one is wanted that no run has."""
    known = {name for run in runs for name in run.metrics}
    if not known:
        raise ValueError(f"{runs[0].folder / 'metrics.jsonl'}: no epoch is finished yet")
    if wanted is None:
        terms = sorted(name for name in known if name.startswith("loss_"))
        return [name for name in (*FIRST, *terms, *LAST) if name in known]
    for name in wanted:
        if name not in known:
            raise ValueError(f"--metric {name}: these runs have {', '.join(sorted(known))}")
    return list(wanted)


def draw(runs: Sequence[Record], metrics: Sequence[str], smooth: int, *, cut: bool = True) -> Any:
    """Draw a figure with a plot for each metric, and one legend; raises ValueError without matplotlib.

    With `cut` an axis may leave out a few values far above all others.
    """
    figure_class = load_figure("pictures need")
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    width = max(6.0, 4.5 * columns)
    names = [textwrap.fill(name, int(width / CHARACTER) - 8) for name in labels(runs)]
    each = CHARACTER * (8 + max(len(line) for name in names for line in name.split("\n")))
    across = max(1, int(width / each))
    lines = sum(name.count("\n") + 1 for name in names) + 2
    figure = figure_class(figsize=(width, 3.0 * rows + 0.3 + 0.2 * -(-lines // across)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = palette(len(runs))
    for ax, metric in zip(axes, metrics, strict=False):
        for run, colour in zip(runs, colours, strict=True):
            draw_curves(ax, curves_of(run, metric), colour, 1 if metric == "lr" else smooth)
        decorate(ax, metric)
        if cut and metric not in (*FRACTIONS, "lr"):
            cut_axis(ax)
    for ax in axes[len(metrics) :]:
        ax.remove()
    handles = [line(colour, "-", name) for name, colour in zip(names, colours, strict=True)]
    handles += [line(GREY, ":", "training"), line(GREY, "-", "validation")]
    figure.legend(handles=handles, loc="outside lower center", ncols=across, fontsize=9, frameon=False)
    return figure


def palette(count: int) -> list[Any]:
    """Return so many colours."""
    from matplotlib import colormaps

    return [*COLOURS[:count]] if count <= len(COLOURS) else [*colormaps["turbo"](np.linspace(0, 0.95, count))]


def line(colour: Any, style: Any, label: str) -> Any:
    """Return an entry of the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=style, label=label)


def draw_curves(ax: Any, curves: Mapping[str, Curve], colour: Any, smooth: int) -> None:
    """Draw one metric of one run."""
    for subset, (epochs, values) in curves.items():
        style = ":" if subset == "train" else "-"
        marker = "o" if len(epochs) == 1 else None  # a line of one point cannot be seen
        ax.plot(epochs, running_mean(values, smooth), color=colour, linestyle=style, linewidth=1.6, marker=marker)
        if smooth > 1:
            ax.plot(epochs, values, color=colour, linestyle=style, linewidth=0.8, alpha=0.3)


def decorate(ax: Any, metric: str) -> None:
    """Set the axes of a metric: fractions from 0 to 1, learning rates on a log scale, all else from 0."""
    from matplotlib.ticker import MaxNLocator

    ax.set_title(TITLES.get(metric, metric.replace("_", " ")), fontsize=11)
    ax.set_xlabel("epoch", fontsize=9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if metric == "lr":
        ax.set_yscale("log" if all((line.get_ydata() > 0).all() for line in ax.lines) else "linear")
    elif metric in FRACTIONS:
        ax.set_ylim(0, 1)
    else:
        ax.set_ylim(bottom=0)


def cut_axis(ax: Any) -> None:
    """End an axis where all but a few outliers do, if these are far above, and note it; the curves keep them."""
    curves = [values[np.isfinite(values)] for line in ax.lines if len(values := np.asarray(line.get_ydata(), float))]
    ordered = [np.sort(values)[::-1] for values in curves if len(values)]
    few = [max(1, int(OUTLIERS * len(values))) if len(values) >= FEWEST else 0 for values in ordered]
    usual = max((values[number] for values, number in zip(ordered, few, strict=True)), default=0.0)
    greatest = max((values[0] for values in ordered), default=0.0)
    if usual <= 0 or greatest <= FAR * usual:
        return
    top = 1.05 * usual
    above = sum(int((values > top).sum()) for values in ordered)
    ax.set_ylim(0, top)
    text = f"{above} above the axis, up to {greatest:.3g}"
    ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=GREY)


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Compute the mean over `width` values around each, fewer at both ends."""
    before, after = (width - 1) // 2, width // 2
    return [float(np.mean(values[max(0, i - before) : i + after + 1])) for i in range(len(values))]
