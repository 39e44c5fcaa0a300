"""Hold out part of a training list for model selection."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from .entries import Entry
from .entry_table import by_label, groups_of, select


def hold_out(entries: Sequence[Entry], fraction: float) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """Split a list into one to train on and one, about `fraction` in (0, 1), to choose the model by.

    Whole groups are held out, since clips of one source look alike, and in every class about `fraction` of the clips:
    at least one group, but never the last, so that none is held out if every class is one group. The choice depends on
    the names alone, so that all streams and seeds hold out the same videos. Raises ValueError if the fraction is
    outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"--val_fraction must lie in [0, 1), got {fraction}")
    held = np.zeros(len(entries), bool)
    for rows in by_label(entries):
        groups = groups_of(entries, rows)
        chosen = choose(Counter(groups), fraction * len(rows))
        held[rows] = [group in chosen for group in groups]
    return select(entries, ~held), select(entries, held)


def choose(sizes: Mapping[str, int], target: float) -> set[str]:
    """Choose groups, by their sizes, that have about `target` clips."""
    held, count = set[str](), 0
    ranked = sorted(sizes, key=lambda group: zlib.crc32(group.encode("utf-8", "surrogateescape")))
    for group in ranked[:-1]:
        if count and count + sizes[group] / 2 > target:
            break
        held.add(group)
        count += sizes[group]
    return held
