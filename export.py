"""Write the network of a checkpoint, or several fused, as one file for other programs, checked against the checkpoints.

Examples:
    python export.py sfs.pth --format safetensors
    python export.py rgb.pth sfs.pth --format pt2 --out sts.pt2       # STS-Net: RGB + SFS by ActivNo
    python export.py rgb.pth sfs.pth --format onnx --out sts.onnx --softmax
    python export.py rgb.pth flow.pth --format onnx --out two_stream.onnx
"""

import logging
from argparse import Namespace
from collections.abc import Sequence

from datasets import FLOW, parse_view
from engine import setup
from engine.command import cli
from models import FUSIONS
from sts_common import size_in_words
from workflows.exporting.export import export
from workflows.exporting.formats import FORMATS
from workflows.exporting.parity import BATCHES, LIMITS, Parity, measure_latency
from workflows.exporting.plan import DTYPES

log = logging.getLogger(__name__)


def main(opt: Namespace) -> Parity:
    """Write the file, log its distance from the checkpoints and its speed; return the former."""
    if opt.rounds < 0:
        raise ValueError(f"--rounds must be >= 0, got {opt.rounds}")
    setup(0, "cpu")
    path, parity, plan, kind = export(
        opt.checkpoints,
        opt.out,
        format=opt.format,
        dtype=opt.dtype,
        fusion=opt.fusion,
        fusion_weights=opt.fusion_weights,
        softmax=opt.softmax,
        tolerance=opt.tolerance,
    )
    inputs = ", ".join(f"{name} {shape}" for name, shape in plan.shapes().items())
    size = size_in_words(path.stat().st_size)
    log.info("%s: %s, for clips of any number, uint8 (C, T, H, W): %s", path, size, inputs)
    limit = LIMITS[opt.dtype] if opt.tolerance is None else opt.tolerance
    lines = [
        f"parity on noise in batches of {', '.join(map(str, BATCHES))}: {parity.difference:.1e} of the largest score "
        f"(limit {limit:.0e}), the same first class in {parity.agreeing} of {parity.clips} clips"
    ]
    if opt.rounds and not kind.holds_weights_alone:
        lines += measure_latency(plan, kind, path, opt.rounds)
    if any(parse_view(name).stream == FLOW for name in plan.shapes()):
        frames = plan.recipe["sample_duration"]
        lines.append(
            f"computing flow comes on top, {frames} pairs of frames per clip: docs/flow.md says what they take"
        )
    print("\n".join(lines))  # noqa: T201 - the result
    return parity


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description="Write networks of checkpoints as one file for other programs.")
    add = parser.add_argument
    add("checkpoints", nargs="+", help="of train.py or STS_train.py; several are fused")
    add("--format", required=True, choices=FORMATS, help="weights alone, a program for torch, or ONNX")
    add("--out", default="", help="file to write; without it, beside the first checkpoint")
    add("--dtype", default="float32", choices=DTYPES, help="of weights and activations")
    add("--fusion", default="activno", choices=FUSIONS, help="activation before streams are averaged")
    add("--fusion_weights", nargs="+", type=float, help="weight of each checkpoint; without them all alike")
    add("--softmax", action="store_true", help="probabilities as a second result")
    add("--tolerance", type=float, help="part of the largest score by which scores may differ; set by --dtype")
    add("--rounds", default=5, type=int, help="of the latency table; 0 leaves it out")
    add("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
