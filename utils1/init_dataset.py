"""Make a data set of your own videos: FOLDER/class/video.mp4, FOLDER/class/video/, or a CSV path,label[,split].

Writes OUT/labels/videos.csv (path, label, split, group), OUT/labels/classes.csv and, for a small network,
OUT/train.yaml, and prints every command from training to the fused result, with sizes that suit these videos.

The videos are split into training and test videos such that what was cut from one source stays together: clips of one
video look alike. The source is what --group_by finds; without it, what names mean that all are of a known form
("S001C001P003R001A004", "person01_d1", HMDB51's film), or the name without a number at its end ("abc_000010_000020",
"walk 7"). How many sources there are is said, and what else names could mean. The split depends on the names and the
seed alone. Edit videos.csv where you know better. Links are followed; those that lead out of FOLDER are named in
FOLDER/links.txt, so that training follows them too.
"""

import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from workflows.listing.init_dataset import init_dataset

log = logging.getLogger(__name__)


def main(opt: Namespace) -> list[str]:
    """Write the lists; print and return the next commands."""
    commands = init_dataset(
        opt.source,
        opt.out,
        videos=opt.videos,
        test_fraction=opt.test_fraction,
        group_by=opt.group_by,
        seed=opt.seed,
        force=opt.force,
    )
    log.info("the commands to run, in this order:")
    print("\n".join(commands))  # noqa: T201 - the result
    return commands


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("source", metavar="FOLDER", type=Path, help="one folder of videos per class, or a CSV")
    add("--out", type=Path, default=Path("dataset/own"), help="folder of the data set")
    add("--videos", type=Path, help="where the frames or videos of a CSV are")
    add("--test_fraction", type=float, default=0.2, help="of the videos of every class")
    add("--group_by", default="", help="regular expression for what tells sources apart, as 'person(\\d+)'")
    add("--seed", type=int, default=0, help="of the split")
    add("--force", action="store_true", help="replace the lists of OUT")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
