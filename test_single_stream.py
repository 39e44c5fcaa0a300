"""Video-level accuracy of one stream: the mean of the logits of all clips of a video.

Examples:
    python test_single_stream.py --modality RGB --only_RGB --resume_path1 results/HMDB51/..._best.pth
    python test_single_stream.py --modality Flow --resume_path1 trained_models/HMDB51/Flow_HMDB51_16f.pth
"""

from argparse import Namespace

from datasets import MODALITIES
from engine import cli, naming
from opts import parse_opts
from testing import report, score_streams


def main(opt: Namespace) -> dict[str, float]:
    """Score the test videos; returns "top1", "top5" and "mean_class", in [0, 1]."""
    if len(MODALITIES[opt.modality]) != 1:
        raise ValueError(f"--modality {opt.modality}: one stream, RGB or Flow; two are for test_two_stream.py")
    (stream,) = MODALITIES[opt.modality]
    opt, scores = score_streams(opt, [(stream.name, stream, opt.resume_path1)])
    return report(opt, scores, naming.single_test_file(opt))


if __name__ == "__main__":
    cli.run(main, parse_opts)
