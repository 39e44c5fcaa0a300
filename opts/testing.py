"""Options of the test scripts, which score whole videos."""

from datasets import TAILS, TEST_CROPS, TEST_SAMPLERS
from models import FUSIONS

from .option import FUSED, TESTING, OptionTable

SUBSETS = ("test", "val")
CLIP_MEANS = ("before", "after")


def add_test_options(table: OptionTable) -> None:
    """Add options of the test scripts, which score whole videos."""
    add = table.group("testing", "view", TESTING)
    add(
        "--stream",
        role="machine",
        scripts=(FUSED,),
        action="append",
        metavar="NAME=CHECKPOINT",
        help="a stream to score, repeatable, in place of --resume_path1 to 3; the checkpoint says what it reads",
    )
    add(
        "--test_subset",
        role="fusion",
        default="test",
        choices=SUBSETS,
        help="val: the training videos that --val_fraction holds out",
    )
    add(
        "--clips_per_batch",
        role="machine",
        default=16,
        help="clips per forward pass; bounds memory for any video length",
    )
    add(
        "--test_sampling",
        default="all",
        choices=TEST_SAMPLERS,
        help="clips of a test video; all: sliding window over every frame",
    )
    add("--num_clips", default=10, help="clips per video, unless all are taken")
    add("--num_crops", default="1", choices=TEST_CROPS, help="crops per clip; 10: 5 and their mirror images")
    add("--tail", default="overlap", choices=TAILS, help="last frames: an overlapping clip, or dropped as published")


def add_fusion_options(table: OptionTable) -> None:
    """Add options of the scores: how those of clips and streams are joined, and their files."""
    add = table.group("fusion", "fusion", TESTING)
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
    add("--fusion_weights", scripts=(FUSED,), type=float, nargs="+", help="one per stream; else equal")
    add(
        "--fit",
        scripts=(FUSED,),
        nargs="+",
        metavar="HELD",
        help="score files of held-out videos (--test_subset val): weights by the temperature of each stream there",
    )
    add(
        "--scores",
        role="machine",
        scripts=(FUSED,),
        nargs="+",
        metavar="FILE",
        help="fuse score files, without data or networks",
    )
    add(
        "--use",
        role="machine",
        scripts=(FUSED,),
        nargs="+",
        metavar="NAME",
        help="streams of --scores, in this order; else all",
    )
    add("--scores_path", role="machine", default="", help="the score file; else with --log 1 beside the result file")
