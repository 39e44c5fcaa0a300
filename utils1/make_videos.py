"""Make a data set of made-up videos, in which it is known what tells a class, in HMDB51's layout.

easy       an object moves: 12 classes, 3 objects x 4 motions, of 48 x 48 pixels
standard   a figure acts, beside a box and an item, before a textured backdrop, filmed by a moving camera: 12 classes
hard       16 classes; more camera, light, compression, and things that pass by

Of standard and hard all classes have the same looks; many are pairs of which one is the other run backwards, so that
no single frame tells them apart. --bias has colours tell the class in training, though not in the test.
The same options give the same videos. Prints the commands that follow.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.synthetic import LEVELS
from engine.command import cli
from workflows.making.make_videos import make_videos


def main(opt: Namespace) -> list[str]:
    """Write the videos; print and return the next commands."""
    commands = make_videos(
        opt.videos,
        opt.labels,
        level=opt.level,
        bias=opt.bias,
        train_per_class=opt.train_per_class,
        test_per_class=opt.test_per_class,
        size=opt.size,
        frames=opt.frames,
        seed=opt.seed,
        exact_flow=opt.exact_flow,
    )
    print("\n".join(commands))  # noqa: T201 - the result
    return commands


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("videos", metavar="OUT_VIDEOS", type=Path, help="folder for the videos")
    add("labels", metavar="OUT_LABELS", type=Path, help="folder for the lists of three splits")
    add("--level", default="standard", choices=LEVELS, help="what is filmed, and how")
    add("--bias", type=float, default=0.0, help="share of the training videos that have the colours of their class")
    add("--train_per_class", type=int, default=40, help="training videos per class and split, even")
    add("--test_per_class", type=int, default=20, help="test videos per class and split, even")
    add("--size", type=int, help="height and width, pixels; default: 48 (easy) or 64")
    add("--frames", type=int, help="frames per video, at 25 per second; default: 20 (easy) or 24")
    add("--seed", type=int, default=0, help="of everything that is drawn")
    add("--exact_flow", metavar="DIR", type=Path, help="folder for the exact flow, .flo, and masks of what is hidden")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
