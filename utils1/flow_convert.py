"""Convert stored flow to another bound or quantisation, and between JPEG pairs and .flo files.

SRC is a root as the extraction leaves it: SRC/class/video/ with TVL1jpg_x_00001.jpg, TVL1jpg_y_00001.jpg, ..., or with
.flo files that are numbered from 1. DST gets the same folders with the converted flow and `done`, frames as hard links
(copies on another disk), and a flow.json that says what it was converted from. Run it again after an interruption:
complete videos are skipped. Each conversion to JPEG compresses once more, which costs a few hundredths of a level.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from flow.encoding import QUANTISATIONS
from sts_common import cores
from workflows.stored_flow.convert import convert_tree


def main(opt: Namespace) -> None:
    """Convert every video of SRC."""
    convert_tree(
        opt.source,
        opt.target,
        to=opt.to,
        bound=opt.bound,
        quantisation=opt.quant,
        from_bound=opt.from_bound,
        from_quantisation=opt.from_quant,
        workers=opt.workers,
    )


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, help="root of folders with flow")
    parser.add_argument("target", metavar="DST", type=Path, help="where the same folders are made")
    parser.add_argument("--to", default="jpg", choices=("jpg", "flo"), help="JPEG pairs or .flo files")
    parser.add_argument("--bound", type=float, help="pixels that become grey level 255; default: as in SRC")
    parser.add_argument("--quant", choices=QUANTISATIONS, help="zero flow: level 127 or 128; default: as in SRC")
    parser.add_argument("--from_bound", type=float, help="bound of JPEG pairs without a flow.json")
    parser.add_argument("--from_quant", choices=QUANTISATIONS, help="quantisation of JPEG pairs without a flow.json")
    parser.add_argument("--workers", type=int, default=cores(), help="processes")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
