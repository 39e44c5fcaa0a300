"""Train and test lists of a user's videos, with all clips of one source on one side."""

import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from datasets.lists.entries import Entry
from datasets.lists.source_groups import ungroup_single_sources
from sts_common import counted

log = logging.getLogger(__name__)


def split_groups(entries: Sequence[Entry], class_names: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Choose whole groups to test on, in every class about `fraction`, in (0, 1), of its videos.

    The choice depends on the names and the seed alone. Groups may span classes. Every class has a video in the chosen
    ones and one outside; raises ValueError if that cannot be.
    """
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    for entry in entries:
        sizes[entry.group][entry.label] += 1
    totals = Counter(entry.label for entry in entries)
    targets = {label: max(1, round(fraction * total)) for label, total in totals.items()}
    held: Counter[int] = Counter()
    chosen: set[str] = set()
    order = sorted(sizes, key=lambda group: (zlib.crc32(f"{seed} {group}".encode("utf-8", "surrogateescape")), group))
    for slack in (0, max(totals.values())):  # first what fits, then what a class without a test video needs
        for group in order:
            labels = sizes[group]
            fits = all(held[label] + n <= min(targets[label] + slack, totals[label] - 1) for label, n in labels.items())
            needed = not slack or any(not held[label] for label in labels)
            if group not in chosen and fits and needed:
                chosen.add(group)
                held.update(labels)
    for label, total in totals.items():
        if not held[label]:
            raise ValueError(
                f"class {class_names[label]!r}: its {counted(total, 'video')} cannot be on both sides of the split; "
                "each class needs two videos, and with --group_by two groups that it does not share with all others"
            )
    return chosen


def group_alone(entries: Sequence[Entry], class_names: Sequence[str]) -> list[Entry]:
    """Make every video of a class with a single group its own group, with a warning: they may look alike."""
    apart = ungroup_single_sources(entries)
    single = {old.label: old.group for old, new in zip(entries, apart, strict=True) if old.group != new.group}
    for label, group in sorted(single.items()):
        log.warning(
            "class %r: all videos seem to be cut from one (%s); they are split one by one, so if they do come "
            "from one the test is too easy. --group_by says what tells the sources apart",
            class_names[label],
            group,
        )
    return apart
