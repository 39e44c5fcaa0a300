"""Options of the test scripts, which score whole videos."""

from datasets import TAILS, TEST_CROPS, TEST_SAMPLERS
from engine.command.cli import ArgumentParser
from models import FUSIONS

TESTED = ("test", "val")
CLIP_MEANS = ("before", "after")


def add_test_options(parser: ArgumentParser) -> None:
    """Add options of the test scripts, which score whole videos."""
    add = parser.add_argument_group("testing").add_argument
    add(
        "--stream",
        action="append",
        metavar="NAME=CHECKPOINT",
        help="test_two_stream.py: a stream to score, repeatable, in place of --resume_path1 to 3; the checkpoint says "
        "what it reads",
    )
    add("--test_subset", default="test", choices=TESTED, help="val: the training videos that --val_fraction holds out")
    add("--clips_per_batch", default=16, type=int, help="clips per forward pass; bounds memory for any video length")
    add(
        "--test_sampling",
        default="all",
        choices=TEST_SAMPLERS,
        help="clips of a test video; all: sliding window over every frame",
    )
    add("--num_clips", default=10, type=int, help="clips per video, unless all are taken")
    add("--num_crops", default="1", choices=TEST_CROPS, help="crops per clip; 10: 5 and their mirror images")
    add("--tail", default="overlap", choices=TAILS, help="last frames: an overlapping clip, or dropped as published")
    add(
        "--clip_mean",
        default="before",
        choices=CLIP_MEANS,
        help="the mean over the clips of a video is taken before the activation, as published, or after it",
    )
    add(
        "--fusion",
        default="activno",
        choices=(*FUSIONS, "all"),
        help="activation before streams are averaged; activno is none; all: a table of every one, result by activno",
    )
    add("--fusion_weights", type=float, nargs="+", help="one per stream; else equal")
    add("--scores", nargs="+", metavar="FILE", help="test_two_stream.py: fuse score files, without data or networks")
    add("--use", nargs="+", metavar="NAME", help="streams of --scores, in this order; else all")
    add("--scores_path", default="", help="the score file; else with --log 1 beside the result file")
