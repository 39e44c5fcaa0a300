"""Video-level accuracy of fused streams: two, as published, or any number; each video is decoded once for all.

Examples:
    python test_two_stream.py --modality RGB --only_RGB --resume_path1 rgb.pth --resume_path2 sfs.pth      # STS-Net
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth
    python test_two_stream.py --modality RGB_Flow --resume_path1 rgb.pth --resume_path2 flow.pth --resume_path3 sfs.pth
    python test_two_stream.py --stream rgb=rgb.pth --stream sfs=sfs.pth --stream flow=flow.pth --fusion all
    python test_two_stream.py --scores rgb.npz flow.npz --fusion_weights 1 1.5       # what was scored before
    python test_two_stream.py --scores rgb.npz sfs.npz --fit held_rgb.npz held_sfs.npz  # weights from held-out videos
"""

from argparse import Namespace
from functools import partial

from datasets import FLOW, MODALITIES, RGB
from engine.command import cli, naming
from opts import FUSED, named_checkpoints, parse_opts
from workflows.testing.evaluation import StreamSpec, report, score_streams
from workflows.testing.fusing import read_scores
from workflows.testing.held_out import check_fit, fitted_weights


def main(opt: Namespace) -> dict[str, float]:
    """Score the test videos with every stream; return "top1", "top5" and "mean_class" of the fusion, in [0, 1]."""
    check_fit(opt.fit, opt.fusion_weights, opt.fusion)
    if opt.scores:
        settings, scores = read_scores(
            opt.scores,
            use=opt.use,
            activation=opt.fusion if opt.clip_mean == "after" else None,
            given={name: getattr(opt, name) for name in opt.given},
            sample_duration=opt.sample_duration,
        )
        opt = Namespace(**vars(opt) | settings | fitted_weights(opt.fit, scores))
    else:
        paths = (opt.resume_path1, opt.resume_path2, opt.resume_path3)
        named = [StreamSpec(name, path) for name, path in named_checkpoints(opt.stream or ()).items()]
        specs = named or published_specs(opt.modality if "modality" in opt.given else None, *paths)
        opt, scores = score_streams(opt, specs)
    published = "RGB_SFS" if FLOW not in MODALITIES[opt.modality] else "RGB_Flow"
    streams = "_".join(scores.streams) if opt.scores or opt.stream else published
    return report(opt, scores, naming.fused_test_file(opt, streams))


def published_specs(modality: str | None, first: str, second: str, third: str = "") -> list[StreamSpec]:
    """Return the streams of the published options: RGB, then flow or SFS by `--modality`, then SFS if there is one.

    Without a modality the second and third checkpoint say what they read.
    """
    streams = MODALITIES[modality or "RGB"]
    if RGB not in streams:
        raise ValueError(f"--modality {modality}: use RGB for RGB + SFS, or RGB_Flow for RGB + Flow")
    read = (streams[-1], RGB) if modality else (None, None)
    others = [StreamSpec("", path, stream) for path, stream in zip((second, third), read, strict=True)]
    return [StreamSpec("rgb", first, RGB), *(others if third else others[:1])]


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=FUSED, description=__doc__))
