"""Clips of a video, cut while its samples come."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import loop

from .video_streams import Item, Sample


class Window(NamedTuple):
    """A clip of a video."""

    start: int  # its first frame, from 0
    clip: dict[str, Tensor]  # uint8 (C, T, S, S) by view


class Windows:
    """Clips of a video in their order, cut while its frames come; only those of one clip are kept.

    They begin every `step` frames; frames after the last of them get a clip that ends with the video, and a video that
    is too short for one is looped. With `step` = `length` * `stride`, the default, it is what `datasets.clip_starts`
    chooses, as for `tail`. Samples are of one frame each, as `crop_samples` gives them; `frames` have come so far.
    """

    def __init__(
        self, samples: Iterable[Sample], length: int, stride: int = 1, step: int | None = None, tail: str = "overlap"
    ) -> None:
        self.samples, self.length, self.stride, self.tail = samples, length, stride, tail
        self.step, self.span, self.frames = step or length * stride, (length - 1) * stride + 1, 0

    def __iter__(self) -> Iterator[Window]:
        recent: deque[Sample] = deque(maxlen=self.span)
        for sample in self.samples:
            recent.append(sample)
            self.frames += 1
            start = self.frames - self.span
            if start >= 0 and start % self.step == 0:
                yield Window(start, self.clip(recent))
        left = self.frames - self.span
        if self.frames and (left < 0 or (left % self.step and self.tail == "overlap")):
            yield Window(max(left, 0), self.clip(recent))

    def clip(self, recent: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the frames of a clip that begins with the first of the recent ones."""
        return join_samples([recent[number - 1] for number in loop(0, len(recent), self.length, self.stride)])


class SpreadClips:
    """Clips spread over a whole video, by their frames from 1; only the frames that some clip shows are kept."""

    def __init__(self, samples: Iterable[Sample], clips: Sequence[Sequence[int]], frames: int) -> None:
        self.samples, self.clips, self.frames, self.span = samples, clips, frames, frames

    def __iter__(self) -> Iterator[Window]:
        numbers = {number for clip in self.clips for number in clip}
        samples = {number: sample for number, sample in enumerate(self.samples, 1) if number in numbers}
        for clip in self.clips:
            yield Window(0, join_samples([samples[number] for number in clip]))


def join_samples(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Join samples along time, (C, T, S, S) by view; by numpy, for torch would start threads in whatever thread."""
    return {name: torch.from_numpy(np.concatenate([sample[name] for sample in samples], 1)) for name in samples[0]}


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the same items, each made by another thread while the one before it is in use."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, "decoder") as pool:
        following: Any = pool.submit(next, iterator, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, iterator, end)
            yield item
