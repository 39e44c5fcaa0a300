"""Compare two folders of stored flow: in pixels, and in the grey levels of a network's input.

A and B are the folders of one video, or roots above such folders, which are matched by their paths below A and B. Flow
is JPEG pairs (TVL1jpg_x_00001.jpg, TVL1jpg_y_00001.jpg, ...), whose bound is read from flow.json in the root or given,
or .flo files numbered from 1. Medians and 99th percentiles are right to half a percent of their value.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from flow.encoding import QUANTISATIONS
from sts_common import cores
from sts_common.files import write_text
from sts_common.json_text import as_json
from workflows.stored_flow.compare import as_csv, as_text, compare_flow, refuse_differences


def main(opt: Namespace) -> dict[str, Any]:
    """Print and write the comparison; return it."""
    report = compare_flow(opt.a, opt.b, bound=opt.bound, quantisation=opt.quant, workers=opt.workers)
    if opt.json:
        write_text(opt.json, as_json(report, indent=2) + "\n")
    if opt.csv:
        write_text(opt.csv, as_csv(report))
    print(as_text(report))  # noqa: T201 - the result
    refuse_differences(report, opt.max_epe)
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("a", metavar="A", type=Path, help="folder of a video, or root")
    parser.add_argument("b", metavar="B", type=Path, help="what it is compared with")
    parser.add_argument("--bound", type=float, help="pixels of level 255 where no flow.json says it; .flo files: 20")
    parser.add_argument("--quant", choices=QUANTISATIONS, help="the same for the quantisation; .flo files: truncate")
    parser.add_argument("--max_epe", type=float, help="fail if the mean end-point difference is more pixels")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    parser.add_argument("--csv", type=Path, help="file with a line per video")
    parser.add_argument("--workers", type=int, default=cores(), help="processes")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
