"""Pack frame folders: one file per video and stream, which holds the image files as they are.

SRC is a root of frame folders; DST gets the packed clips, and training reads them with --frame_dir DST. Run it again
after an interruption: files that are there are skipped. --verify reads everything back and compares it with SRC, or
without DST, where SRC holds packed clips, with their checksums. --unpack restores the files that SRC was packed from,
byte for byte.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.stores.layouts import LAYOUTS
from engine.command import cli
from sts_common.cluster import CLUSTER
from workflows.packing.pack import pack_tree, unpack_tree, verify_tree


def main(opt: Namespace) -> None:
    """Pack, verify or unpack."""
    if opt.target is None and (opt.unpack or not opt.verify):
        raise ValueError("DST is missing: give a folder for the result, or --verify to check SRC")
    if opt.unpack and opt.verify:
        raise ValueError("--unpack checks what it writes; leave out --verify")
    if opt.unpack:
        unpack_tree(opt.source, opt.target, workers=opt.workers, cluster=opt.cluster)
    elif opt.target is None:
        verify_tree(opt.source, workers=opt.workers, cluster=opt.cluster)
    else:
        pack_tree(opt.source, opt.target, layout=opt.layout, workers=opt.workers, cluster=opt.cluster)
        if opt.verify:
            verify_tree(opt.target, opt.source, workers=opt.workers, cluster=opt.cluster)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, help="root of the frame folders, or of packed clips")
    parser.add_argument("target", metavar="DST", type=Path, nargs="?", help="where the result is made")
    parser.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS), help="how the files of SRC are named")
    parser.add_argument("--verify", action="store_true", help="read every packed image back and compare it")
    parser.add_argument("--unpack", action="store_true", help="restore the files that were packed")
    parser.add_argument("--workers", type=int, help="processes; else one per core")
    parser.add_argument("--cluster", metavar="ADDRESS", help=CLUSTER)
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
