"""Test accuracy of the epochs that four rules choose by validation: what a "best" checkpoint is worth.

Each run must have kept the checkpoints of all epochs. Its test videos are scored by all that a rule chooses, and by
every eighth, in one pass; data, clips and network are those of its checkpoints.

    python train.py ... --run_name rgb --checkpoint 1 --keep 0
    python benchmarks/best_epoch.py results/HMDB51/rgb results/HMDB51/sfs
"""

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

import test_two_stream
from benchmarks.common.report import Record, build_parser, check_least, environment, markdown, publish
from engine import checkpoint
from engine.command import cli
from engine.evaluation.scores import load
from engine.training.best import Best
from opts import FUSED, parse_opts

HIGHEST, CHANCE, LAST, LOSS = "highest accuracy", "latest within chance (`_best.pth`)", "last", "least loss"


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("best_epoch", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, results/DATASET/RUN_NAME")
    parser.add_argument("--every", default=8, type=int, help="epochs from one that is scored anyway to the next")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Score the epochs of each run, print the table, write the JSON."""
    check_least(opt, every=1)
    names = short_names(opt.runs)
    rows = [{"run": name, **measure(run, opt.every)} for name, run in zip(names, opt.runs, strict=True)]
    return publish(opt.out, {"environment": environment(), "rows": rows}, table(rows))


def measure(run: Path, every: int) -> dict[str, Any]:
    """Return number of validation videos, chosen epochs by rule, and test top-1 by epoch of a run."""
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    history = {row["epoch"]: row for row in map(json.loads, lines)}
    if not all("val_acc" in row for row in history.values()):
        raise ValueError(f"{run}: learnt no classes, so it has no accuracies to choose epochs by")
    clips = int(checkpoint.load(of_epoch(run, max(history)))["data"]["val"]["videos"])
    chosen = choose_epochs(history, clips)
    epochs = sorted({*chosen.values(), *range(every, max(history) + 1, every)})
    return {"videos": clips, "chosen": chosen, "top1": test(run, epochs)}


def short_names(runs: Sequence[Path]) -> list[str]:
    """Name each run by the first parts of its path that tell all of them apart."""
    parts = zip(*(run.parts for run in runs), strict=False)
    different = [column for column in parts if len(set(column)) > 1]
    for count in range(1, len(different) + 1):
        names = ["/".join(row) for row in zip(*different[:count], strict=True)]
        if len(set(names)) == len(runs):
            return names
    return [str(run) for run in runs]


def of_epoch(run: Path, epoch: int) -> Path:
    """Return the checkpoint of an epoch; raises FileNotFoundError if it was not kept."""
    for path in (run.with_name(f"{run.name}{mark}{epoch}.pth") for mark in ("_", "")):  # published names have no mark
        if path.is_file():
            return path
    raise FileNotFoundError(f"{run}: has no checkpoint of epoch {epoch} beside it; train with --checkpoint 1 --keep 0")


def choose_epochs(history: Mapping[int, Mapping[str, float]], clips: int) -> dict[str, int]:
    """Return the epoch that each rule chooses by the validation of all epochs."""
    best, latest = Best(), 0
    for epoch, row in history.items():
        metrics = {"acc": row["val_acc"], "loss": row["val_loss"]}
        latest = epoch if best.accepts(metrics, clips) else latest
        best = best.after(metrics, clips)
    return {
        HIGHEST: max(history, key=lambda epoch: (history[epoch]["val_acc"], -history[epoch]["val_loss"])),
        LOSS: min(history, key=lambda epoch: history[epoch]["val_loss"]),
        CHANCE: latest,
        LAST: max(history),
    }


def test(run: Path, epochs: Sequence[int]) -> dict[int, float]:
    """Return the top-1 accuracy on the test videos by epoch."""
    words = [word for epoch in epochs for word in ("--stream", f"e{epoch}={of_epoch(run, epoch)}")]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "scores.npz"
        test_two_stream.main(parse_opts([*words, "--log", "0", "--scores_path", str(file)], FUSED))
        scores = load(file)
    hits = (scores.logits.argmax(-1) == scores.label).double().mean(1)
    return dict(zip(epochs, hits.tolist(), strict=True))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format top-1 in percent, and the epoch, by run and rule, and the means over runs."""
    rules = (HIGHEST, LOSS, CHANCE, LAST)
    cells = [
        [
            row["run"],
            str(row["videos"]),
            *(f"{100 * row['top1'][row['chosen'][rule]]:.1f} ({row['chosen'][rule]})" for rule in rules),
        ]
        for row in rows
    ]
    means = [f"{100 * mean(row['top1'][row['chosen'][rule]] for row in rows):.1f}" for rule in rules]
    return markdown(["run", "validation videos", *rules], [*cells, ["mean", "", *means]])


if __name__ == "__main__":
    cli.run(main, parse_args)
