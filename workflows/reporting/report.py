"""The pages of a report on results, from score files."""

import logging
from collections.abc import Sequence
from pathlib import Path

from sts_common.files import write_text

from .figures import write_figures
from .group_report import GroupReport, report_group
from .page import as_html
from .plain_forms import TABLES, as_markdown, table_text
from .score_files import group_files, read_files

log = logging.getLogger(__name__)


def write_report(
    scores: Sequence[Path],
    out: Path = Path("report"),
    *,
    worst: int = 12,
    frame_dir: str = "",
    figures: bool = False,
) -> list[GroupReport]:
    """Write a page that explains results, and its tables, as utils1/report.py does with its options.

    Returns a report for each group of files that were tested on the same videos. Raises FileNotFoundError if there is
    no score file, ValueError if one that was named is none, or for figures without matplotlib.
    """
    if worst < 0:
        raise ValueError(f"--worst {worst}: a number of errors to show, 0 for none")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; name a folder")
    reports = [report_group(group, frame_dir, worst) for group in group_files(read_files(scores))]
    for report in reports:
        for details in report.details:
            if details.errors and details.no_pictures:
                log.warning("%s: no pictures of errors: %s", details.file.label, details.no_pictures)
    texts = {"index.html": as_html(reports), "report.md": as_markdown(reports)}
    texts |= {name: table_text(make, reports) for name, make in TABLES.items()}
    for name, text in texts.items():
        write_text(out / name, text)
    if figures:
        write_figures(reports, out / "figures")
    return reports
