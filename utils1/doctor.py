"""What this machine loads images and computes flow with and how fast, what is missing and how to get it: in seconds."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from workflows.measuring.doctor import main


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
