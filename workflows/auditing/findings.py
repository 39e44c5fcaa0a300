"""Report of an audit: a table for people, a tab-separated file with a line for every problem, and JSON."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from datasets.records.quarantine import table
from sts_common import counted, json_text

from .checks import Problem
from .lists_and_folders import Lists

SHOWN = 3  # problems of each kind in the table
WIDTH = 150  # characters of one of them

# Whether it is an error, and the cure. Errors of a video keep it from being used; those of lists falsify results.
KINDS = {
    "list": ("error", "mend the line"),
    "outside": ("error", "list videos below --frame_dir only, or allow the link as said"),
    "missing": ("error", "extract or download them, or leave them out with --quarantine"),
    "count": ("error", "extract them again"),
    "empty": ("error", "extract or download them again"),
    "truncated": ("error", "extract or download them again"),
    "undecodable": ("error", "extract or download them again"),
    "size": ("error", "extract them again"),
    "crash": ("error", "get them again; the decoder does not survive them"),
    "overlap": ("error", "take them out of one of the two lists, or the result is too good"),
    "class": ("error", "mend the list"),
    "short": ("warning", "shown in a loop, which is as published"),
    "duplicate": ("warning", "each copy counts once more"),
    "group": ("warning", "clips of one source look alike: the result may be too good"),
    "official": ("warning", "results are not comparable with published ones"),
    "unlisted": ("warning", "not used"),
    "unlisted class": ("warning", "not used; is it another data set's, or are the lists?"),
}
COLUMNS = ("severity", "kind", "path", "text")


class SubsetCounts(NamedTuple):
    """Number of listed and of sound videos of a subset."""

    split: int
    subset: str
    listed: int
    sound: int


class Report(NamedTuple):
    """Results of an audit."""

    dataset: str  # name of the data set
    root: str  # its folder
    layout: str  # how it is stored
    videos: int  # number of listed videos
    used: list[SubsetCounts]  # by list
    problems: list[Problem]  # sorted by kind and path
    looked_at: str = ""  # how much of every video

    @property
    def errors(self) -> list[Problem]:
        """Problems that make the audit fail."""
        return [problem for problem in self.problems if KINDS[problem.kind][0] == "error"]


def count_used(lists: Lists, sound: Collection[str]) -> list[SubsetCounts]:
    """Count the listed and sound videos, or segments of videos, of every list."""
    return [
        SubsetCounts(split, subset, len(listing.entries), sum(entry.path in sound for entry in listing.entries))
        for (split, subset), listing in lists.listings.items()
    ]


def sort_problems(problems: Sequence[Problem]) -> list[Problem]:
    """Sort problems in the order of the table, without duplicates."""
    order = {kind: i for i, kind in enumerate(KINDS)}
    return sorted(dict.fromkeys(problems), key=lambda problem: (order[problem.kind], problem.path, problem.text))


def as_text(report: Report) -> str:
    """Format the report as a table for people."""
    lines = [
        f"{report.dataset} at {report.root} ({report.layout}): {counted(report.videos, 'video')} listed; "
        f"{report.looked_at}"
    ]
    lines += [
        f"  split {used.split} {used.subset}: {used.sound:,} of {used.listed:,} are sound" for used in report.used
    ]
    by_kind = defaultdict(list)
    for problem in report.problems:
        by_kind[problem.kind].append(problem)
    for kind, problems in by_kind.items():
        severity, cure = KINDS[kind]
        lines += ["", f"{severity}: {kind}: {len(problems):,} ({cure})"]
        lines += [f"  {shorten(one_line(problem))}" for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"  and {len(problems) - SHOWN:,} more")
    return "\n".join(lines)


def one_line(problem: Problem) -> str:
    """Format a problem with its video, if the text does not name it already; unprintable characters as escapes."""
    text = problem.text if problem.path in problem.text else f"{problem.path}: {problem.text}"
    return text if text.isprintable() else ascii(text)[1:-1]


def shorten(text: str) -> str:
    """Keep the beginning and end of a long text: paths begin alike, and the reason stands at the end."""
    return text if len(text) <= WIDTH else f"{text[:50]} ... {text[55 - WIDTH :]}"


def as_table(report: Report) -> str:
    """Format every problem as a line of fields separated by tabs, quoted as in a quarantine."""
    return table(COLUMNS, ((KINDS[p.kind][0], *p) for p in report.problems))


def as_json(report: Report) -> str:
    """Format the whole report as JSON."""
    problems = [{"severity": KINDS[p.kind][0], **p._asdict()} for p in report.problems]
    used = [counts._asdict() for counts in report.used]
    return json_text.as_json(report._asdict() | {"used": used, "problems": problems}, indent=1) + "\n"
