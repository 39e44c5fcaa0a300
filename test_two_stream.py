"""Video-level accuracy of fused streams: two, as published, or any number; each video is decoded once for all.

Examples:
    python test_two_stream.py --modality RGB --only_RGB --resume_path1 rgb.pth --resume_path2 sfs.pth      # STS-Net
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth --resume_path3 sfs.pth
    python test_two_stream.py --stream rgb=rgb.pth --stream sfs=sfs.pth --stream flow=flow.pth --fusion all
    python test_two_stream.py --scores rgb.npz flow.npz --fusion_weights 1 1.5       # what was scored before
"""

from argparse import Namespace
from functools import partial

from datasets import FLOW, MODALITIES, RGB
from engine.command import cli, naming
from opts import FUSED, named_checkpoints, parse_opts
from workflows.testing.evaluation import StreamSpec, report, score_streams
from workflows.testing.fusing import read_scores


def main(opt: Namespace) -> dict[str, float]:
    """Score the test videos with every stream; return "top1", "top5" and "mean_class" of the fusion, in [0, 1]."""
    if opt.scores:
        settings, scores = read_scores(
            opt.scores,
            use=opt.use,
            activation=opt.fusion if opt.clip_mean == "after" else None,
            given={name: getattr(opt, name) for name in opt.given},
            sample_duration=opt.sample_duration,
        )
        opt = Namespace(**vars(opt) | settings)
    else:
        opt, scores = score_streams(opt, stream_specs(opt))
    published = "RGB_SFS" if FLOW not in MODALITIES[opt.modality] else "RGB_Flow"
    streams = "_".join(scores.streams) if opt.scores or opt.stream else published
    return report(opt, scores, naming.fused_test_file(opt, streams))


def stream_specs(opt: Namespace) -> list[StreamSpec]:
    """Return the streams of `--stream`, or of the published options."""
    if opt.stream:
        return [StreamSpec(name, path) for name, path in named_checkpoints(opt.stream).items()]
    streams = MODALITIES[opt.modality]
    if RGB not in streams:
        raise ValueError(f"--modality {opt.modality}: use RGB for RGB + SFS, or RGB_Flow for RGB + Flow")
    second = StreamSpec("sfs" if FLOW not in streams else "flow", opt.resume_path2, streams[-1])
    third = [StreamSpec("sfs", opt.resume_path3, RGB)] if opt.resume_path3 else []
    return [StreamSpec("rgb", opt.resume_path1, RGB), second, *third]


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=FUSED, description=__doc__))
