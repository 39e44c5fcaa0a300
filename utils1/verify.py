"""Score a checkpoint again, compare with the numbers it states, and explain differences.

Examples:
    python utils1/verify.py results/HMDB51/..._best.pth dataset/HMDB51 --annotation_path dataset/HMDB51_labels
    python utils1/verify.py RGB_HMDB51_16f.pth dataset/HMDB51 --n_classes 51 --expect 0.667
    python utils1/verify.py sfs.safetensors dataset/HMDB51 --record

What is not given is as in the checkpoint; the options of test_single_stream.py are those of this command. Exit code 0:
the numbers are equal, 1: they differ, 2: bad input.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from opts import SINGLE, build_parser, parse_with
from sts_common.json_text import as_json
from workflows.verifying.subject import load_system
from workflows.verifying.verify import NAMES, as_text, verify

DIFFERENT = 1


def main(opt: Namespace) -> dict[str, Any]:
    """Print the verdict and, if numbers differ, possible causes; return them."""
    given = [name for name in opt.given if name not in ("file", "root")]
    system = load_system(Namespace(**vars(opt) | {"frame_dir": opt.root, "given": [*given, "frame_dir"]}), opt.file)
    parts = tuple(NAMES) if opt.part == "all" else (opt.part,)
    report = verify(system, parts=parts, expect=opt.expect, tolerance=opt.tolerance, writes_record=opt.record)
    print(as_json(report, indent=2) if opt.json else as_text(report))  # noqa: T201 - the result
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this tool, and those of test_single_stream.py."""
    parser = build_parser(SINGLE, __doc__)
    parser.usage = "%(prog)s CHECKPOINT FRAME_DIR [options]"
    add = parser.add_argument_group("verify").add_argument
    add("file", metavar="CHECKPOINT", help=".pth or .safetensors")
    add("root", metavar="FRAME_DIR", help="folder of the extracted frames, or of the videos")
    add("--expect", type=accuracy, metavar="ACC", help="video accuracy on the test list, in [0, 1]")
    add("--tolerance", type=accuracy, default=0.002, metavar="ACC", help="on accuracies")
    add("--part", choices=("all", "val", "test"), default="all", help="what is scored: validation clips, test videos")
    add("--record", action="store_true", help="write what the test measures into the checkpoint")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parse_with(parser, argv)


def accuracy(text: str) -> float:
    """Parse an accuracy, a fraction of videos."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1]; 66.7 % is 0.667")
    return value


if __name__ == "__main__":
    sys.exit(0 if cli.run(main, parse_args)["equal"] else DIFFERENT)
