"""Scores of whole videos: every clip through every network, averaged per video and stream."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .cli import EvaluationCountError
from .display import Display
from .distributed import sum_over_ranks
from .files import write_atomically
from .precision import autocast
from .prefetch import Batch, Feed


@dataclass
class Scores:
    """What a test keeps; saved as `scores.npz`.

    Attributes:
        video: N names.
        label: Class indices, (N,) int64.
        class_names: K names.
        streams: S names.
        logits: Mean over clips, (S, N, K) float32.
        clips: Clips averaged, (S, N) int64.
        clip_accuracy: Top-1 accuracy of single clips per stream, S floats in [0, 1].
        listed: Videos of the test list, also those that were left out.
    """

    video: list[str]
    label: Tensor
    class_names: list[str]
    streams: list[str]
    logits: Tensor
    clips: Tensor
    clip_accuracy: list[float]
    listed: int

    def save(self, path: Path, fused: Tensor) -> None:
        """Write the scores and the fused ones (N, K)."""
        arrays = {
            "video": np.array(self.video, str),
            "label": self.label.numpy(),
            "class_names": np.array(self.class_names, str),
            "streams": np.array(self.streams, str),
            "logits": self.logits.numpy(),
            "clips": self.clips.numpy(),
            "listed": np.array(self.listed),
            "fused": fused.numpy(),
        }
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


@torch.inference_mode()
def score_videos(
    networks: Sequence[nn.Module],
    loader: Iterable[Batch],
    clip_counts: Sequence[int],
    *,
    num_classes: int,
    device: torch.device,
    amp: str = "off",
) -> tuple[Tensor, Tensor, list[float]]:
    """Mean logits of every video under every network.

    Each clip is read once for all networks, and memory does not depend on the length of the videos.

    Args:
        networks: S networks on `device`; each takes a batch and picks its stream.
        loader: Batches of clips with "label" and the "index" of their video, (N,).
        clip_counts: Clips that each video has.
        num_classes: Outputs of the networks.
        device: Where they are.
        amp: See `precision.autocast`.

    Returns:
        Logits (S, N, K) float32, clips seen (N,) int64, and clip accuracy per network in [0, 1].

    Raises:
        EvaluationCountError: If a video was not seen clip by clip exactly once.
    """
    for network in networks:
        network.eval()
    videos = len(clip_counts)
    total = torch.zeros(len(networks), videos, num_classes, dtype=torch.float64, device=device)
    seen = torch.zeros(videos, dtype=torch.int64, device=device)
    hits = torch.zeros(len(networks), dtype=torch.int64, device=device)
    with Display(Feed(loader, device), "test") as display:
        for batch in display:
            seen.index_add_(0, batch["index"], torch.ones_like(batch["index"]))
            for row, network in enumerate(networks):
                with autocast(device, amp):
                    logits = network(batch).logits
                total[row].index_add_(0, batch["index"], logits.double())
                hits[row] += (logits.argmax(1) == batch["label"]).sum()
    for part in (total, seen, hits):
        sum_over_ranks(part)
    seen = seen.cpu()
    if seen.tolist() != list(clip_counts):
        wrong = sum(a != b for a, b in zip(seen.tolist(), clip_counts, strict=True))
        raise EvaluationCountError(f"{wrong} of {videos} videos were not scored clip by clip exactly once")
    logits = total.cpu() / seen[None, :, None]
    return logits.float(), seen, (hits.cpu() / seen.sum()).tolist()
