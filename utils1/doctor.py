"""List the image decoders and flow solvers of this machine, their speed, and how to install missing ones."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from sts_common.json_text import as_json
from workflows.measuring.doctor import as_text, examine


def main(opt: Namespace) -> dict[str, Any]:
    """Print the report; return it."""
    report = examine()
    print(as_json(report, indent=2) if opt.json else as_text(report))  # noqa: T201 - the result
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
