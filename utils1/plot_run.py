"""Plot one or several runs in one figure: losses, accuracy, learning rate, waiting for data, clips per second.

    python utils1/plot_run.py results/HMDB51/a_run results/HMDB51/another_run
    python utils1/plot_run.py results/HMDB51/flow*
    python utils1/plot_run.py results --metric loss acc --smooth 5 --out curves.png

A run is a folder with metrics.jsonl; of any other folder all runs below it are drawn. What stands beside such a folder,
its logs and checkpoints, is of the same run, so that "a_run*" is one run; logs of the published code are drawn too. The
legend says in what the runs' options differ. Dotted lines are training, solid ones validation. A few values far above
all others are cut off by the axis, which says so; --whole_axis shows them.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from sts_common import counted
from workflows.plotting.curves import plot_runs


def main(opt: Namespace) -> Path:
    """Draw the figure; return its path."""
    metrics, runs = plot_runs(opt.runs, opt.out, metrics=opt.metric, smooth=opt.smooth, whole_axis=opt.whole_axis)
    print(f"{opt.out}: {counted(len(metrics), 'metric')} of {counted(len(runs), 'run')}")  # noqa: T201 - the result
    return opt.out


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", type=Path, help="folder with metrics.jsonl, one above several such, or a log"
    )
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="picture to write: .png, .pdf or .svg")
    parser.add_argument("--metric", nargs="+", help="loss, acc, loss_mse, lr, ...; else all that matter")
    parser.add_argument("--smooth", type=int, default=1, help="draw means over so many epochs, the values pale behind")
    parser.add_argument(
        "--whole_axis", action="store_true", help="up to the greatest value, however far above the rest"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
