"""Write a page that explains results: test protocols, confused classes, disagreeing streams, the worst errors.

    python utils1/report.py results/HMDB51 --out report
    python utils1/report.py rgb.npz sfs.npz other/two_stream.npz --worst 24

Reads score files (.npz) of test_single_stream.py and test_two_stream.py, all of them below a folder. Writes index.html,
which needs no other file and no network, report.md, and the tables as CSV. Results are put side by side only where the
same videos were tested, and what was not tested alike is said. --figures draws what is for a paper or a slide.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from sts_common import counted
from workflows.reporting.group_report import GroupReport
from workflows.reporting.report import write_report


def main(opt: Namespace) -> list[GroupReport]:
    """Write the report; return its content."""
    words = {"worst": opt.worst, "frame_dir": opt.frame_dir, "teacher": opt.teacher, "runs": opt.run}
    reports = write_report(opt.scores, opt.out, **words, figures=opt.figures)
    count = sum(len(report.group.files) for report in reports)
    print(f"{opt.out / 'index.html'}: {counted(count, 'score file')} in {counted(len(reports), 'group')}")  # noqa: T201 - the result
    return reports


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("scores", nargs="+", metavar="SCORES", type=Path, help="score file, or a folder with some in or below it")
    add("--out", type=Path, default=Path("report"), help="folder to write")
    add("--worst", type=int, default=12, help="errors to show of each file, the most confident ones")
    add("--frame_dir", default="", help="where frames or videos are now, if not where they were when tested")
    add("--teacher", type=Path, metavar="SCORES", help="of a teacher: agreement of the others with it by class")
    add("--run", nargs="+", default=[], type=Path, help="folders of runs, whose losses are drawn term by term")
    add("--figures", action="store_true", help="draw accuracies, matrices and curves as PNG and PDF too, in figures/")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
