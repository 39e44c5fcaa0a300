"""Show the metadata of a checkpoint or of a file of export.py, or export a network: `python -m engine.checkpoint`.

python utils1/checkpoint.py results/HMDB51/SFS_..._best.pth
python utils1/checkpoint.py results/HMDB51/SFS_..._best.pth --export SFS_HMDB51_16f.safetensors
python utils1/checkpoint.py sts.xml
python utils1/checkpoint.py torchvision:r3d_18 --export r3d_18_Kinetics.safetensors --download
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from engine.checkpoint import __main__ as checkpoint
from engine.command import cli
from models.backbones import TORCHVISION
from models.inference.runtimes import ENGINES
from models.kinetics import kinetics_checkpoint
from sts_common.json_text import as_json
from workflows.predicting.exported import TORCH, engine_for


def main(opt: Namespace) -> dict[str, Any]:
    """Print the card of a checkpoint, or in JSON what an exported file says of itself; return it."""
    if opt.file.startswith(TORCHVISION):
        return checkpoint.main(opt, kinetics_checkpoint(opt.file, download=opt.download))
    engine = engine_for([opt.file], "auto")
    if engine == TORCH:
        return checkpoint.main(opt)
    if opt.export or opt.export_published:
        raise ValueError(f"{opt.file}: is exported already: export its checkpoint")
    about = ENGINES[engine].open(Path(opt.file), "cpu", 0, 1).about
    print(as_json(about, indent=2))  # noqa: T201 - the result
    return about


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = checkpoint.build_parser()
    parser.description = __doc__
    parser.add_argument("--download", action="store_true", help="fetch the weights of torchvision:NAME if need be")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
