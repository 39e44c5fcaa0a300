"""Run a command of STS-Net by its name: `sts train --help` is `python train.py --help`, from any folder.

With several GPUs: `torchrun --nproc_per_node 8 -m sts_net.sts train ...`.
"""

import runpy
import sys
from pathlib import Path

from sts_common.commands import COMMANDS

ROOT = Path(__file__).resolve().parent  # of the project, or of the installed package
UNKNOWN = 2


def main() -> None:
    """Run the command that the first word names, with the words after it."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(table())  # noqa: T201 - the result
        return
    if name not in COMMANDS:
        sys.stderr.write(f"error: {name!r} is none of the commands {', '.join(COMMANDS)} (see sts --help)\n")
        sys.exit(UNKNOWN)
    # The packages have generic names; here they are those of this project, whatever else is installed.
    sys.path.insert(0, str(ROOT))
    sys.argv = [f"sts {name}", *words]
    runpy.run_path(str(ROOT / COMMANDS[name].script), run_name="__main__")


def table() -> str:
    """Return every command with its purpose."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: sts COMMAND [options], sts COMMAND --help", "", *lines])


if __name__ == "__main__":
    main()
