"""Subjects of the loading benchmark: training clips and whole videos, of one stream and of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.readers.original import OriginalLoader, levels
from benchmarks.synthetic.videos import FLOW_NAMES, RGB_NAME
from datasets.clips.crops import TestCrops
from datasets.clips.random_crops import MultiScaleCornerCrop
from datasets.clips.views import Geometry
from datasets.stores.store import Store, Video
from datasets.streams import MODALITIES
from datasets.video import ClipReader

LENGTH, SIZE = 16, 112
CLIPS = 8  # in a round of training clips


class Draw(NamedTuple):
    """A sample to load at once."""

    video: Video  # read at the frames that both loaders take
    clips: list[range]  # frame numbers of each clip
    seed: int  # of the geometry


@dataclass(frozen=True)
class Subject:
    """A kind of sample to load."""

    modality: str  # a name of `MODALITIES`
    training: bool  # random clips; or all clips of a video

    @property
    def geometry(self) -> Geometry:
        """Spatial transform of the clips."""
        return MultiScaleCornerCrop(SIZE) if self.training else TestCrops(SIZE)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams."""
        return tuple(stream.name for stream in MODALITIES[self.modality])

    def load(self, store: Store, draw: Draw) -> list[dict[str, Tensor]]:
        """Load clips by our reader."""
        reader = ClipReader(MODALITIES[self.modality], store, self.geometry)
        video = draw.video._replace(folder=store.root / draw.video.name)
        return [reader(video, numbers, np.random.default_rng(draw.seed)) for numbers in draw.clips]

    def levels(self, store: Store, draw: Draw) -> Tensor:
        """Return the pixels of `load`, uint8 (clips, C, T, H, W)."""
        return torch.stack([torch.cat([clip[name] for name in self.streams]) for clip in self.load(store, draw)])

    def original(self, draw: Draw) -> Tensor:
        """Load clips as the published code does, float (clips, C, T, H, W)."""
        loader = OriginalLoader(self.streams, SIZE)
        placement = self.geometry(np.random.default_rng(draw.seed))
        if self.training:
            return loader.clip(draw.video.folder, draw.clips[0], placement)[None]
        return loader.video(draw.video.folder, LENGTH, placement)

    def original_levels(self, draw: Draw) -> Tensor:
        """Return the pixels of `original`, uint8."""
        return torch.stack([levels(clip, self.streams) for clip in self.original(draw)])

    def images(self, draw: Draw) -> list[tuple[list[bytes], int]]:
        """Read the files of a draw into memory, with their channels: colour and grey."""
        names = {"rgb": ([RGB_NAME], 3), "flow": (FLOW_NAMES, 1)}
        numbers = sorted({number for clip in draw.clips for number in clip})
        return [
            ([Path(draw.video.folder, name.format(k)).read_bytes() for name in names[stream][0] for k in numbers],
             names[stream][1])
            for stream in self.streams
        ]  # fmt: skip


def draw_clips(subject: Subject, videos: Sequence[Video], seed: int, number: int) -> list[Draw]:
    """Draw the samples of a round."""
    rng = np.random.default_rng((seed, number))
    if not subject.training:
        video = videos[number % len(videos)]
        frames = video.num_frames + ("flow" not in subject.streams)
        clips = [range(t, t + LENGTH) for t in range(1, frames - LENGTH + 2, LENGTH)]
        return [Draw(video, clips, 0)]
    chosen = [videos[int(rng.integers(len(videos)))] for _ in range(CLIPS)]
    starts = [int(rng.integers(1, video.num_frames - LENGTH + 2)) for video in chosen]
    seeds = rng.integers(2**31, size=CLIPS)
    return [Draw(v, [range(t, t + LENGTH)], int(s)) for v, t, s in zip(chosen, starts, seeds, strict=True)]


SUBJECTS = {
    "RGB clip": Subject("RGB", True),
    "Flow clip": Subject("Flow", True),
    "RGB_Flow clip": Subject("RGB_Flow", True),
    "RGB evaluation": Subject("RGB", False),
    "Flow evaluation": Subject("Flow", False),
    "RGB_Flow evaluation": Subject("RGB_Flow", False),
}
