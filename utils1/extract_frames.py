"""Videos to JPEG frames: SRC/class/video.ext becomes DST/class/video/00001.jpg, ... and `done`.

Videos may lie deeper: SRC/class/day/video.ext becomes DST/class/day/video/. Folders without a video are no classes;
what is left out is said. Run it again after an interruption: complete videos are skipped. Several machines may share
DST if their START END or --shard do not overlap. torchrun starts one process per shard.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from datasets.stores.provenance import frame_rate
from engine.command import cli
from workflows.extracting.extraction import extract, preview
from workflows.extracting.extraction_recipe import Recipe
from workflows.extracting.machine import Launch, parse_shard


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of both extraction scripts."""
    add = parser.add_argument
    add("source", metavar="SRC", type=Path, help="folder with one folder of videos per class")
    add("target", metavar="DST", type=Path, help="where the class/video folders are written")
    add("start", metavar="START", nargs="?", type=int, help="first class, from 0 in sorted order; without it: all")
    add("end", metavar="END", nargs="?", type=int, help="one after the last class; may exceed their number")
    add("--fps", type=frame_rate, default=25.0, help="frames per second; source: each frame of the video once")
    add("--short_side", type=int, default=256, help="pixels, 0 = the video's own size")
    add("--quality", type=int, default=95, help="JPEG quality of the frames, 1-100")
    add("--workers", type=int, help="cores to use (default: all, in equal parts under torchrun)")
    add("--shard", type=parse_shard, default="0/1", metavar="I/N", help="every N-th video; I < N")
    add("--estimate", action="store_true", help="say how long it takes and how much disk, and end")
    add("--allow_short", action="store_true", help="accept videos that end before their header says")
    add("--debug", action="store_true", help="show the traceback of an error")


def chosen_classes(opt: Namespace) -> slice:
    """The classes from START to END, all without them.

    Raises:
        ValueError: If only START is given.
    """
    if opt.start is not None and opt.end is None:
        raise ValueError(f"START {opt.start} without END: give both, or neither for all classes")
    return slice(opt.start, opt.end)


def frame_options(opt: Namespace) -> dict[str, Any]:
    """The part of a `Recipe` that both scripts have; what is 0 here is None there."""
    return {
        "fps": opt.fps or None,
        "short_side": opt.short_side or None,
        "quality": opt.quality,
        "allow_short": opt.allow_short,
    }


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add_arguments(parser)
    return parser.parse_args(argv)


def main(opt: Namespace) -> None:
    """Extract the frames of every video of the chosen classes."""
    machine = Launch.from_environment(os.environ).machine(opt.workers, opt.shard)
    work = preview if opt.estimate else extract
    work(opt.source, opt.target, chosen_classes(opt), Recipe(**frame_options(opt)), machine)


if __name__ == "__main__":
    cli.run(main, parse_args)
