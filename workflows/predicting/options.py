"""Options of predict.py, and the checks of them before any work is done."""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence

from engine import AMP
from engine.command import cli
from models import COMPILE, FUSIONS

from ..shared.films import FILMS
from .inputs import Input, targets
from .live import open_window
from .timeline import PICTURES, figure_class


def build_parser() -> cli.ArgumentParser:
    """Build the parser of predict.py."""
    parser = cli.ArgumentParser(description="Name the action in videos; docs/predict.md says more.")
    add = parser.add_argument
    add("video", metavar="INPUT", help="video file, folder of videos or frames, number of a camera, - or a pipe")
    add("more", metavar="INPUT", nargs="*", help="further videos and folders")
    add("--weights", nargs="+", required=True, help="checkpoints; several are fused")
    add("--fusion", default="activno", choices=FUSIONS, help="activation before streams are averaged")
    add("--fusion_weights", type=float, nargs="+", help="one per checkpoint; else equal")
    add("--top_k", default=5, type=positive, help="classes to print")
    add("--json", metavar="FILE", help="write everything there; - for the standard output, in place of the text")
    add("--logits", action="store_true", help="with --json: the logits of each checkpoint too")
    add("--out", metavar="FILE", help="write the video with what is said drawn in; of several videos a folder")
    add("--timeline", metavar="FILE", help="draw the classes over time (png, pdf, svg); of several videos a folder")
    add("--frame_stride", type=positive, help="frames from one of a clip to the next; else as trained; 2 is quicker")
    add("--window_stride", type=positive, help="frames from clip to clip; else those of a clip")
    add("--batch_size", type=positive, help="clips at a time; else as many as keep all cores busy, 8 on a GPU")
    add("--live_stride", type=positive, help="camera: new frames per clip; else those of a clip")
    add("--seconds", type=float, help="camera: stop after so many")
    add("--show", action="store_true", help="camera: show it in a window")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--amp", default="auto", choices=AMP, help="number format; auto: bf16 on GPUs that have it, else off")
    add("--compile", nargs="?", const="default", default="off", choices=COMPILE, help="takes minutes, then is faster")
    add("--group_width", default=1, type=positive, help="join groups of convolutions to this many channels")
    add("--debug", action="store_true", help="show tracebacks")
    return parser


def positive(text: str) -> int:
    """Parse a whole number >= 1."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def complete(opt: Namespace) -> Namespace:
    """Return `opt` with the defaults of missing options, as callers from Python may leave them out."""
    return Namespace(**vars(build_parser().parse_args(["", "--weights", ""])) | vars(opt))


def check_options(opt: Namespace, inputs: Sequence[Input]) -> None:
    """Refuse, before any work, options that mean nothing for these inputs or are unavailable; raises ValueError."""
    live = inputs[0].live
    for name in ("out", "timeline", "window_stride", "logits") if live else ("live_stride", "seconds", "show"):
        if getattr(opt, name) not in (None, False):
            raise ValueError(f"--{name} is for {'files' if live else 'cameras and pipes'}, which {opt.video} is not")
    if live and opt.json not in (None, "-"):
        raise ValueError(f"--json {opt.json}: a camera has no end; use --json - > {opt.json} for a line per answer")
    if opt.seconds is not None and not opt.seconds > 0:
        raise ValueError(f"--seconds {opt.seconds} must be more than 0")
    if opt.logits and not opt.json:
        raise ValueError("--logits is for --json: give it too")
    targets("--out", opt.out, inputs, FILMS)
    targets("--timeline", opt.timeline, inputs, PICTURES)
    if opt.timeline:
        figure_class()
    if opt.show:
        open_window()
