"""Hold out part of a training list for model selection."""

import zlib
from collections import defaultdict
from collections.abc import Sequence

from .entries import Entry


def hold_out(entries: Sequence[Entry], fraction: float) -> tuple[list[Entry], list[Entry]]:
    """Split a list into one to train on and one, about `fraction` in (0, 1), to choose the model by.

    Whole groups are held out, since clips of one source look alike, and in every class about `fraction` of the clips:
    at least one group, but never the last, so that none is held out if every class is one group. The choice depends on
    the names alone, so that all streams and seeds hold out the same videos. Raises ValueError if the fraction is
    outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"--val_fraction must lie in [0, 1), got {fraction}")
    groups: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in entries:
        groups[entry.label][entry.group] += 1
    held: set[tuple[int, str]] = set()
    for label, sizes in groups.items():
        target, count = fraction * sum(sizes.values()), 0
        ranked = sorted(sizes, key=lambda group: zlib.crc32(group.encode("utf-8", "surrogateescape")))
        for group in ranked[:-1]:
            if count and count + sizes[group] / 2 > target:
                break
            held.add((label, group))
            count += sizes[group]
    train = [entry for entry in entries if (entry.label, entry.group) not in held]
    return train, [entry for entry in entries if (entry.label, entry.group) in held]
