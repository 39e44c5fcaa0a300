"""Pictures of a comparison."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from benchmarks.common.report import Record
from workflows.shared.plots import new_figure, save

from .tables import KINDS

COLOURS = {"RGB": "tab:blue", "flow": "tab:orange", "RGB, flow": "tab:green"}


def draw_accuracies(record: Record, path: Path, marked: Sequence[str] = ()) -> None:
    """Draw top-1 of each system: a point for each split and seed, a bar at the mean; nothing without matplotlib.

    Args:
        record: With "rows".
        path: Of the picture.
        marked: Systems whose means are drawn as lines across, in all that are there.
    """
    tests: dict[str, list[float]] = {}
    reads: dict[str, str] = {}
    for row in record["rows"]:
        if "top1" in row:
            tests.setdefault(row["name"], []).append(100 * row["top1"])
            reads[row["name"]] = row["reads"]
    figure = new_figure(9, 1.2 + 0.25 * len(tests)) if tests else None
    if figure is None:
        return
    axes, names = figure.subplots(), list(tests)
    for place, name in enumerate(names):
        colour, kind = COLOURS[reads[name]], f"reads {reads[name]}"
        shown = None if kind in axes.get_legend_handles_labels()[1] else kind
        axes.barh(place, mean(tests[name]), color=colour, alpha=0.35, label=shown)
        axes.plot(tests[name], [place] * len(tests[name]), "o", color=colour, markersize=4)
    for name in marked:
        if name in tests:
            axes.axvline(mean(tests[name]), color="grey", linestyle=":", linewidth=1)
    data = record["data"]
    kind = KINDS[data.get("subset", "test")]
    videos = ", ".join(f"split {split}: {count}" for split, count in data["videos"].items())
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="top-1, % (points: each split and seed)", title=f"{data['dataset']}, {kind} videos of {videos}")
    axes.legend(loc="upper right", fontsize=8)
    save(figure, path)
