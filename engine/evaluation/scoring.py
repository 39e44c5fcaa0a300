"""Scores of whole videos: every clip through every network, averaged per video and stream."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sts_common import counted

from ..command.cli import EvaluationCountError
from ..device.distributed import sum_over_ranks
from ..device.precision import autocast
from ..device.prefetch import Batch, Feed
from ..monitor.display import Display


class VideoScores(NamedTuple):
    """Scores of N videos of K classes under S networks."""

    logits: Tensor  # mean over clips, (S, N, K) float32
    clips: Tensor  # clips averaged, (N,) int64
    clip_top1: Tensor  # clips whose highest logit is the label's, (S, N) int64
    clip_top5: Tensor  # clips that have the label among their five highest, (S, N) int64
    activated: Tensor | None  # mean over clips of the activated logits, (S, N, K) float32, if there is an activation
    fused_hits: Tensor | None  # the same two counts of the networks fused clip by clip, (2, N) int64, if they are fused


class ScoreAccumulator:
    """Sums over the clips of every video.

    `activation` takes the logits (B, K) of clips, where scores are wanted that are activated before the mean; `fuse`
    makes scores (B, K) of the logits (S, B, K) of clips, where it is counted how often these are right.
    """

    def __init__(
        self,
        clip_counts: Sequence[int],
        networks: int,
        num_classes: int,
        device: torch.device,
        *,
        activation: Callable[[Tensor], Tensor] | None = None,
        fuse: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.clip_counts, self.activation, self.fuse = list(clip_counts), activation, fuse
        videos = len(self.clip_counts)
        self.logits = torch.zeros(networks, videos, num_classes, dtype=torch.float64, device=device)
        self.activated = torch.zeros_like(self.logits) if activation else None
        self.seen = torch.zeros(videos, dtype=torch.int64, device=device)
        rows = networks + (fuse is not None)  # the fusion's is the last
        self.hits = torch.zeros(2, rows, videos, dtype=torch.int64, device=device)

    def add(self, index: Tensor, label: Tensor, logits: Tensor) -> None:
        """Count clips: the position of their video (B,), their label (B,) and logits (S, B, K) float64."""
        self.seen.index_add_(0, index, torch.ones_like(index))
        self.logits.index_add_(1, index, logits)
        if self.activation and self.activated is not None:
            for row, clip_logits in zip(self.activated, logits, strict=True):
                row.index_add_(0, index, self.activation(clip_logits))
        if self.fuse:
            logits = torch.cat([logits, self.fuse(logits)[None]])
        right = logits.topk(min(5, logits.shape[2]), dim=2).indices == label[:, None]
        self.hits.index_add_(2, index, torch.stack([right[..., 0], right.any(2)]).long())

    def result(self) -> VideoScores:
        """Return the means, over all processes, which must all ask; raises as `score_videos`."""
        for part in (self.logits, self.seen, self.hits, self.activated):
            if part is not None:
                sum_over_ranks(part)
        counts, hits = self.seen.cpu(), self.hits.cpu()
        if counts.tolist() != self.clip_counts:
            wrong = sum(a != b for a, b in zip(counts.tolist(), self.clip_counts, strict=True))
            videos = counted(len(counts), "video")
            raise EvaluationCountError(f"{wrong} of {videos} were not scored clip by clip exactly once")

        def mean(total: Tensor) -> Tensor:
            return (total.cpu() / counts[None, :, None]).float()

        networks = len(self.logits)
        return VideoScores(
            logits=mean(self.logits),
            clips=counts,
            clip_top1=hits[0, :networks],
            clip_top5=hits[1, :networks],
            activated=None if self.activated is None else mean(self.activated),
            fused_hits=hits[:, networks] if self.fuse else None,
        )


@torch.inference_mode()
def score_videos(
    networks: Sequence[nn.Module],
    loader: Iterable[Batch],
    accumulator: ScoreAccumulator,
    *,
    device: torch.device,
    amp: str = "off",
) -> VideoScores:
    """Compute mean scores of every video under every network.

    Each clip is read once for all networks, and memory does not depend on the length of the videos. The networks take a
    batch of clips with "label" and the "index" of their video, (N,), and pick their stream. Raises EvaluationCountError
    if a video was not seen clip by clip exactly once.
    """
    for network in networks:
        network.eval()
    with Display(Feed(loader, device), "test") as display:
        for batch in display:
            with autocast(device, amp):
                logits = [network(batch).logits for network in networks]
            accumulator.add(batch["index"], batch["label"], torch.stack([output.double() for output in logits]))
    return accumulator.result()
