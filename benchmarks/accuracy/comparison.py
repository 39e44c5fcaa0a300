"""Rows that are trained, tested and fused one after the other, of which those that are finished are kept."""

import itertools
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common.report import Record, build_parser, check_least, choose, environment
from datasets import DATASETS
from sts_common.json_text import as_json

from .rows import Fusion, Row
from .runs import Bench


def comparison_parser(name: str, description: str | None, seeds: Sequence[int] = (1, 2)) -> ArgumentParser:
    """Build the parser of a comparison of this name, with the seeds that it trains unless others are given."""
    parser = build_parser(name, description)
    add = parser.add_argument
    add("--frame_dir", required=True, type=Path, help="frames and TV-L1 flow")
    add("--annotation_path", required=True, type=Path, help="official lists")
    add("--dataset", default="HMDB51", choices=DATASETS, help="whose lists they are like")
    add("--splits", default=[1], type=int, nargs="+", choices=(1, 2, 3), help="official splits")
    add("--folder", default=f"results/{name}", type=Path, help="for networks and scores")
    add("--seeds", default=list(seeds), type=int, nargs="+", help="of the trainings")
    add(
        "--rows",
        default=[],
        nargs="*",
        metavar="TEXT",
        help="of these names, or whose names hold one of these, and what they need",
    )
    add(
        "--test_subset",
        default="test",
        choices=("test", "val"),
        help="val: judge by the training videos that are held out, to choose settings without the test list",
    )
    add("--training", default="", metavar="TEXT", help='further options of all trainings: --training="--amp bf16"')
    add("--quick", action="store_true", help="an epoch of each, which learns nothing")
    return parser


def compare(
    opt: Namespace,
    rows: Mapping[str, Row],
    fusions: Mapping[str, Fusion],
    imagenet_weights: Callable[[Path], Path] | None = None,
) -> Record:
    """Train and test what is missing, row by row, and fuse; the JSON is written after each.

    Args:
        opt: See `comparison_parser`.
        rows: Of the comparison.
        fusions: Of rows that are there.
        imagenet_weights: Writes the weights that some rows begin with into a folder, and returns the file.
    """
    check_least(opt, seeds=0)
    names = with_needed(choose(rows, opt.rows, "no row's name"), rows)
    begins = imagenet_weights and any(rows[name].reads_imagenet for name in names)
    imagenet = imagenet_weights(opt.folder.resolve()) if begins and imagenet_weights else None
    kept = {(row["split"], row["name"], row["seed"]): row for row in finished_rows(opt.out)}
    write = partial(keep, opt, order=[*rows, *fusions])
    for split, seed in itertools.product(opt.splits, opt.seeds):
        bench = Bench.of(opt, rows, split)
        for name in names:
            about = {"split": split, "seed": seed, "name": name, "reads": rows[name].reads}
            about |= {"options": bench.options(rows[name]), "needs": rows[name].rows}
            about |= {} if opt.test_subset == "test" else {"subset": opt.test_subset}
            before = kept.get((split, name, seed), {})
            if before | about != before or not bench.place(name, seed).is_dir():
                kept[split, name, seed] = about | bench.run_row(name, seed, imagenet)
                write(list(kept.values()))
    for split, seed in sorted({(row["split"], row["seed"]) for row in kept.values()}):  # also those of earlier calls
        bench = Bench.of(opt, rows, split)
        for name, fusion in fusions.items():
            if fusion.fitted and opt.test_subset == "val":
                continue  # what is fitted on these videos is not judged by them
            if all((split, row, seed) in kept and bench.scores(row, seed).is_file() for row in fusion.rows):
                reads = "RGB, flow" if any(rows[row].reads == "flow" for row in fusion.rows) else "RGB"
                about = {"split": split, "seed": seed, "name": name, "reads": reads}
                kept[split, name, seed] = about | bench.fuse(name, fusion, seed)
    return write(list(kept.values()))


def with_needed(names: Sequence[str], rows: Mapping[str, Row]) -> list[str]:
    """Return rows with those whose networks they begin with, each after them."""
    needed = [other for name in names for other in with_needed(rows[name].rows, rows)]
    return [name for name in rows if name in {*names, *needed}]


def finished_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run's JSON; ValueError if it is of something else."""
    if not out.is_file():
        return []
    try:
        return [row for row in json.loads(out.read_text("utf-8"))["rows"] if "options" in row and "split" in row]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--out {out}: is not of this script; name another file") from error


def keep(opt: Namespace, rows: list[dict[str, Any]], order: Sequence[str]) -> Record:
    """Write the JSON in the order of the table, and return the record."""
    rows.sort(key=lambda row: (order.index(row["name"]), row["split"], row["seed"]))
    videos = {str(row["split"]): row["videos"] for row in rows if "videos" in row}
    data = {"dataset": opt.dataset, "subset": opt.test_subset, "videos": videos}
    record: Record = {"environment": environment(), "data": data, "quick": opt.quick, "rows": rows}
    opt.out.parent.mkdir(parents=True, exist_ok=True)
    opt.out.write_text(as_json(record, indent=1) + "\n", "utf-8")
    return record
