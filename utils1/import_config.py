"""Turn a configuration of Distil-2D-3D into one of STS_train.py, or a command of IBM's study into one of here.

    python utils1/import_config.py configs/anc_example.yml anc.yaml
    python STS_train.py --config anc.yaml
    python utils1/import_config.py --study "test.py --datadir D -e --pretrained F --backbone_net i3d"

What no option honours is named with the reason, what is misspelt is refused.
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from engine.command.config import write_options
from workflows.importing.distil_2d3d import import_distillation
from workflows.importing.study_options import import_command


def main(opt: Namespace) -> None:
    """Write the options, or print the command; print what is not among them."""
    if opt.study is not None:
        if opt.source is not None:
            raise ValueError(f"{opt.source}: --study and a configuration exclude each other: leave one of them out")
        command = import_command(shlex.split(opt.study))
        dropped = {f"--{key}": reason for key, reason in command.dropped.items()}
        line = shlex.join(["python", command.script, *command.words])
    else:
        dropped, line = write_config(opt.source, opt.target)
    for key, reason in dropped.items():
        print(f"{key}: not taken over ({reason})")  # noqa: T201 - the result
    print(line)  # noqa: T201 - the result


def write_config(source: Path | None, target: Path | None) -> tuple[dict[str, str], str]:
    """Write the options of a configuration; return what is not among them, and the command that reads them."""
    if source is None or target is None:
        raise ValueError("give SRC and DST, or --study and a command")
    imported = import_distillation(source)
    if target.exists():
        raise ValueError(f"{target}: is there already, choose another name")
    write_options(target, imported.options)
    return imported.dropped, f"python STS_train.py --config {target}"


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, nargs="?", help="configuration of Distil-2D-3D, .yml")
    parser.add_argument("target", metavar="DST", type=Path, nargs="?", help="options of STS_train.py, .yaml")
    parser.add_argument("--study", metavar="COMMAND", help="of IBM's study, from train.py or test.py on, in quotes")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
