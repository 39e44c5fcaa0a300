"""Compare the features of a student and its teacher, layer by layer, on validation clips (linear CKA).

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
from opts import SINGLE, parse_opts
from workflows.understanding.layer_similarity import main


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script; those of the data are the namespace `data`."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="checkpoint")
    parser.add_argument("--teacher", required=True, help="checkpoint")
    parser.add_argument("--baseline", help="checkpoint of a network that was trained without the teacher")
    parser.add_argument("--clips", type=int, default=256, help="at most; evenly spaced over the validation videos")
    parser.add_argument(
        "--features",
        default="pooled",
        choices=FEATURES,
        help="pooled: the mean of each channel; flattened: where and when as well",
    )
    parser.add_argument("--out", type=Path, help="folder for every layer against every other, as .csv and .png")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    opt, words = parser.parse_known_args(argv)
    return Namespace(**vars(opt), data=parse_opts(["--modality", "RGB_Flow", *words], SINGLE, also=["flow_source"]))


if __name__ == "__main__":
    cli.run(main, parse_args)
