"""The pages of a report on results, from score files."""

import logging
from collections.abc import Sequence
from pathlib import Path

from sts_common.files import write_text

from .figures import write_figures
from .group_report import GroupReport, report_group
from .page import as_html
from .plain_forms import TABLES, TAUGHT, as_markdown, table_text
from .score_files import group_files, read_files
from .teaching import runs_of

log = logging.getLogger(__name__)


def write_report(
    scores: Sequence[Path],
    out: Path = Path("report"),
    *,
    worst: int = 12,
    frame_dir: str = "",
    teacher: Path | None = None,
    runs: Sequence[Path] = (),
    figures: bool = False,
) -> list[GroupReport]:
    """Write a page that explains results, and its tables, as utils1/report.py does with its options.

    Returns a report for each group of files that were tested on the same videos. Raises FileNotFoundError if there is
    no score file or no run, ValueError if one that was named is none, nothing is of the teacher's videos, or there is
    no matplotlib for figures.
    """
    if worst < 0:
        raise ValueError(f"--worst {worst}: a number of errors to show, 0 for none")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; name a folder")
    files = read_files([*scores, *([teacher] if teacher and teacher not in scores else [])])
    taught = teacher.resolve() if teacher else None
    reports = [report_group(group, frame_dir, worst, taught) for group in group_files(files)]
    if teacher and not any(report.agreements for report in reports):
        raise ValueError(f"--teacher {teacher}: no other score file is of the same videos: test both on the same list")
    for details in (details for report in reports for details in report.details if details.errors):
        if details.no_pictures:
            log.warning("%s: no pictures of errors: %s", details.file.label, details.no_pictures)
    texts = {"index.html": as_html(reports, runs_of(runs)), "report.md": as_markdown(reports)}
    texts |= {name: table_text(make, reports) for name, make in (TABLES | (TAUGHT if teacher else {})).items()}
    for name, text in texts.items():
        write_text(out / name, text)
    if figures:
        write_figures(reports, out / "figures")
    return reports
