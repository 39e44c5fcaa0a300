"""Accuracy of 2D and 3D families under one protocol, against what they cost: one table and one picture.

After Chen et al. (CVPR 2021, https://arxiv.org/abs/2010.11757), at a size that a core trains: each family on RGB and on
flow, fused, and students of other families than their flow teacher. What is finished is kept in --out, row by row:
the same command goes on after an interruption, and with further --seeds.

    OMP_NUM_THREADS=1 python benchmarks/study.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.comparison import compare, comparison_parser
from benchmarks.accuracy.paired import compare_systems
from benchmarks.accuracy.study_rows import FRAMES, FUSIONS, NETWORKS, ROWS, SIDE, STUDENTS
from benchmarks.accuracy.tables import pairs_table, table
from benchmarks.common.report import Record, markdown, publish
from engine.command import cli
from workflows.measuring.model_info import GIGA, MEGA, model_info
from workflows.shared.plots import new_figure, save

CLASSES = 51
KINDS = ("RGB", "Flow", "RGB + Flow", "long RGB", "SFS", "RGB + SFS")
MARKERS = {"RGB": "o", "Flow": "s", "SFS": "*"}


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = comparison_parser("study", __doc__)
    parser.add_argument("--seconds", default=1.0, type=float, help="of each measurement of speed")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, measure costs, print the tables, draw the picture, write the JSON."""
    record = compare(opt, ROWS, FUSIONS)
    trained = {row["name"] for row in record["rows"]}
    record["costs"] = {
        name: model_info(words, num_classes=CLASSES, frames=FRAMES, size=SIDE, measure=["float32"], seconds=opt.seconds)
        for name, words in NETWORKS.items()
        if f"RGB, {name}" in trained
    }
    record["pairs"] = compare_systems(opt, record, [(f"SFS, {name}", f"long RGB, {name}") for name in STUDENTS])
    draw(record, opt.out.with_suffix(".png"))
    return publish(opt.out, record, *filter(None, (table(record), pairs_table(record["pairs"]), costs_table(record))))


def accuracy_of(record: Record, name: str) -> float | None:
    """Return the mean top-1 accuracy of a row over the seeds in percent, None if it is not there."""
    accuracies = [100 * row["top1"] for row in record["rows"] if row["name"] == name]
    return mean(accuracies) if accuracies else None


def costs_table(record: Record) -> str:
    """Tabulate each family: what a clip costs, and its accuracies."""
    heads = ["family", "parameters, M", "multiply-adds, G", "clips/s of a core", *KINDS]
    lines = []
    for name, cost in record["costs"].items():
        accuracies = [accuracy_of(record, f"{kind}, {name}") for kind in KINDS]
        cells = f"{cost['parameters'] / MEGA:.2f}", f"{cost['multiply_adds'] / GIGA:.3f}"
        speed = f"{cost['clips_per_second']['float32']:.1f}"
        lines.append([name, *cells, speed, *("" if top is None else f"{top:.1f}" for top in accuracies)])
    return markdown(heads, lines)


def draw(record: Record, path: Path) -> None:
    """Draw accuracy against multiply-adds and against clips per second; nothing without matplotlib."""
    figure = new_figure(10, 4.5)
    if figure is None:
        return
    costs = record["costs"]
    scales = {
        "multiply-adds of a clip, G": {name: cost["multiply_adds"] / GIGA for name, cost in costs.items()},
        "clips per second of a core": {name: cost["clips_per_second"]["float32"] for name, cost in costs.items()},
    }
    for axes, (label, values) in zip(figure.subplots(1, 2), scales.items(), strict=True):
        for kind, marker in MARKERS.items():
            points = [(x, y) for name, x in values.items() if (y := accuracy_of(record, f"{kind}, {name}")) is not None]
            if points:
                axes.scatter(*zip(*points, strict=True), marker=marker, label=kind)
        for name, x in values.items():
            tops = [top for kind in MARKERS if (top := accuracy_of(record, f"{kind}, {name}")) is not None]
            axes.annotate(name, (x, max(tops)), xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.margins(0.2, 0.1)
        axes.set_xscale("log", subs=(2, 5))
        axes.set(xlabel=label, ylabel="top-1, %", ylim=(0, None))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.legend(loc="lower right", fontsize=8)
    save(figure, path)


if __name__ == "__main__":
    cli.run(main, parse_args)
