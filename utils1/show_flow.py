"""Show frames of a video beside its flow in colours: a sheet of pictures, or a film if --out ends in .mp4.

Hue is the direction and strength the speed, as on the wheel that is drawn with them. SRC is a folder with frames and
stored flow, or a video file, whose flow is computed here.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.stores.provenance import frame_rate
from engine.command import cli
from flow import BACKENDS, FLOWS, PRESETS, QUANTISATIONS
from workflows.stored_flow.show import show_flow


def main(opt: Namespace) -> None:
    """Draw the pictures."""
    show_flow(
        opt.source,
        opt.out,
        frames=opt.frames,
        full_colour=opt.max,
        bound=opt.bound,
        quantisation=opt.quant,
        flow=opt.flow,
        backend=opt.backend,
        preset=opt.preset,
        flow_weights=opt.flow_weights,
        fps=opt.fps or None,
        short_side=opt.short_side or None,
    )


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, help="folder of one extracted video, or a video file")
    parser.add_argument("--out", type=Path, help=".png or .mp4; default: a .png of the video's name in this folder")
    parser.add_argument("--frames", type=int, default=8, help="flows on a sheet, evenly spaced over the video")
    parser.add_argument("--max", type=float, help="pixels per frame of full colour; default: by the fastest seen")
    stored = parser.add_argument_group("of JPEG pairs that no flow.json describes")
    stored.add_argument("--bound", type=float, help="pixels that are grey level 255")
    stored.add_argument("--quant", choices=QUANTISATIONS, help="zero flow: level 127 or 128")
    computed = parser.add_argument_group("of a video file")
    computed.add_argument("--flow", default="tvl1", choices=FLOWS, help="algorithm")
    computed.add_argument("--backend", default="auto", choices=BACKENDS, help="what computes it")
    computed.add_argument("--preset", default="opencv", choices=PRESETS, help="default parameters")
    computed.add_argument("--flow_weights", help="weights of --flow raft or motionnet")
    computed.add_argument("--fps", type=frame_rate, default=25.0, help="frames per second looked at, or source")
    computed.add_argument("--short_side", type=int, default=256, help="pixels, 0 = the video's own size")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
