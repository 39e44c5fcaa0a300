"""Accuracy of two-stream systems with images beside those of 3D networks, on one data set: means over seeds.

Trains small networks of each system by the commands' own functions, tests them on the whole test list, and fuses their
scores. What is finished is kept in --out, row by row: the same command goes on after an interruption, and with further
--seeds. A seed of J-HMDB (650 training videos of 128 pixels) takes about half an hour on an idle core.

    OMP_NUM_THREADS=1 python benchmarks/systems.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.comparison import compare, comparison_parser
from benchmarks.accuracy.imagenet import lite0
from benchmarks.accuracy.rows import FUSIONS, ROWS
from benchmarks.accuracy.tables import motion_table, table
from benchmarks.common.report import Record, publish
from engine.command import cli


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    return comparison_parser("systems", __doc__).parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, row by row, fuse, print the tables, write the JSON."""
    record = compare(opt, ROWS, FUSIONS, lite0)
    return publish(opt.out, record, *filter(None, (table(record), motion_table(record))))


if __name__ == "__main__":
    cli.run(main, parse_args)
