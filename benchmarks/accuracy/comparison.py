"""Comparison of networks that are trained, tested and fused row by row; finished rows are kept."""

import itertools
import json
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.report import Record, build_parser, check_least, choose, environment
from datasets import DATASETS
from sts_common.files import write_atomically
from sts_common.json_text import as_json

from .rows import Fusion, Row
from .runs import Bench

log = logging.getLogger(__name__)

Results = dict[tuple[int, str, int], dict[str, Any]]  # rows by split, name and seed


def comparison_parser(name: str, description: str | None, seeds: Sequence[int] = (1, 2)) -> ArgumentParser:
    """Build the parser of a comparison, with its default seeds."""
    parser = build_parser(name, description)
    add = parser.add_argument
    add("--frame_dir", required=True, type=Path, help="frames and TV-L1 flow")
    add("--annotation_path", required=True, type=Path, help="official lists")
    add("--dataset", default="HMDB51", choices=DATASETS, help="whose lists they are like")
    add("--splits", default=[1], type=int, nargs="+", choices=(1, 2, 3), help="official splits")
    add("--folder", default=f"results/{name}", type=Path, help="for networks and scores")
    add("--seeds", default=list(seeds), type=int, nargs="+", help="of the trainings")
    rows_help = "of these names, or whose names hold one of these, and what they need"
    add("--rows", default=[], nargs="*", metavar="TEXT", help=rows_help)
    subset_help = "val: judge by the training videos that are held out, to choose settings without the test list"
    add("--test_subset", default="test", choices=("test", "val"), help=subset_help)
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
        opt: Options of `comparison_parser`.
        rows: Rows of the comparison by name.
        fusions: Fusions of these rows by name.
        imagenet_weights: Writes the weights that some rows begin with into a folder, and returns the file.
    """
    check_least(opt, seeds=0)
    names = with_needed(choose(rows, opt.rows, "no row's name"), rows)
    benches = {split: Bench.of(opt, rows, split) for split in opt.splits}
    for bench in benches.values():
        bench.check(names)
    start = imagenet_weights if any(rows[name].reads_imagenet for name in names) else None
    imagenet = start(opt.folder.resolve()) if start else None
    order = [*rows, *fusions]
    results: Results = {(row["split"], row["name"], row["seed"]): row for row in finished_rows(opt.out, order)}
    for split in {row["split"] for row in results.values()}:  # also of earlier calls
        benches.setdefault(split, Bench.of(opt, rows, split))
    check_results(opt, results.values(), benches)
    for split, seed in itertools.product(opt.splits, opt.seeds):
        bench = benches[split]
        for name in names:
            if (split, name, seed) not in results or not bench.is_finished(name, seed):
                about = {"split": split, "seed": seed, "name": name, "reads": rows[name].reads}
                about |= {"subset": bench.subset, "lists": bench.lists}
                about |= {"options": bench.options(rows[name]), "needs": rows[name].rows}
                results[split, name, seed] = about | bench.run_row(name, seed, imagenet)
                write_results(opt, results, order)
    fuse_rows(results, benches, fusions)
    return write_results(opt, results, order)


def fuse_rows(results: Results, benches: Mapping[int, Bench], fusions: Mapping[str, Fusion]) -> None:
    """Add the fusions of finished rows, of every split and seed; those that cannot be fitted are logged."""
    for split, seed in sorted({(split, seed) for split, _, seed in results}):
        bench = benches[split]
        finished = {name for name in bench.rows if (split, name, seed) in results and bench.is_finished(name, seed)}
        for name, fusion in fusions.items():
            if finished.issuperset(fusion.rows) and (bench.fits or not fusion.fitted):
                reads = "RGB, flow" if any(bench.rows[row].reads == "flow" for row in fusion.rows) else "RGB"
                about = {"split": split, "seed": seed, "name": name, "reads": reads, "subset": bench.subset}
                try:
                    results[split, name, seed] = about | bench.fuse(name, fusion, seed)
                except ValueError as error:
                    if not fusion.fitted:
                        raise
                    log.warning("%s, split %d, seed %d: left out: %s", name, split, seed, error)


def check_results(opt: Namespace, rows: Iterable[Mapping[str, Any]], benches: Mapping[int, Bench]) -> None:
    """Refuse to go on with rows of other videos, or of other options than they would have now.

    Raises:
        ValueError: Names the file and the cure.
    """
    for row in rows:
        bench = benches[row["split"]]
        now = {"subset": bench.subset, "lists": bench.lists}
        if row["name"] in bench.rows:
            now["options"] = bench.options(bench.rows[row["name"]])
        before = {"subset": "test", "lists": bench.lists, **row}  # older files state neither
        if changed := [name for name in now if before[name] != now[name]]:
            raise ValueError(
                f"--out {opt.out}: its row {row['name']} has other {changed[0]} than this call: name another file and "
                "another --folder"
            )


def with_needed(names: Sequence[str], rows: Mapping[str, Row]) -> list[str]:
    """Add the rows whose networks these begin with; each comes after those that it needs."""
    needed = [other for name in names for other in with_needed(rows[name].rows, rows)]
    return [name for name in rows if name in {*names, *needed}]


def finished_rows(out: Path, order: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of an earlier call that were trained; ValueError if the file is not of this script."""
    if not out.is_file():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))["rows"]
        if all(row["name"] in order and {"split", "seed"} <= row.keys() for row in rows):
            return [row for row in rows if "options" in row]
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"--out {out}: is not of this script; name another file")


def write_results(opt: Namespace, results: Results, order: Sequence[str]) -> Record:
    """Write the JSON in the order of the table, and return the record."""
    rows = sorted(results.values(), key=lambda row: (order.index(row["name"]), row["split"], row["seed"]))
    videos = {str(row["split"]): row["videos"] for row in rows if "videos" in row}
    data = {"dataset": opt.dataset, "subset": opt.test_subset, "videos": videos}
    record: Record = {"environment": environment(), "data": data, "quick": opt.quick, "rows": rows}
    write_atomically(opt.out, lambda file: file.write((as_json(record, indent=1) + "\n").encode()))
    return record
