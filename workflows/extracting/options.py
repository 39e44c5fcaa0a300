"""Options of both extraction scripts."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from datasets.stores.provenance import frame_rate

from .machine import parse_shard


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of both extraction scripts."""
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
    """Return the classes from START to END, all without them.

    Raises:
        ValueError: If only START is given.
    """
    if opt.start is not None and opt.end is None:
        raise ValueError(f"START {opt.start} without END: give both, or neither for all classes")
    return slice(opt.start, opt.end)


def frame_options(opt: Namespace) -> dict[str, Any]:
    """Return the part of a `Recipe` that both scripts have; an option of 0 becomes None."""
    return {
        "fps": opt.fps or None,
        "short_side": opt.short_side or None,
        "quality": opt.quality,
        "allow_short": opt.allow_short,
    }
