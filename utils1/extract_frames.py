"""Extract JPEG frames of videos: SRC/class/video.ext becomes DST/class/video/00001.jpg, ... and `done`.

Videos may lie deeper: SRC/class/day/video.ext becomes DST/class/day/video/. Folders without a video are no classes;
what is left out is said. Run it again after an interruption: complete videos are skipped. Several machines may share
DST if their START END or --shard do not overlap. torchrun starts one process per shard.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from engine.command import cli
from workflows.extracting.extract_options import add_arguments, chosen_classes
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import Recipe


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add_arguments(parser)
    return parser.parse_args(argv)


def main(opt: Namespace) -> None:
    """Extract the frames of every video of the chosen classes."""
    recipe = Recipe(
        fps=opt.fps or None,
        short_side=opt.short_side or None,
        quality=opt.quality,
        allow_short=opt.allow_short,
    )
    extract_videos(
        opt.source,
        opt.target,
        recipe,
        classes=chosen_classes(opt.start, opt.end),
        workers=opt.workers,
        shard=opt.shard,
        estimate_only=opt.estimate,
        cluster=opt.cluster,
    )


if __name__ == "__main__":
    cli.run(main, parse_args)
