"""Fusion laboratory: every fusion and weighting of score files, fits on held-out videos, and confidence intervals.

    python utils1/fusion_lab.py rgb.npz sfs.npz
    python utils1/fusion_lab.py test.npz --fit held.npz --use rgb sfs --compare rgb+sfs rgb+flow --json lab.json
    python utils1/fusion_lab.py --splits split1.npz split2.npz split3.npz

Score files are written by test_single_stream.py and test_two_stream.py; no network runs here. docs/fusion.md says more.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from sts_common.files import write_text
from sts_common.json_text import as_json
from workflows.fusion_lab.analysis import analyse, mean_over_splits
from workflows.fusion_lab.markdown import as_text
from workflows.fusion_lab.systems import Bootstrap, Row


def main(opt: Namespace) -> Row:
    """Print the tables; return what `--json` writes."""
    bootstrap = Bootstrap(resamples=opt.resamples, seed=opt.seed)
    if bool(opt.scores) == bool(opt.splits):
        raise ValueError("give score files of the same test videos, or --splits with one of each split")
    if opt.splits and (opt.fit or opt.compare or opt.fusion_weights or opt.all):
        raise ValueError(
            "--splits is the mean over splits alone: no --fit, --compare, --fusion_weights or --all with it"
        )
    read = [*opt.scores, *(opt.fit or ()), *(opt.splits or ())]
    if opt.json and opt.json.resolve() in [Path(path).resolve() for path in read]:
        raise ValueError(f"--json {opt.json}: would overwrite a score file that is read: name another file")
    if opt.splits:
        report = mean_over_splits(opt.splits, opt.use)
    else:
        report = analyse(
            opt.scores,
            use=opt.use,
            fusion_weights=opt.fusion_weights,
            held_out=opt.fit,
            compare=opt.compare,
            bootstrap=bootstrap,
        )
    if opt.json:
        write_text(opt.json, as_json(report, indent=1) + "\n")
    print(as_text(report, every=opt.all))  # noqa: T201 - the result
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("scores", nargs="*", metavar="SCORES", help="score files of the same test videos; their streams are fused")
    add("--use", nargs="+", metavar="STREAM", help="streams to fuse, in this order; else all of the files")
    add("--fusion_weights", nargs="+", type=float, metavar="W", help="one more weighting for the table, one per stream")
    add("--all", action="store_true", help="show every weighting of every fusion, not the best of each")
    add("--fit", nargs="+", metavar="HELD", help="score files of the held-out training videos (--test_subset val)")
    add(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="two systems, such as rgb+sfs (ActivNo) and rgb+flow@softmax; may be repeated",
    )
    add("--splits", nargs="+", metavar="SCORES", help="instead: a score file per split, for the mean over them")
    add("--resamples", default=10_000, type=int, help="bootstrap resamples of the videos")
    add("--seed", default=1, type=int, help="of the bootstrap")
    add("--json", type=Path, help="write everything here, with more digits")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
