"""Annotation of a data set: its lists, and the parts into which a held-out fraction divides the training list."""

import logging
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from sts_common import check_choice
from sts_common.memory import no_collection

from .corpora import DATASETS, list_dataset
from .lists.entries import Entry, Listing
from .lists.entry_table import EntryTable, by_label
from .lists.text_files import keep_files

log = logging.getLogger(__name__)

SPLITS = (1, 2, 3)


class Annotation:
    """Lists of a data set. A list is read when it is first asked for, and kept; so are files that are not large.

    Args:
        path: Folder of the official label files, or one list.
        dataset: A key of `DATASETS`.
        split: Official split, 1, 2 or 3; data sets with a single one ignore it.
        val_fraction: Fraction of the training videos held out for validation, in [0, 1); 0: the test list validates.

    Raises:
        FileNotFoundError: If there is no such path.
        ValueError: If there is no such data set or split.
    """

    def __init__(self, path: Path | str, *, dataset: str = "HMDB51", split: int = 1, val_fraction: float = 0.1) -> None:
        check_choice("--dataset", dataset, DATASETS)
        check_choice("--split", str(split), map(str, SPLITS))
        self.path, self.dataset, self.split, self.val_fraction = Path(path), dataset, split, val_fraction
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such folder; --annotation_path must hold the label files")
        self.files: dict[Path, bytes] = {}
        self.official: dict[str, Listing] = {}

    def read(self, subset: str) -> Listing:
        """Return the official "train" or "test" list; raises as `ListVideos`."""
        if subset not in self.official:
            with keep_files(self.files), no_collection():
                self.official[subset] = list_dataset(self.dataset, self.path, self.split, subset)
        return self.official[subset]

    def class_names(self, subset: str) -> list[str]:
        """Return the class names by label index, as known from the official "train" or "test" list."""
        return self.read(subset).class_names

    @cached_property
    def divided(self) -> tuple[EntryTable, EntryTable]:
        """The training list without the held-out entries, and these; raises as `hold_out`."""
        return hold_out(self.read("train").entries, self.val_fraction)

    def list_subset(self, subset: str, *, scored: bool = False) -> Listing:
        """List the entries of "train", "val" or "test", also those whose video cannot be used.

        Without a held-out fraction "val" is the test list: then the schedule and the choice of a model look at the
        videos that the result is reported on, as in the original; this is logged as a warning. Where a test scores
        them, "val" is what is held out, and nothing in its place. Raises as `ListVideos` and `hold_out`, and ValueError
        if none can be held out to be scored.
        """
        if subset == "test":
            return self.read("test")
        if subset == "val" and not scored and self.val_fraction == 0:
            log.warning("--val_fraction 0: the schedule and the best model are chosen on the test list")
            return self.read("test")
        if subset == "train" and self.val_fraction == 0:
            return self.read("train")
        train, held_out = self.divided
        if subset == "val" and not held_out:
            if scored:
                raise ValueError(f"{self.path}: --test_subset val: too few training videos to hold any out")
            log.warning("too few videos to hold any out: validating on the training videos")
        entries = held_out if subset == "val" and held_out else train
        return self.read("train")._replace(entries=entries)


def hold_out(entries: Sequence[Entry], fraction: float) -> tuple[EntryTable, EntryTable]:
    """Split a list into one to train on and one, about `fraction` in (0, 1), to choose the model by.

    Whole groups are held out, since clips of one source look alike, and in every class about `fraction` of the clips:
    at least one group, but never the last, so that none is held out if every class is one group. The choice depends on
    the names alone, so that all streams and seeds hold out the same videos. Raises ValueError if the fraction is
    outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"--val_fraction must lie in [0, 1), got {fraction}")
    table = EntryTable.of(entries)
    held_out = np.zeros(len(table), bool)
    for rows in by_label(table):
        groups = table.groups.take(rows).decoded()
        chosen = choose_groups(Counter(groups), fraction * len(rows))
        held_out[rows] = [group in chosen for group in groups]
    return table.part(np.flatnonzero(~held_out)), table.part(np.flatnonzero(held_out))


def choose_groups(sizes: Mapping[str, int], target: float) -> set[str]:
    """Choose groups, by their sizes, that have about `target` clips."""
    chosen, count = set[str](), 0
    ranked = sorted(sizes, key=lambda group: zlib.crc32(group.encode("utf-8", "surrogateescape")))
    for group in ranked[:-1]:
        if count and count + sizes[group] / 2 > target:
            break
        chosen.add(group)
        count += sizes[group]
    return chosen
