"""Extract JPEG frames and optical flow of videos.

SRC/class/video.ext becomes DST/class/video/ with 00001.jpg, ..., TVL1jpg_x_00001.jpg, TVL1jpg_y_00001.jpg, ...
and `done`; flow k leads from frame k to frame k + 1. How it was made is in DST/flow.json and DST/frames.json.
Videos may lie deeper; folders without a video are no classes; what is left out is said. Run it again after an
interruption: complete videos are skipped. Several machines may share DST if their START END or --shard do not overlap.
torchrun starts one process per GPU and shard.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from engine.command import cli
from flow import BACKENDS, FLOWS, PRESETS, QUANTISATIONS
from workflows.extracting.devices import parse_gpus
from workflows.extracting.extract_options import add_arguments, chosen_classes, parameter
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add_arguments(parser)
    add = parser.add_argument
    gpu = "0 or 0,1 or all, where CUDA is; or cpu"
    add("gpu", metavar="GPU", nargs="?", default="all", type=parse_gpus, help=f"{gpu}; without START END: --gpus")
    add("--gpus", metavar="GPU", default="all", type=parse_gpus, help=f"as GPU: {gpu}")
    add("--flow", default="tvl1", choices=FLOWS, help="algorithm; networks expect tvl1")
    add("--backend", default="auto", choices=BACKENDS, help="of tvl1; auto: cuda with a GPU, or native")
    add("--preset", default="opencv", choices=PRESETS, help="of tvl1")
    add("--flow_weights", type=Path, metavar="PATH", help="of raft or motionnet")
    add("--bound", type=float, default=20.0, help="pixels that become grey level 255")
    add("--quant", default="truncate", choices=QUANTISATIONS, help="zero flow: level 127 or 128")
    solver = "of the solver, e.g. warps=3"
    add("--flow_parameters", type=parameter, nargs="+", default=[], metavar="NAME=VALUE", help=solver)
    return parser.parse_args(argv)


def main(opt: Namespace) -> None:
    """Extract frames and flow of every video of the chosen classes."""
    weights = (("weights", str(opt.flow_weights)),) if opt.flow_weights else ()
    flow = FlowRecipe(
        name=opt.flow,
        backend=opt.backend,
        preset=opt.preset,
        parameters=(*opt.flow_parameters, *weights),
        bound=opt.bound,
        quantisation=opt.quant,
    )
    recipe = Recipe(
        fps=opt.fps or None,
        short_side=opt.short_side or None,
        quality=opt.quality,
        allow_short=opt.allow_short,
        flow=flow,
    )
    extract_videos(
        opt.source,
        opt.target,
        recipe,
        classes=chosen_classes(opt.start, opt.end),
        gpus=opt.gpus if opt.gpu is None else opt.gpu,
        workers=opt.workers,
        shard=opt.shard,
        estimate_only=opt.estimate,
        cluster=opt.cluster,
    )


if __name__ == "__main__":
    cli.run(main, parse_args)
