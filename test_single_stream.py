"""Video-level accuracy of one stream: the mean of the logits of all clips of a video.

Examples:
    python test_single_stream.py --resume_path1 results/HMDB51/..._best.pth
    python test_single_stream.py --modality Flow --resume_path1 trained_models/HMDB51/Flow_HMDB51_16f.pth
"""

from argparse import Namespace
from functools import partial

from datasets import SINGLE_STREAMS
from engine.command import cli, naming
from opts import SINGLE, parse_opts
from workflows.testing.evaluation import StreamSpec, report, score_streams


def main(opt: Namespace) -> dict[str, float]:
    """Score the test videos; return "top1", "top5" and "mean_class", in [0, 1]."""
    if opt.stream or opt.scores:
        raise ValueError("--stream and --scores are for test_two_stream.py, which takes a single stream as well")
    if opt.modality not in SINGLE_STREAMS:
        single = " or ".join(SINGLE_STREAMS)
        raise ValueError(f"--modality {opt.modality}: one stream, {single}; two are for test_two_stream.py")
    spec = StreamSpec("", opt.resume_path1, SINGLE_STREAMS[opt.modality] if "modality" in opt.given else None)
    opt, scores = score_streams(opt, [spec])
    return report(opt, scores, naming.single_test_file(opt))


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=SINGLE, description=__doc__))
