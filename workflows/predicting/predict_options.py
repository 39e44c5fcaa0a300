"""Options of predict.py, and the checks of them before any work is done."""

import dataclasses
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from engine import AMP
from engine.command import cli
from models import COMPILE, FUSIONS

from ..shared.films import FILMS
from ..shared.plots import load_figure
from ..testing.outputs import check_output
from .compose import Answers, LiveAnswers
from .exported import AUTO, CHOICES
from .inputs import Input, targets
from .live import open_window
from .timeline import NEED, PICTURES


def build_parser() -> cli.ArgumentParser:
    """Build the parser of predict.py."""
    parser = cli.ArgumentParser(description="Name the action in videos; docs/predict.md says more.")
    add = parser.add_argument
    add("video", metavar="INPUT", help="video file, folder of videos or frames, number of a camera, - or a pipe")
    add("more", metavar="INPUT", nargs="*", default=[], help="further videos and folders")
    add(
        "--weights",
        nargs="+",
        required=True,
        help="checkpoints, or files of export.py; several are fused; inputs come before them",
    )
    add(
        "--engine",
        default=AUTO,
        choices=CHOICES,
        help="program that runs them; auto: torch, or as the file's name says",
    )
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
    add("--amp", default="auto", choices=AMP, help="number format; auto: bf16 on GPUs that have it, else off (float32)")
    add("--compile", nargs="?", const="default", default="off", choices=COMPILE, help="takes minutes, then is faster")
    add("--group_width", default=1, type=positive, help="join groups of convolutions to this many channels")
    return parser


def positive(text: str) -> int:
    """Parse a whole number >= 1."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def check_options(
    video: str, inputs: Sequence[Input], answers: Answers, live_answers: LiveAnswers, window_stride: int | None
) -> None:
    """Refuse, before any work, options that mean nothing for these inputs or are unavailable.

    `video` is the first input as the user named it. Raises ValueError, or OSError of files that could not be written,
    which name the option.
    """
    live = inputs[0].live
    of_files = {"out": answers.out, "timeline": answers.timeline, "window_stride": window_stride}
    idle = of_files | {"logits": answers.logits} if live else dataclasses.asdict(live_answers)
    for name, value in idle.items():
        if value not in (None, False):
            raise ValueError(f"--{name} is for {'files' if live else 'cameras and pipes'}, which {video} is not")
    if live and answers.json not in (None, "-"):
        raise ValueError(
            f"--json {answers.json}: a camera has no end; use --json - > {answers.json} for a line per answer"
        )
    if live_answers.seconds is not None and not live_answers.seconds > 0:
        raise ValueError(f"--seconds {live_answers.seconds} must be more than 0")
    if answers.logits and not answers.json:
        raise ValueError("--logits is for --json: give it too")
    check_written(inputs, answers)
    if answers.timeline:
        load_figure(NEED)
    if live_answers.show:
        open_window()


def check_written(inputs: Sequence[Input], answers: Answers) -> None:
    """Refuse files of answers that could not be written; raises as `targets` and `check_output`."""
    files = {
        "--json": [Path(answers.json)] if answers.json and answers.json != "-" else [],
        "--out": targets("--out", answers.out, inputs, FILMS),
        "--timeline": targets("--timeline", answers.timeline, inputs, PICTURES),
    }
    for option, paths in files.items():
        for path in filter(None, paths):
            check_output(option, path)
