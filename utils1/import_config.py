"""Turn a configuration of Distil-2D-3D into one of STS_train.py.

    python utils1/import_config.py configs/anc_example.yml anc.yaml
    python STS_train.py --config anc.yaml

Keys that no option honours are named with the reason, misspelt ones refused.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from engine.command.config import write_options
from workflows.importing.distil_2d3d import import_distillation


def main(opt: Namespace) -> None:
    """Write the options; print what is not among them."""
    imported = import_distillation(opt.source)
    if opt.target.exists():
        raise ValueError(f"{opt.target}: is there already, choose another name")
    write_options(opt.target, imported.options)
    for key, reason in imported.dropped.items():
        print(f"{key}: not taken over ({reason})")  # noqa: T201 - the result
    print(f"python STS_train.py --config {opt.target}")  # noqa: T201 - the result


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, help="configuration of Distil-2D-3D, .yml")
    parser.add_argument("target", metavar="DST", type=Path, help="options of STS_train.py, .yaml")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
