"""What the test scripts share: scoring the test videos with some streams, and reporting the fusion.

This composes the packages, as the scripts do, and so stands beside them.
"""

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from datasets import CLIP_OPTIONS, ClipDataset, Stream, build_loader, check_data, class_names, num_listed
from engine import Scores, checkpoint, dtype_of, is_main, result_lines, score_videos, setup, video_metrics, write_result
from models import ARCHITECTURE, StreamNetwork, fuse, inference_ready, load_stream, stream_weights
from opts import adopt

log = logging.getLogger(__name__)


def score_streams(opt: Namespace, wanted: Sequence[tuple[str, Stream, str]]) -> tuple[Namespace, Scores]:
    """Score every test video with the networks of some checkpoints; each clip is read once for all of them.

    Args:
        opt: Options; those not given are taken from the first checkpoint.
        wanted: Name, stream read and checkpoint file of each network.

    Returns:
        The options as used, and the scores.

    Raises:
        FileNotFoundError: If a checkpoint, folder or video is missing.
        ValueError: If a checkpoint does not fit its stream, the data or the others.
    """
    device = setup(opt.manual_seed, opt.device)
    paths = [path for _, _, path in wanted]
    for i, path in enumerate(paths, 1):
        if not path:
            raise ValueError(f"--resume_path{i} is missing: a test needs trained weights")
    stream_weights(opt.fusion_weights, len(wanted))  # an error now, not after hours of scoring
    states = [checkpoint.load(path) for path in paths]
    opt = adopt(opt, states[0], (*ARCHITECTURE, *CLIP_OPTIONS))
    names = class_names(opt, "test")

    networks = []
    for (_, stream, path), state in zip(wanted, states, strict=True):
        networks.append(load_stream(adopt(opt, state, ARCHITECTURE), stream, state, path, opt.n_classes).to(device))
        check_data(opt, state, path, stream, names)
    num_classes = same_classes(networks, paths, len(names))
    streams = list(dict.fromkeys(stream for _, stream, _ in wanted))
    loader = build_loader(opt, "test", streams)
    assert isinstance(loader.dataset, ClipDataset)
    videos, counts = loader.dataset.videos, loader.dataset.clip_counts
    scored = score_videos(
        [prepared(network, opt, device) for network in networks],
        *(loader, counts),
        num_classes=num_classes,
        device=device,
        amp=opt.amp,
    )
    return opt, Scores(
        video=[video.name for video in videos],
        label=torch.tensor([video.label for video in videos]),
        class_names=[*names, *(f"class {i}" for i in range(len(names), num_classes))],
        streams=[name for name, _, _ in wanted],
        logits=scored.logits,
        clips=scored.clips.expand(len(networks), -1),
        listed=num_listed(opt, "test"),
        clip_top1=scored.clip_top1,
        clip_top5=scored.clip_top5,
    )


def prepared(network: StreamNetwork, opt: Namespace, device: torch.device) -> nn.Module:
    """The network as it is in float32, whose scores are the same everywhere; otherwise in the form that is fastest."""
    dtype = dtype_of(device, opt.amp)
    if dtype == torch.float32 and opt.compile == "off" and opt.group_width == 1:
        return network
    return inference_ready(network, dtype, compile_mode=opt.compile, group_width=opt.group_width)


def same_classes(networks: Sequence[StreamNetwork], paths: Sequence[str], num_labels: int) -> int:
    """Number of classes of all networks.

    Raises:
        ValueError: If they differ, or are fewer than the labels.
    """
    counts = [network.num_classes for network in networks]
    for path, count in zip(paths, counts, strict=True):
        if count != counts[0]:
            raise ValueError(f"{path}: {count} classes, but {paths[0]} has {counts[0]}; they cannot be fused")
        if count < num_labels:
            raise ValueError(f"{path}: {count} classes, but the annotation has {num_labels}")
    return counts[0]


def report(opt: Namespace, scores: Scores, path: Path) -> dict[str, float]:
    """Fuse, print the accuracies, and write the result file and the scores as the options say.

    Args:
        opt: Options.
        scores: Of every stream.
        path: Result file, written if `--log 1`.

    Returns:
        "top1", "top5" and "mean_class" of the fused scores, in [0, 1].
    """
    fused = fuse(scores.logits, opt.fusion, opt.fusion_weights)
    metrics = video_metrics(fused, scores.label)
    if not is_main():  # all processes have the scores, one says so
        return metrics
    lines = result_lines(fused, scores.label)
    if len(scores.video) < scores.listed:  # not a published line: published scripts said nothing
        lines.append(f"Videos = {len(scores.video)} of {scores.listed} listed")
    if opt.log:
        write_result(path, str(opt), lines)
    if opt.scores_path:
        scores.save(Path(opt.scores_path), fused)
    if len(scores.streams) > 1:
        for name, logits in zip(scores.streams, scores.logits, strict=True):
            log.info("%s alone: top-1 %.4f", name, video_metrics(logits, scores.label)["top1"])
    log.info(
        "%s of %s listed videos, %d clips of %d frames at %d px, clip top-1 %s",
        *(f"{len(scores.video):,}", f"{scores.listed:,}"),
        *(int(scores.clips[0].sum()), opt.sample_duration, opt.sample_size),
        ", ".join(
            f"{name} {accuracy:.4f}" for name, accuracy in zip(scores.streams, scores.clip_accuracy, strict=True)
        ),
    )
    log.info("top-1 %.4f  top-5 %.4f  mean class %.4f", *(metrics[k] for k in ("top1", "top5", "mean_class")))
    print(f"Video accuracy =  {metrics['top1']}")  # noqa: T201 - the line that the published scripts print
    return metrics
