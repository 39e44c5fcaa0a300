"""Tables of the comparison."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.common.report import Record, markdown

KINDS = {"test": "test", "val": "held-out training"}  # of videos, by subset
SHOWN = ("1", "5", "10")  # numbers of nearest videos


def table(record: Record) -> str:
    """Tabulate accuracies, mean over splits and seeds with that of each, and the CPU time of a training."""
    data, where = record["data"], record["environment"]
    kind = KINDS[data.get("subset", "test")]
    videos = ", ".join(f"split {split}: {count} {kind} videos" for split, count in data["videos"].items())
    title = f"{data['dataset']}, {videos}; {where['cpu']}, torch {where['torch']}"
    names = list(dict.fromkeys(row["name"] for row in record["rows"] if "top1" in row))
    cells = [cells_of(name, [row for row in record["rows"] if row["name"] == name]) for name in names]
    return f"{title}\n\n" + markdown(["system", "reads", "top-1", "of each", "mean class", "CPU minutes"], cells)


def cells_of(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line of the table, from its row of every split and seed."""
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
    names = list(dict.fromkeys(row["name"] for row in rows))
    cells = []
    for name in names:
        of_seeds = [row["retrieval"] for row in rows if row["name"] == name]
        top = {k: [100 * of_seed[k] for of_seed in of_seeds] for k in SHOWN}
        cells.append([name, *(f"{mean(top[k]):.1f}" for k in SHOWN), ", ".join(f"{value:.1f}" for value in top["5"])])
    heads = ["features of", *(f"top-{k}" for k in SHOWN), "top-5 of each seed"]
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
