"""Sources of videos by their names, and splits with all clips of one source on one side."""

import logging
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datasets.lists.entries import Entry
from datasets.lists.source_groups import ungroup_single_sources
from sts_common import counted

log = logging.getLogger(__name__)

MIN_SOURCES = 2  # sources of a class, of which one is trained on and one tested on
PEOPLE = "subject|subj|person|actor|signer|speaker|user|participant|player|performer|patient|volunteer"
PLACES = "scene|session|video|vid|rec|tape|movie|seq|set|day|part|id|s|p"


class Pattern(NamedTuple):
    """A naming scheme of videos."""

    description: str  # whose it is, or what it takes for the source
    expression: str  # for `--group_by`; the group `source` is the source
    known: bool  # whether names that all fit cannot mean anything else


CLASS = r"(?:^|/)(?P<class>[^/]+)/"
PATTERNS = (
    Pattern("the film, as HMDB51 names clips", CLASS + r"(?P<source>[^/]+?)_(?P=class)_[fhlu]_[nc]m_np\d", True),
    Pattern("the subject, as NTU names clips", r"S\d{3}C\d{3}(?P<source>P\d{3})R\d{3}A\d{3}", True),
    Pattern("the group, as UCF101 names clips", r"(?P<source>[^/]*g\d+)_c\d+", True),
    Pattern("the sequence, as UT-Interaction names clips", r"(?P<source>set_?\d+_seq_?\d+)", True),
    Pattern("the person, as KTH names clips", r"(?P<source>person\d+)_", True),
    Pattern("the person", rf"(?i)(?P<source>(?:{PEOPLE})[ _-]?\d+)", True),
    Pattern("what stands before the class", CLASS + r"(?P<source>[^/]+?)[ _.-]+(?i:(?P=class))", False),
    Pattern("a word with a number", rf"(?i)(?:^|[/ _.-])(?P<source>(?:{PLACES})[ _-]?\d+)(?![^/ _.-]|[^/]*/)", False),
    Pattern("the folder in the class", r"^[^/]+/(?P<source>[^/]+)/", False),
    Pattern("the first word of the name", r"(?:^|/)(?P<source>[^/ _.-]+)[ _.-]+[^/]*$", False),
)


def grouped(entries: Sequence[Entry], expression: str) -> list[Entry]:
    """Group entries by the match of a regular expression in the path.

    That is its group `source`, without one its first parenthesis, without any all of it. Raises ValueError if the
    expression is malformed, or a path has no such part.
    """
    try:
        search = re.compile(expression).search
    except re.error as error:
        raise ValueError(f"--group_by {expression!r}: {error}") from None
    regrouped = []
    for entry in entries:
        if not (match := search(entry.path)):
            raise ValueError(f"--group_by {expression!r}: finds nothing in {entry.path!r}")
        source = match["source"] if "source" in match.re.groupindex else match[1] if match.re.groups else match[0]
        regrouped.append(entry._replace(group=source or match[0]))
    return regrouped


def fitting_patterns(entries: Sequence[Entry]) -> Iterator[tuple[Pattern, list[Entry]]]:
    """Return patterns that all names match, with several sources in every class and several videos in some of them."""
    for pattern in PATTERNS:
        try:
            regrouped = grouped(entries, pattern.expression)
        except ValueError:
            continue
        least, _ = per_class(regrouped)
        if least >= MIN_SOURCES and count_sources(regrouped) < len(regrouped):
            yield pattern, regrouped


def count_sources(entries: Sequence[Entry]) -> int:
    """Count the sources."""
    return len({entry.group for entry in entries})


def per_class(entries: Sequence[Entry]) -> tuple[int, int]:
    """Return the fewest and the most sources that a class has."""
    groups: dict[int, set[str]] = defaultdict(set)
    for entry in entries:
        groups[entry.label].add(entry.group)
    counts = [len(names) for names in groups.values()]
    return min(counts), max(counts)


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


def group_alone(entries: Sequence[Entry], class_names: Sequence[str]) -> Sequence[Entry]:
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
