"""Pictures of a comparison."""

from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import mean

from benchmarks.common.report import Record
from workflows.shared.plots import new_figure, save

from .tables import KINDS

COLOURS = {"RGB": "tab:blue", "flow": "tab:orange", "RGB, flow": "tab:green"}


def draw_accuracies(record: Record, path: Path, names: Collection[str], marked: Sequence[str] = ()) -> None:
    """Draw top-1 of systems: a point for each test that all of them have, a bar at the mean.

    Nothing is drawn without matplotlib, or where there is no such test.

    Args:
        record: With "rows".
        path: Of the picture.
        names: Of the systems.
        marked: Systems whose means are drawn as lines across, in all that are there.
    """
    rows = [row for row in record["rows"] if "top1" in row and row["name"] in names]
    tests: dict[str, dict[tuple[int, int], float]] = {}
    for row in rows:
        tests.setdefault(row["name"], {})[row["split"], row["seed"]] = 100 * row["top1"]
    common = sorted(set.intersection(*map(set, tests.values()))) if tests else []
    figure = new_figure(9, 1.2 + 0.25 * len(tests)) if common else None
    if figure is None:
        return
    axes, reads = figure.subplots(), {row["name"]: row["reads"] for row in rows}
    for place, (name, of_tests) in enumerate(tests.items()):
        colour, kind = COLOURS[reads[name]], f"reads {reads[name]}"
        shown = None if kind in axes.get_legend_handles_labels()[1] else kind
        values = [of_tests[test] for test in common]
        axes.barh(place, mean(values), color=colour, alpha=0.35, label=shown)
        axes.plot(values, [place] * len(values), "o", color=colour, markersize=4)
        if name in marked:
            axes.axvline(mean(values), color="grey", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(tests)), list(tests), fontsize=8)
    axes.set_ylim(len(tests) - 0.5, -0.5)
    axes.set(xlabel="top-1, % (a point for each split and seed)", title=basis(record, [split for split, _ in common]))
    axes.legend(loc="upper right", fontsize=8)
    save(figure, path)


def basis(record: Record, splits: Sequence[int]) -> str:
    """Say which videos are tested, and by how many networks."""
    data = record["data"]
    kind = KINDS[data.get("subset", "test")]
    each = [
        f"{data['videos'][str(split)]} {kind} videos of split {split} x {splits.count(split)} seeds"
        for split in dict.fromkeys(splits)
    ]
    return f"{data['dataset']}, {', '.join(each)}"
