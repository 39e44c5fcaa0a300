"""Write the network of a checkpoint, or several fused, as one file for other programs, checked against the checkpoints.

Examples:
    python export.py sfs.pth --format safetensors
    python export.py rgb.pth sfs.pth --format pt2 --out sts.pt2       # STS-Net: RGB + SFS by ActivNo
    python export.py rgb.pth sfs.pth --format onnx --out sts.onnx --softmax
    python export.py rgb.pth flow.pth --format onnx --out two_stream.onnx
    python export.py rgb.pth sfs.pth --format openvino --out sts.xml --dtype int8 --calibrate dataset/HMDB51
"""

import logging
from argparse import Namespace
from collections.abc import Sequence

from engine import setup
from engine.command import cli
from sts_common import size_in_words
from workflows.exporting.calibration import CalibrationSettings
from workflows.exporting.export import export, report
from workflows.exporting.export_options import build_parser
from workflows.exporting.parity import Parity

log = logging.getLogger(__name__)


def main(opt: Namespace) -> Parity:
    """Write the file, log its distance from the checkpoints and its speed; return the former."""
    if opt.rounds < 0:
        raise ValueError(f"--rounds must be >= 0, got {opt.rounds}")
    setup(0, "cpu")
    calibrate = CalibrationSettings(
        frame_dir=opt.calibrate or "",
        annotation_path=opt.annotation_path,
        dataset=opt.dataset,
        split=opt.split,
        val_fraction=opt.val_fraction,
        only_RGB=opt.only_RGB,
        layout=opt.layout,
        missing=opt.missing,
        clips=opt.calibrate_clips,
        max_drop=opt.max_drop,
    )
    written = export(
        opt.checkpoints,
        opt.out,
        format=opt.format,
        dtype=opt.dtype,
        fusion=opt.fusion,
        fusion_weights=opt.fusion_weights,
        softmax=opt.softmax,
        tolerance=opt.tolerance,
        calibrate=calibrate if opt.calibrate else None,
        rounds=opt.rounds,
    )
    inputs = ", ".join(f"{name} {shape}" for name, shape in written.plan.shapes().items())
    size = size_in_words(written.bytes)
    log.info("%s: %s, for clips of any number, uint8 (C, T, H, W): %s", written.path, size, inputs)
    print("\n".join(report(written, opt.tolerance)))  # noqa: T201 - the result
    return written.parity


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    return build_parser("Write networks of checkpoints as one file for other programs.").parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
