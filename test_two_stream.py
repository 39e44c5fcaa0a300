"""Video-level accuracy of two streams (or three), fused on their logits.

Examples:
    python test_two_stream.py --modality RGB --only_RGB --resume_path1 rgb.pth --resume_path2 sfs.pth      # STS-Net
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth --resume_path3 sfs.pth
"""

from argparse import Namespace

from datasets import FLOW, MODALITIES, RGB
from engine import cli, naming
from opts import parse_opts
from testing import report, score_streams


def main(opt: Namespace) -> dict[str, float]:
    """Score the test videos with every stream; returns "top1", "top5" and "mean_class" of the fusion, in [0, 1]."""
    streams = MODALITIES[opt.modality]
    if RGB not in streams:
        raise ValueError(f"--modality {opt.modality}: use RGB for RGB + SFS, or RGB_Flow for RGB + Flow")
    flow_free = len(streams) == 1
    second = ("sfs", RGB, opt.resume_path2) if flow_free else ("flow", FLOW, opt.resume_path2)
    wanted = [("rgb", RGB, opt.resume_path1), second]
    if opt.resume_path3:
        wanted.append(("sfs", RGB, opt.resume_path3))
    opt, scores = score_streams(opt, wanted)
    return report(opt, scores, naming.fused_test_file(opt, "RGB_SFS" if flow_free else "RGB_Flow"))


if __name__ == "__main__":
    cli.run(main, parse_opts)
