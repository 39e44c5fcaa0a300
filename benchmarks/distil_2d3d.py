"""Distillation from a network of images into a 3D network, without labels and in a bank of three teachers.

A student learns the logits of EfficientNet-Lite0 with the weights of ImageNet, without labels; its features are judged
by retrieval and a linear probe beside those of an untrained network, and fine-tuned beside a training from scratch.
Then students of a flow network, of Lite0 and of an RGB network, and of all three at once. What is finished is kept in
--out, row by row: the same command goes on after an interruption, and with further --seeds. Outputs of teachers for
clips that never change are cached in the folder teacher_cache below --folder.

    OMP_NUM_THREADS=1 python benchmarks/distil_2d3d.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.comparison import compare, comparison_parser
from benchmarks.accuracy.distil_rows import ROWS
from benchmarks.accuracy.imagenet import lite0
from benchmarks.accuracy.tables import retrieval_table, table
from benchmarks.common.report import Record, publish
from engine.command import cli


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    return comparison_parser("distil_2d3d", __doc__, seeds=(1, 2, 3)).parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, row by row, print the tables, write the JSON."""
    record = compare(opt, ROWS, {}, lite0)
    return publish(opt.out, record, *filter(None, (retrieval_table(record), table(record))))


if __name__ == "__main__":
    cli.run(main, parse_args)
