"""Clips of real videos by which a network is quantised, and by which its accuracy is known before and after."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import VideoDataset
from models.inference.runtimes import Clips

AT_A_TIME = 8  # clips that are scored at a time


class CentreClips:
    """One clip, in some views, of each of the videos of these numbers, cut as in validation and read when asked for."""

    def __init__(self, dataset: VideoDataset, numbers: Sequence[int], views: Sequence[str]) -> None:
        self.dataset, self.numbers, self.views = dataset, numbers, views
        self.labels = [dataset.videos[number].label for number in numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Clips:
        """Return a clip as a batch of one, uint8 (1, C, T, H, W) by view."""
        sample = self.dataset[self.numbers[index]]
        return {name: torch.as_tensor(sample[name])[None] for name in self.views}

    def batch(self, start: int, count: int) -> Clips:
        """Return so many clips as one batch, beginning anew after the last."""
        clips = [self[(start + i) % len(self)] for i in range(count)]
        return {name: torch.cat([clip[name] for clip in clips]) for name in self.views}

    def batches(self) -> Iterator[Clips]:
        """Yield all clips once, in batches."""
        for start in range(0, len(self), AT_A_TIME):
            yield self.batch(start, min(AT_A_TIME, len(self) - start))


@dataclass(frozen=True)
class Calibration:
    """Clips of a quantisation."""

    train: CentreClips  # for the ranges of the activations
    held_out: CentreClips  # of held-out training videos, for the accuracy
    max_drop: float  # percentage points that the accuracy may fall by
    about: Mapping[str, Any]  # the data set and settings, as plain values


class Accuracies(NamedTuple):
    """Top-1 accuracy, in percent, on the same held-out videos, of which one clip each is scored."""

    checkpoints: float
    file: float
    agreeing: int  # videos whose first class is the same
    videos: int  # all of them


def as_arrays(clips: Clips) -> dict[str, NDArray[Any]]:
    """Return the arrays of clips, as runtimes take them."""
    return {name: x.numpy() for name, x in clips.items()}


def compare_accuracy(
    calibration: Calibration, reference: Callable[[Clips], Tensor], scores: Callable[[Clips], Tensor]
) -> Accuracies:
    """Measure the accuracies of the checkpoints, `reference`, and of the file on the held-out clips.

    Both compute scores (N, K) of clips. Raises ValueError if some are not finite.
    """
    pairs = []
    for clips in calibration.held_out.batches():
        pair = reference(clips), scores(clips)
        for rows, name in zip(pair, ("the checkpoints: a held-out clip", "the file: a held-out clip"), strict=True):
            if not rows.isfinite().all():
                raise ValueError(
                    f"{name} has scores that are NaN or infinite: try another checkpoint, or --dtype float32"
                )
        pairs.append(torch.stack([rows.argmax(1) for rows in pair]))
    first, second = torch.cat(pairs, 1)
    labels = torch.tensor(calibration.held_out.labels)
    before, after = (100 * (classes == labels).double().mean().item() for classes in (first, second))
    return Accuracies(before, after, int((first == second).sum()), len(labels))
