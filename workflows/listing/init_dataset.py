"""Make a data set of a folder of videos, or of a CSV file: lists, a split, and the commands that follow."""

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from datasets.lists.any_list import list_videos as read_lists
from datasets.lists.entries import Entry
from sts_common import counted

from ..shared.command_lines import quoted
from .list_writers import Lists, table
from .make_lists import write_files
from .own_videos import clashes, list_own
from .properties import inspect_videos
from .recommended import CONFIG, audit, choose_network, next_commands, shown
from .sources import count_sources, fitting_patterns, group_alone, grouped, per_class, split_groups

log = logging.getLogger(__name__)


def from_csv(path: Path) -> Lists:
    """Read the videos of a CSV, split if it has a split column; raises ValueError if a video is on both sides."""
    train, test = (read_lists(path, 1, subset) for subset in ("train", "test"))
    if both := {entry.path for entry in train.entries} & {entry.path for entry in test.entries}:
        raise ValueError(f"{path}: {min(both)!r} is a training and a test video (and {len(both) - 1} more are)")
    return Lists({"train": train.entries, "test": test.entries}, train.class_names)


def divide(lists: Lists, test_fraction: float, seed: int, group_by: str, again: str) -> Lists:
    """Split the videos, all for training, without a shared source as far as names or `--group_by` tell.

    `again` is the command that does it again, to which `--group_by` is added. Raises ValueError if a class cannot be on
    both sides.
    """
    entries = lists.subsets["train"]
    if group_by:
        entries, how = grouped(entries, group_by), "by --group_by"
        tested = split_groups(entries, lists.class_names, test_fraction, seed)
    else:
        entries, tested, how = by_names(lists, test_fraction, seed, again)
    log.info("%s of %s, %s", counted(len(entries), "video"), counted(count_sources(entries), "source"), how)
    train, test = ([entry for entry in entries if (entry.group in tested) == side] for side in (False, True))
    return lists._replace(subsets={"train": train, "test": test})


def by_names(lists: Lists, test_fraction: float, seed: int, again: str) -> tuple[Sequence[Entry], set[str], str]:
    """Group entries by source, choose the sources to test on, and describe the grouping and its alternatives."""
    entries = lists.subsets["train"]
    patterns = list(fitting_patterns(entries))
    for pattern, regrouped in patterns:
        if pattern.known:
            with suppress(ValueError):  # a class without a source of its own
                tested = split_groups(regrouped, lists.class_names, test_fraction, seed)
                return regrouped, tested, f"{pattern.description} (--group_by {quoted(pattern.expression)})"
    apart = group_alone(entries, lists.class_names)
    tested = split_groups(apart, lists.class_names, test_fraction, seed)
    if count_sources(apart) == len(apart):
        log.warning(
            "every video counts as a source of its own, for no names differ in a number at their end alone: if several "
            "were cut from one recording, or show one person, the test is too easy; --group_by says what tells sources "
            "apart"
        )
    for pattern, regrouped in patterns:
        if count_sources(regrouped) < count_sources(apart):
            least, most = per_class(regrouped)
            log.warning(
                "%s would make %s, %s of each class: %s --group_by %s",
                *(pattern.description, counted(count_sources(regrouped), "source")),
                *(str(least) if least == most else f"{least} to {most}", again, quoted(pattern.expression)),
            )
    return apart, tested, "by the names without the number at their end"


def report(lists: Lists) -> None:
    """Report how many videos there are, and possible problems with their names or their split."""
    train, test = lists.subsets["train"], lists.subsets["test"]
    log.info(
        "%s, %s and %s",
        counted(len(lists.class_names), "class"),
        counted(len(train), "training video"),
        counted(len(test), "test video"),
    )
    sides = [Counter(entry.label for entry in entries) for entries in (train, test)]
    for label, name in enumerate(lists.class_names):
        if not all(side[label] for side in sides):
            tested = counted(sides[1][label], "test video")
            log.warning("class %r has %d training and %s", name, sides[0][label], tested)
    if shared := {entry.group for entry in train} & {entry.group for entry in test}:
        log.warning(
            "%s on both sides of the split, as far as names tell (%r): the test is too easy",
            *(counted(len(shared), "source"), min(shared)),
        )
    else:
        report_known_sources(train, test)
    for names in (*clashes(lists.class_names), *clashes(entry.path for entry in (*train, *test))):
        log.warning("differ in capitals alone, which some disks take for one: %s", ", ".join(map(repr, names)))


def report_known_sources(train: Sequence[Entry], test: Sequence[Entry]) -> None:
    """Report sources on both sides of a split by names of a known form, whatever the videos were grouped by."""
    for pattern, regrouped in fitting_patterns([*train, *test]):
        tested = regrouped[len(train) :]
        sources = {entry.group for entry in tested}
        shared = sources & {entry.group for entry in regrouped[: len(train)]}
        if pattern.known and shared:
            log.warning(
                "%d of the %s tested on are trained on as well, with %d of %s: the test is too easy "
                "(%s; --group_by %s)",
                *(len(shared), counted(len(sources), "source"), sum(entry.group in shared for entry in tested)),
                *(counted(len(tested), "test video"), pattern.description, quoted(pattern.expression)),
            )


def read_source(source: Path, videos: Path | None) -> tuple[Lists, Path]:
    """Find the videos and their folder; links to them are allowed for training.

    Raises ValueError if it is not said where those of a list are.
    """
    if not source.is_file():
        return list_own(source), source
    lists = from_csv(source)
    if videos is None:
        raise ValueError(f"{source}: is a list; say where its videos are with --videos")
    return lists, videos


def refuse_one_class(source: Path, class_names: Sequence[str]) -> None:
    """Raise ValueError if the videos are of one class, from which there is nothing to tell it."""
    if len(class_names) > 1:
        return
    name = class_names[0]
    if source.is_file():
        raise ValueError(f"{source}: all videos have the label {name!r}; list videos of two labels or more")
    raise ValueError(
        f"{source}: all videos are of one class, {name!r}; make one folder per class, or give {source / name} if those "
        "are in it"
    )


def init_dataset(
    source: Path,
    out: Path,
    *,
    videos: Path | None = None,
    test_fraction: float = 0.2,
    group_by: str = "",
    seed: int = 0,
    force: bool = False,
) -> list[str]:
    """Write the lists of a data set of own videos, and the settings of a small network.

    utils1/init_dataset.py does so with its options. Returns the commands that follow, from training to the fused
    result. Raises FileNotFoundError if there are no videos; ValueError if they are of one class, none can be opened, a
    class cannot be on both sides, or other lists are there.
    """
    if source.resolve() in (out / "frames").resolve().parents:
        raise ValueError(f"--out {out}: lies inside the folder of videos; choose another")
    if not 0 < test_fraction < 1:
        raise ValueError(f"--test_fraction must lie between 0 and 1, got {test_fraction}")
    lists, root = read_source(source, videos)
    refuse_one_class(source, lists.class_names)
    if not lists.subsets["test"]:
        options: list[str | Path] = ["--videos", videos] if videos else []
        again = shown(["utils1/init_dataset.py", source, *options, "--out", out, "--force"])
        lists = divide(lists, test_fraction, seed, group_by, again)
    report(lists)
    train, test = lists.subsets["train"], lists.subsets["test"]
    properties = inspect_videos(root, [*train, *test])
    network, reason = choose_network(len(train), properties)
    texts = {f"labels/{name}": text for name, text in table(lists).items()}
    for path in write_files(texts | ({CONFIG: network} if network else {}), out, force):
        log.info("%s", path)
    if properties.problem:
        log.warning("%s; name all of them with: %s", properties.problem, shown(audit(root, out, properties)))
    log.info("%s", reason)
    if properties.kind == "frames":
        log.info("%s: frames without flow, which is computed from videos alone: the commands train RGB", root)
    return [shown(command) for command in next_commands(root, out, properties, len(train))]
