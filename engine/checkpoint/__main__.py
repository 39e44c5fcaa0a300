"""Model card of a checkpoint, and its network as a safetensors file or for the published code.

Examples:
    python -m engine.checkpoint results/HMDB51/SFS_..._best.pth
    python -m engine.checkpoint results/HMDB51/SFS_..._best.pth --export SFS_HMDB51_16f.safetensors
    python -m engine.checkpoint results/HMDB51/SFS_..._best.pth --export_published SFS_HMDB51_16f.pth
"""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sts_common.json_text import as_json

from ..command import cli
from . import published, tensor_file
from .card import card
from .storage import load
from .text import as_text

log = logging.getLogger(__name__)


def main(opt: Namespace, state: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Print the card of `opt.file`, and return it; write its network to the files that are named.

    `state` is its content, if it is no file.
    """
    state = load(opt.file) if state is None else state
    described = card(state, opt.file)
    if opt.json:
        print(as_json(described, indent=2, default=str))  # noqa: T201 - the result
    else:
        print(as_text(described, options=opt.options))  # noqa: T201 - the result
    if opt.export:
        tensor_file.write(Path(opt.export), state, opt.file)
        log.info("wrote %s", opt.export)
    if opt.export_published:
        published.write(Path(opt.export_published), state, opt.file)
        log.info("wrote %s", opt.export_published)
    return described


def build_parser() -> cli.ArgumentParser:
    """Build the parser of this tool."""
    parser = cli.ArgumentParser(prog="python -m engine.checkpoint", description="Show the model card of a checkpoint.")
    parser.add_argument("file", help="checkpoint: .pth or .safetensors")
    parser.add_argument("--options", action="store_true", help="every option of the run, and every class name")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--export", help="write the network and its description to this .safetensors file")
    parser.add_argument("--export_published", help="write what the code of STS-Net and MARS reads to this .pth file")
    return parser


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this tool."""
    return build_parser().parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
