"""Score a checkpoint again, compare with the numbers it carries, and when they differ say why.

Examples:
    python utils1/verify.py results/HMDB51/..._best.pth dataset/HMDB51 --annotation_path dataset/HMDB51_labels
    python utils1/verify.py RGB_HMDB51_16f.pth dataset/HMDB51 --n_classes 51 --expect 0.667
    python utils1/verify.py sfs.safetensors dataset/HMDB51 --record

What is not given is as in the checkpoint; all options of the test scripts can be given. Exit code 0: the numbers are
equal, 1: they differ, 2: bad input.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from engine.command import cli, config
from opts import check
from opts.table import build_parser
from sts_common.json_text import as_json
from workflows.verifying.causes import LIKELY, causes
from workflows.verifying.measure import Comparison, Measured, measure
from workflows.verifying.record import record
from workflows.verifying.subject import System, load_system
from workflows.verifying.verdict import NAMES, as_plain, as_text, verdict

DIFFERENT = 1


def main(opt: Namespace) -> dict[str, Any]:
    """Print the verdict and, if numbers differ, what may be the cause.

    Returns:
        "equal", "verdict", "comparisons", "causes" by part, "notes", what differs where the numbers agree all the same,
        and "recorded", None if nothing was.

    Raises:
        ValueError: If there is nothing to compare with.
    """
    given = [name for name in opt.given if name not in ("file", "root")]
    system = load_system(Namespace(**vars(opt) | {"frame_dir": opt.root, "given": [*given, "frame_dir"]}), opt.file)
    found, tested = compare(opt, system)
    different = [one for one in found if not one.equal]
    why = {one.part: causes(system, one) for one in different}
    odd = [cause for one in found if one.equal and not one.exact for cause in causes(system, one)]
    recorded = None
    if opt.record and tested and not different:
        recorded = record(system, tested)
    report = {
        "equal": not different,
        "verdict": verdict(found, why, tested if opt.record else None, {part: list_of(system, part) for part in NAMES}),
        "comparisons": [as_plain(one) for one in found],
        "causes": {part: [cause._asdict() for cause in rows] for part, rows in why.items()},
        "notes": [f"{cause.name}: {cause.evidence}" for cause in odd if cause.verdict == LIKELY],
        "recorded": recorded,
    }
    print(as_json(report, indent=2) if opt.json else as_text(report))  # noqa: T201 - the result
    return report


def list_of(system: System, part: str) -> str:
    """Data set and split of a part: a number is of one split, and papers mostly have the mean over all."""
    opt = system.options(part)
    return f"{opt.dataset} split {opt.split}"


def compare(opt: Namespace, system: System) -> tuple[list[Comparison], Measured | None]:
    """Score the parts for which a number is known; the second is what the test measured, if it was scored.

    Raises:
        ValueError: If none is known and none is to be recorded.
    """
    found, tested = [], None
    stored = system.state.get("metrics", {})
    validation = {name: stored[name] for name in ("acc", "loss") if isinstance(stored.get(name), int | float)}
    recorded = system.state.get("tested", {}).get("top1")
    expected = recorded if opt.expect is None else opt.expect
    parts = ("val", "test") if opt.part == "all" else (opt.part,)
    if not ("val" in parts and "acc" in validation) and not ("test" in parts and (expected is not None or opt.record)):
        raise ValueError(
            f"{opt.file}: states no number to compare with: give its video accuracy with --expect, or write what is "
            "measured into it with --record"
        )
    if "val" in parts and "acc" in validation:
        found.append(Comparison("val", "the checkpoint", validation, measure(system, "val"), opt.tolerance))
    if "test" in parts and (opt.record or expected is not None):
        tested = measure(system, "test")
        if opt.expect is not None:
            found.append(Comparison("test", "--expect", {"top1": opt.expect}, tested, opt.tolerance))
        elif not opt.record:
            found.append(Comparison("test", "its record", {"top1": float(recorded)}, tested, opt.tolerance))
    return found, tested


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Options of this tool, and those of the test scripts."""
    parser = build_parser()
    parser.description = __doc__
    parser.usage = "%(prog)s CHECKPOINT FRAME_DIR [options]"  # all of them would fill a page
    add = parser.add_argument_group("verify").add_argument
    add("file", metavar="CHECKPOINT", help=".pth or .safetensors")
    add("root", metavar="FRAME_DIR", help="folder of the extracted frames, or of the videos")
    add("--expect", type=accuracy, metavar="ACC", help="video accuracy on the test list, in [0, 1]")
    add("--tolerance", type=accuracy, default=0.002, metavar="ACC", help="on accuracies")
    add("--part", choices=("all", "val", "test"), default="all", help="what is scored: validation clips, test videos")
    add("--record", action="store_true", help="write what the test measures into the checkpoint")
    add("--json", action="store_true", help="print JSON instead of a table")
    try:
        opt = config.parse(parser, sys.argv[1:] if argv is None else argv)
        check(opt)
    except (ValueError, OSError) as error:
        parser.error(cli.one_line(error))
    return opt


def accuracy(text: str) -> float:
    """A fraction of videos."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1]; 66.7 % is 0.667")
    return value


def script(opt: Namespace) -> None:
    """Exit with `DIFFERENT` if numbers differ."""
    if not main(opt)["equal"]:
        sys.exit(DIFFERENT)


if __name__ == "__main__":
    cli.run(script, parse_args)
