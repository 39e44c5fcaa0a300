"""Scores of networks on the clips of a test, by keyword arguments."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from datasets import ClipDataset, ClipLoader, Video
from engine import ScoreAccumulator, Scores, dtype_of, score_videos, setup
from engine.evaluation.metrics import check_scores
from models import FUSIONS, StreamNetwork, fuse, inference_ready, stream_weights
from sts_common import check_choice, counted


def score(  # noqa: PLR0913 - an interface of keywords
    networks: Mapping[str, StreamNetwork],
    loader: ClipLoader,
    *,
    class_names: Sequence[str] = (),
    listed: int | None = None,
    fusion: str = "activno",
    fusion_weights: Sequence[float] | None = None,
    clip_mean: str = "before",
    device: str | torch.device = "auto",
    amp: str = "auto",
    compile_mode: str = "off",
    group_width: int = 1,
    about: Mapping[str, Any] | None = None,
) -> Scores:
    """Score every video of a test with some networks; each clip is read once for all of them.

    These are the scores of test_single_stream.py and test_two_stream.py to the last bit. Those of a network do not
    depend on the others.

    Args:
        networks: By name, as they are called in results; brought to the device and into eval mode.
        loader: Batches of every clip of the videos, with the streams that the networks read: of the subset "test".
        class_names: By label; without them those of the first network, and numbers for the rest of its outputs.
        listed: Videos that the list of the test has; None if all of them could be used.
        fusion: A key of `FUSIONS`: activation of the networks' logits before they are averaged.
        fusion_weights: One per network; None for equal ones.
        clip_mean: "before" the activation, or "after" it, which keeps `Scores.activated` as well.
        device: "auto", "cpu", "cuda", "cuda:N" or a device.
        amp: One of `AMP`, number format.
        compile_mode: A key of `COMPILE`.
        group_width: Channels to which groups of convolutions are joined, >= 1.
        about: `Scores.about`; by default the networks' files, what they read and their recipes.

    Returns:
        The scores; `fused_scores(scores, fusion, fusion_weights, clip_mean)` fuses them.

    Raises:
        ValueError: If the networks do not fit each other, the labels or the clips, or a score is not finite.
        EvaluationCountError: If a clip was not scored exactly once.
    """
    if not networks:
        raise ValueError("no networks: give at least one, by name")
    check_choice("--fusion", fusion, FUSIONS)
    check_choice("--clip_mean", clip_mean, ("before", "after"))
    stream_weights(fusion_weights, len(networks))
    names = list(class_names) or next(iter(networks.values())).class_names
    videos, counts = scored_videos(loader)
    same_classes(list(networks.values()), sources_of(networks), max(len(names), *(video.label + 1 for video in videos)))
    device = device if isinstance(device, torch.device) else setup(None, device)
    num_classes, many = next(iter(networks.values())).num_classes, len(networks) > 1
    accumulator = ScoreAccumulator(
        *(counts, len(networks), num_classes, device),
        activation=FUSIONS[fusion] if clip_mean == "after" else None,
        fuse=partial(fuse, method=fusion, weights=fusion_weights) if many else None,
    )
    ready = [
        prepared(network.to(device).eval(), device, amp=amp, compile_mode=compile_mode, group_width=group_width)
        for network in networks.values()
    ]
    scored = score_videos(ready, loader, accumulator, device=device, amp=amp)
    for source, logits in zip(sources_of(networks), scored.logits, strict=True):
        for video, row in zip(videos, logits, strict=True):
            check_scores(row, f"{source}: {video.name}")
    return Scores(
        video=[video.name for video in videos],
        label=torch.tensor([video.label for video in videos]),
        class_names=all_class_names(names, num_classes),
        streams=list(networks),
        logits=scored.logits,
        clips=scored.clips.expand(len(networks), -1),
        listed=len(videos) if listed is None else listed,
        clip_top1=scored.clip_top1,
        clip_top5=scored.clip_top5,
        activated=scored.activated,
        fused_hits=scored.fused_hits,
        about=describe_networks(networks, fusion if clip_mean == "after" else "") if about is None else dict(about),
    )


def all_class_names(names: Sequence[str], num_classes: int) -> list[str]:
    """Return names of all outputs of a network, also of those that no label has."""
    return [*names, *(f"class {i}" for i in range(len(names), num_classes))]


def scored_videos(loader: ClipLoader) -> tuple[Sequence[Video], list[int]]:
    """Return the videos of a test, and the number of clips of each.

    Raises ValueError if the loader does not read every clip.
    """
    dataset = loader.dataset
    if not isinstance(dataset, ClipDataset):
        raise ValueError("the loader reads a clip of each video, as training does: make one of the subset test")
    return dataset.videos, dataset.clip_counts


def sources_of(networks: Mapping[str, StreamNetwork]) -> list[str]:
    """Return what networks are called in messages: their files, or else their names."""
    return [network.source or name for name, network in networks.items()]


def describe_networks(networks: Mapping[str, StreamNetwork], activation: str) -> dict[str, Any]:
    """Return `Scores.about` of what the networks themselves know."""
    checkpoints = {
        name: {"file": network.source, "reads": network.view, "arch": network.network.arch, "recipe": network.recipe}
        for name, network in networks.items()
    }
    return {"activation": activation, "checkpoints": checkpoints}


def prepared(
    network: StreamNetwork, device: torch.device, *, amp: str = "off", compile_mode: str = "off", group_width: int = 1
) -> nn.Module:
    """Return the network, in eval mode, in float32, with the same scores everywhere, or otherwise in its fastest form.

    Number format, compilation and width of groups are as `--amp`, `--compile` and `--group_width`.
    """
    dtype = dtype_of(device, amp)
    if dtype == torch.float32 and compile_mode == "off" and group_width == 1:
        return network
    return inference_ready(network, dtype, compile_mode=compile_mode, group_width=group_width)


def same_classes(networks: Sequence[StreamNetwork], paths: Sequence[str], num_labels: int) -> None:
    """Refuse networks that cannot be fused, or cannot name all labels.

    Raises ValueError if their numbers of classes differ, or are fewer than the labels.
    """
    counts = [network.num_classes for network in networks]
    for path, count in zip(paths, counts, strict=True):
        if count != counts[0]:
            raise ValueError(f"{path}: {counted(count, 'class')}, but {paths[0]} has {counts[0]}; they cannot be fused")
        if count < num_labels:
            raise ValueError(f"{path}: {counted(count, 'class')}, but the annotation has {num_labels}")
