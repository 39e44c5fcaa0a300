"""Scores of whole videos: every clip through every network, averaged per video and stream."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .cli import EvaluationCountError
from .display import Display
from .distributed import sum_over_ranks
from .precision import autocast
from .prefetch import Batch, Feed


class VideoScores(NamedTuple):
    """What S networks say of N videos of K classes.

    Attributes:
        logits: Mean over clips, (S, N, K) float32.
        clips: Clips averaged, (N,) int64.
        clip_top1: Clips whose highest logit is the label's, (S, N) int64.
        clip_top5: Clips that have the label among their five highest, (S, N) int64.
        activated: Mean over clips of the activated logits, (S, N, K) float32, if there is an activation.
    """

    logits: Tensor
    clips: Tensor
    clip_top1: Tensor
    clip_top5: Tensor
    activated: Tensor | None


@torch.inference_mode()
def score_videos(
    networks: Sequence[nn.Module],
    loader: Iterable[Batch],
    clip_counts: Sequence[int],
    *,
    num_classes: int,
    device: torch.device,
    amp: str = "off",
    activation: Callable[[Tensor], Tensor] | None = None,
) -> VideoScores:
    """Mean scores of every video under every network.

    Each clip is read once for all networks, and memory does not depend on the length of the videos.

    Args:
        networks: S networks on `device`; each takes a batch and picks its stream.
        loader: Batches of clips with "label" and the "index" of their video, (N,).
        clip_counts: Clips that each video has.
        num_classes: Outputs of the networks.
        device: Where they are.
        amp: See `precision.autocast`.
        activation: Takes the logits (B, K) of clips, where scores are wanted that are activated before the mean.

    Raises:
        EvaluationCountError: If a video was not seen clip by clip exactly once.
    """
    for network in networks:
        network.eval()
    videos, streams = len(clip_counts), len(networks)
    total = torch.zeros(streams, videos, num_classes, dtype=torch.float64, device=device)
    activated = torch.zeros_like(total) if activation else None
    seen = torch.zeros(videos, dtype=torch.int64, device=device)
    hits = torch.zeros(2, streams, videos, dtype=torch.int64, device=device)
    with Display(Feed(loader, device), "test") as display:
        for batch in display:
            index = batch["index"]
            seen.index_add_(0, index, torch.ones_like(index))
            for row, network in enumerate(networks):
                with autocast(device, amp):
                    logits = network(batch).logits.double()
                total[row].index_add_(0, index, logits)
                if activation and activated is not None:
                    activated[row].index_add_(0, index, activation(logits))
                right = logits.topk(min(5, num_classes), dim=1).indices == batch["label"][:, None]
                hits[0, row].index_add_(0, index, right[:, 0].long())
                hits[1, row].index_add_(0, index, right.any(1).long())
    for part in (total, seen, hits, activated):
        if part is not None:
            sum_over_ranks(part)
    seen, hits = seen.cpu(), hits.cpu()
    if seen.tolist() != list(clip_counts):
        wrong = sum(a != b for a, b in zip(seen.tolist(), clip_counts, strict=True))
        raise EvaluationCountError(f"{wrong} of {videos} videos were not scored clip by clip exactly once")
    means = [None if part is None else (part.cpu() / seen[None, :, None]).float() for part in (total, activated)]
    assert means[0] is not None
    return VideoScores(means[0], seen, hits[0], hits[1], means[1])
