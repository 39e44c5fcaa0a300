"""Measure the clips per second that this machine loads with your options and with others, and name the bottleneck.

    python utils1/bench_loader.py --dataset UCF101 --frame_dir ... --annotation_path ... --modality RGB

takes the options of train.py and STS_train.py. Nothing is computed on a GPU.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from opts import TRAIN, build_parser, parse_with
from workflows.measuring.loading import main


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script, and those of training."""
    parser = build_parser(TRAIN, __doc__)
    parser.usage = "%(prog)s --dataset DATASET --frame_dir FRAME_DIR [options]"
    add = parser.add_argument_group("measurement").add_argument
    add("--seconds", type=float, default=4.0, help="for each setting, beside its start")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parse_with(parser, argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
