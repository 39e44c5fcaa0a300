"""Options of both extraction scripts."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from datasets.stores.provenance import frame_rate
from sts_common.cluster import CLUSTER

from .machine import parse_shard

CORES = "cores to use (default: all, in equal parts under torchrun), or with --cluster those of each worker (1)"


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
    add("--workers", type=int, help=CORES)
    add("--shard", type=parse_shard, default="0/1", metavar="I/N", help="every N-th video; I < N")
    add("--cluster", metavar="ADDRESS", help=CLUSTER)
    add("--estimate", action="store_true", help="say how long it takes and how much disk, and end")
    add("--allow_short", action="store_true", help="accept videos that end before their header says")


def chosen_classes(start: int | None, end: int | None) -> slice:
    """Return the classes from START to END, all without them; raises ValueError if only START is given."""
    if start is not None and end is None:
        raise ValueError(f"START {start} without END: give both, or neither for all classes")
    return slice(start, end)


def parameter(text: str) -> tuple[str, float]:
    """Parse a solver parameter, "name=value"."""
    name, _, value = text.partition("=")
    try:
        return name, float(value) if "." in value or "e" in value else int(value)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE with a number") from None
