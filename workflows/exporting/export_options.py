"""Options of export.py."""

from datasets import DATASETS, MISSING, STORES
from engine.command import cli
from models import FUSIONS

from .formats import FORMATS
from .plan import DTYPES, INT8

SHORT = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}  # as --amp of other scripts calls them


def build_parser(description: str) -> cli.ArgumentParser:
    """Build the parser of export.py."""
    parser = cli.ArgumentParser(description=description)
    add = parser.add_argument
    add("checkpoints", nargs="+", help="of train.py or STS_train.py; several are fused")
    add("--format", required=True, choices=FORMATS, help="weights alone, a program for torch, ONNX, or OpenVINO")
    add("--out", default="", help="file to write; without it, beside the first checkpoint")
    dtypes = (*DTYPES, INT8)
    add("--dtype", default="float32", type=full_name, choices=dtypes, help="of weights and activations, or bf16")
    add("--fusion", default="activno", choices=FUSIONS, help="activation before streams are averaged")
    add("--fusion_weights", nargs="+", type=float, help="weight of each checkpoint; without them all alike")
    add("--softmax", action="store_true", help="probabilities as a second result")
    add("--tolerance", type=float, help="part of the largest score by which scores may differ; set by --dtype")
    add("--rounds", default=5, type=int, help="of the latency table; 0 leaves it out")
    group = parser.add_argument_group("--dtype int8", "which videos it is quantised and measured by")
    add = group.add_argument
    add("--calibrate", metavar="FRAME_DIR", help="folder of the frames or videos of the training")
    add("--annotation_path", help="folder of the official label files, or one list; without it, as in the training")
    add("--calibrate_clips", default=300, type=int, help="clips of the training list by which ranges are found")
    add("--max_drop", default=0.5, type=float, help="points that the accuracy on held-out training videos may fall by")
    add("--dataset", choices=DATASETS, help="as the next three: without it, as in the training")
    add("--split", type=int, choices=(1, 2, 3), help="official split")
    add("--val_fraction", type=float, help="fraction of the training videos held out")
    add("--only_RGB", action="store_true", default=None, help="flow is not on disk, or not wanted")
    add("--layout", default="auto", choices=("auto", *STORES), metavar="LAYOUT", help="what is in --calibrate")
    add("--missing", default="error", choices=MISSING, help="what is done about a video that cannot be used")
    return parser


def full_name(text: str) -> str:
    """Return the name of a number format, which may be short."""
    return SHORT.get(text, text)
