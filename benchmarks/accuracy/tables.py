"""Tables of a comparison, and a picture of its accuracies."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.common.report import Record, markdown
from workflows.shared.plots import new_figure, save

VIDEOS = {"test": "test videos", "val": "held-out training videos"}  # by subset
NEIGHBOURS = ("1", "5", "10")
COLOURS = {"RGB": "tab:blue", "flow": "tab:orange", "RGB, flow": "tab:green"}


def by_test(rows: Iterable[Mapping[str, Any]], key: str) -> dict[str, dict[tuple[int, int], Any]]:
    """Group a value of rows by system, then by split and seed; rows without the value are left out."""
    tests: dict[str, dict[tuple[int, int], Any]] = {}
    for row in rows:
        if key in row:
            tests.setdefault(row["name"], {})[row["split"], row["seed"]] = row[key]
    return tests


def table(record: Record) -> str:
    """Tabulate accuracies, mean over splits and seeds with that of each, and the CPU time of a training."""
    data, where = record["data"], record["environment"]
    kind = VIDEOS[data.get("subset", "test")]
    videos = ", ".join(f"split {split}: {count} {kind}" for split, count in data["videos"].items())
    title = f"{data['dataset']}, {videos}; {where['cpu']}, torch {where['torch']}"
    names = list(dict.fromkeys(row["name"] for row in record["rows"] if "top1" in row))
    cells = [cells_of(name, [row for row in record["rows"] if row["name"] == name]) for name in names]
    return f"{title}\n\n" + markdown(["system", "reads", "top-1", "of each", "mean class", "CPU minutes"], cells)


def cells_of(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a system's line of the table, from its row of every split and seed."""
    accuracies = [100 * row["top1"] for row in rows]
    minutes = [row["seconds"] / 60 for row in rows if "seconds" in row]
    return [
        name,
        rows[0]["reads"],
        f"{mean(accuracies):.1f}",
        ", ".join(f"{value:.1f}" for value in accuracies),
        f"{100 * mean(row['mean_class'] for row in rows):.1f}",
        f"{mean(minutes):.1f}" if minutes else "",
    ]


def pairs_table(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate comparisons as of `compare_systems`; empty if there are none."""
    heads = ["system", "against", "tests", "points", "95 % interval over films", "McNemar's p of each test"]
    cells = [
        [
            pair["first"],
            pair["second"],
            str(pair["tests"]),
            f"{pair['difference']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*pair["interval"]),
            ", ".join(f"{p:.2g}" for p in pair["mcnemar"]),
        ]
        for pair in pairs
    ]
    return markdown(heads, cells) if cells else ""


def retrieval_table(record: Record) -> str:
    """Tabulate retrieval by the features of networks, mean over seeds with that of each; empty if there is none."""
    rows = [row for row in record["rows"] if "retrieval" in row]
    cells = []
    for name in dict.fromkeys(row["name"] for row in rows):
        of_seeds = [row["retrieval"] for row in rows if row["name"] == name]
        top = {k: [100 * of_seed[k] for of_seed in of_seeds] for k in NEIGHBOURS}
        means = (f"{mean(values):.1f}" for values in top.values())
        cells.append([name, *means, ", ".join(f"{value:.1f}" for value in top["5"])])
    heads = ["features of", *(f"top-{k}" for k in NEIGHBOURS), "top-5 of each seed"]
    return markdown(heads, cells) if cells else ""


def motion_table(record: Record) -> str:
    """Tabulate errors of flow, means over seeds; empty if there are none."""
    measured = [row["motion"] for row in record["rows"] if "motion" in row]
    if not measured:
        return ""
    cells = [
        [name, *(f"{mean(seed[kind][name] for seed in measured):.3f}" for kind in ("photometric", "px"))]
        for name in measured[0]["px"]
    ]
    return markdown(["flow of", "photometric loss", "px to TV-L1"], cells)


def draw_accuracies(record: Record, path: Path, names: Collection[str], marked: Sequence[str] = ()) -> None:
    """Draw top-1 of systems: a point for each test that all of them have, a bar at the mean.

    Nothing is drawn without matplotlib, or where there is no such test.

    Args:
        record: With "rows".
        path: Of the picture.
        names: Of the systems.
        marked: Systems whose means are drawn as lines across all bars.
    """
    rows = [row for row in record["rows"] if row["name"] in names]
    tests = by_test(rows, "top1")
    common = sorted(set.intersection(*map(set, tests.values()))) if tests else []
    figure = new_figure(9, 1.2 + 0.25 * len(tests)) if common else None
    if figure is None:
        return
    axes, reads = figure.subplots(), {row["name"]: row["reads"] for row in rows}
    for place, (name, accuracies) in enumerate(tests.items()):
        colour, kind = COLOURS[reads[name]], f"reads {reads[name]}"
        label = None if kind in axes.get_legend_handles_labels()[1] else kind
        values = [100 * accuracies[test] for test in common]
        axes.barh(place, mean(values), color=colour, alpha=0.35, label=label)
        axes.plot(values, [place] * len(values), "o", color=colour, markersize=4)
        if name in marked:
            axes.axvline(mean(values), color="grey", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(tests)), list(tests), fontsize=8)
    axes.set_ylim(len(tests) - 0.5, -0.5)
    axes.set(xlabel="top-1, % (a point for each split and seed)", title=basis(record, [split for split, _ in common]))
    axes.legend(loc="upper right", fontsize=8)
    save(figure, path)


def basis(record: Record, splits: Sequence[int]) -> str:
    """Describe which videos are tested, and by how many networks."""
    data = record["data"]
    kind = VIDEOS[data.get("subset", "test")]
    each = [
        f"{data['videos'][str(split)]} {kind} of split {split} x {splits.count(split)} seeds"
        for split in dict.fromkeys(splits)
    ]
    return f"{data['dataset']}, {', '.join(each)}"
