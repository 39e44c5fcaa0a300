"""Your own videos as a data set: FOLDER/class/video.mp4, FOLDER/class/video/ with frames, or a CSV path,label[,split].

Writes OUT/labels/videos.csv (path, label, split, group) and OUT/labels/classes.csv, and prints what to run next. The
videos are split into training and test videos such that what was cut from one source stays together: clips of one video
look alike. The source is the name without a number at its end ("kick_g03_c01", "abc_000010_000020", "walk 7"), or what
--group_by finds. The split depends on the names and the seed alone. Edit videos.csv where you know better.
"""

import logging
import re
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.entries import Entry
from datasets.lists import list_videos as read_lists
from engine import cli
from engine.naming import single_stream_files
from opts import parse_opts
from sts_common import counted
from utils1.grouped_split import group_alone, split_groups
from utils1.list_writers import Lists, table
from utils1.make_lists import put
from utils1.own_videos import clashes, list_own
from workflows.commands import quoted

log = logging.getLogger(__name__)


def from_csv(path: Path) -> Lists:
    """The videos of a CSV, split if it says how.

    Raises:
        ValueError: If a row is malformed, or a video is on both sides.
    """
    train, test = (read_lists(path, 1, subset) for subset in ("train", "test"))
    if both := {entry.path for entry in train.entries} & {entry.path for entry in test.entries}:
        raise ValueError(f"{path}: {min(both)!r} is a training and a test video (and {len(both) - 1} more are)")
    return Lists({"train": train.entries, "test": test.entries}, train.class_names)


def grouped(entries: Sequence[Entry], pattern: str) -> list[Entry]:
    """Entries whose group is what a regular expression finds in the path: its first parenthesis, or all of it.

    Raises:
        ValueError: If the expression is malformed, or a path has no such part.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ValueError(f"--group_by {pattern!r}: {error}") from None
    found = []
    for entry in entries:
        if not (match := search(entry.path)):
            raise ValueError(f"--group_by {pattern!r}: finds nothing in {entry.path!r}")
        found.append(entry._replace(group=match[1] or match[0] if match.re.groups else match[0]))
    return found


def divide(lists: Lists, opt: Namespace) -> Lists:
    """Training and test videos."""
    entries = lists.subsets["train"]
    entries = grouped(entries, opt.group_by) if opt.group_by else group_alone(entries, lists.class_names)
    held = split_groups(entries, lists.class_names, opt.test_fraction, opt.seed)
    train, test = ([entry for entry in entries if (entry.group in held) == side] for side in (False, True))
    return lists._replace(subsets={"train": train, "test": test})


def report(lists: Lists) -> None:
    """Say how many videos there are, and what may go wrong with their names."""
    train, test = lists.subsets["train"], lists.subsets["test"]
    tested = counted(len(test), "test video")
    log.info("%s, %d training and %s", counted(len(lists.class_names), "class"), len(train), tested)
    sides = [Counter(entry.label for entry in entries) for entries in (train, test)]
    for label, name in enumerate(lists.class_names):
        if not all(side[label] for side in sides):
            tested = counted(sides[1][label], "test video")
            log.warning("class %r has %d training and %s", name, sides[0][label], tested)
    for names in (*clashes(lists.class_names), *clashes(entry.path for entry in (*train, *test))):
        log.warning("differ in capitals alone, which some disks take for one: %s", ", ".join(map(repr, names)))


def next_commands(opt: Namespace, are_files: bool) -> list[str]:
    """What to run: extract or audit, train, test."""
    frames = opt.out / "frames" if are_files else opt.source
    where = ["--dataset", "List", "--annotation_path", opt.out / "labels", "--frame_dir", frames]
    only_rgb = ["--modality", "RGB", "--only_RGB"]
    first = ["utils1/extract_frames_flows.py", opt.source, frames] if are_files else ["utils1/audit.py", *where]
    options = [hyphenated(word) for word in (*where, *only_rgb, "--result_path", opt.out / "results")]
    best = hyphenated(single_stream_files(parse_opts(options)).best)
    commands = [
        [hyphenated(word) for word in first],
        ["train.py", *options],
        ["test_single_stream.py", *options, "--resume_path1", best],
    ]
    return [" ".join(map(quoted, ["python", *words])) for words in commands]


def hyphenated(word: str | Path) -> str:
    """A word of a command; a path that begins with a dash would be read as an option."""
    return f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)


def main(opt: Namespace) -> list[str]:
    """Write the lists; returns the next commands."""
    if opt.source.resolve() in (opt.out / "frames").resolve().parents:
        raise ValueError(f"--out {opt.out}: lies inside the folder of videos; choose another")
    if not 0 < opt.test_fraction < 1:
        raise ValueError(f"--test_fraction must lie between 0 and 1, got {opt.test_fraction}")
    is_list = opt.source.is_file()
    lists, are_files = (from_csv(opt.source), False) if is_list else list_own(opt.source)
    if is_list and opt.videos is None:
        raise ValueError(f"{opt.source}: is a list; say where its videos are with --videos")
    if not lists.subsets["test"]:
        lists = divide(lists, opt)
    report(lists)
    for path in put(table(lists), opt.out / "labels", opt.force):
        log.info("%s", path)
    shown = Namespace(**vars(opt) | {"source": opt.videos}) if is_list else opt
    commands = next_commands(shown, are_files)
    print("\n".join(commands))  # noqa: T201 - the result
    return commands


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("source", metavar="FOLDER", type=Path, help="one folder of videos per class, or a CSV")
    add("--out", type=Path, default=Path("dataset/own"), help="folder of the data set")
    add("--videos", type=Path, help="where the frames or videos of a CSV are")
    add("--test_fraction", type=float, default=0.2, help="of the videos of every class")
    add("--group_by", default="", help="regular expression for what tells the sources apart, as 'person(\\d+)'")
    add("--seed", type=int, default=0, help="of the split")
    add("--force", action="store_true", help="replace the lists of OUT")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
