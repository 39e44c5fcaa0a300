r"""Compare the features of a student and its teacher, layer by layer, on validation clips (linear CKA).

    python utils1/layer_similarity.py --student sfs.pth --teacher flow.pth --baseline rgb.pth --dataset HMDB51 \
        --frame_dir ... --annotation_path ... --out similarity

takes the options of train.py and STS_train.py; the streams that are read follow from the checkpoints. A baseline is a
network like the student that had no teacher: what it has in common with the teacher, distillation did not transfer.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from models.analysis.similarity import FEATURES
from opts import SINGLE, build_parser, parse_with
from workflows.understanding.layer_similarity import main


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script, and those of test_single_stream.py."""
    parser = build_parser(SINGLE, __doc__, also=["flow_source"])
    parser.usage = "%(prog)s --student STUDENT --teacher TEACHER [options]"
    parser.set_defaults(modality="RGB_Flow")
    parser.conflict_handler = "resolve"  # its --teacher is another than STS_train.py's
    add = parser.add_argument_group("similarity").add_argument
    add("--student", required=True, help="checkpoint")
    add("--teacher", required=True, help="checkpoint")
    add("--baseline", help="checkpoint of a network that was trained without the teacher")
    add("--clips", type=int, default=256, help="at most; evenly spaced over the validation videos")
    add(
        "--features",
        default="pooled",
        choices=FEATURES,
        help="pooled: the mean of each channel; flattened: where and when as well",
    )
    add("--out", type=Path, help="folder for every layer against every other, as .csv and .png")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parse_with(parser, argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
