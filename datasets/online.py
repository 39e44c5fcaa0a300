"""Flow that is computed from the frames while training, so that none needs to be stored.

On CPUs the loader processes compute it (`OnlineReader`). They must not touch a GPU: for that they deliver what flow is
computed from (`PairReader`), and the training process computes it and repeats their crops and flips (`OnlineLoader`).
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from .frames import read_images
from .layouts import Layout
from .loader import ClipLoader
from .streams import FLOW, Stream
from .transforms import Transform
from .video import ClipDataset, ClipReader, Sample, Video, VideoDataset

FLOW_SOURCES = ("files", "online")

Solve = Callable[[Tensor, Tensor], Tensor]
Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Pairs:
    """Which frames the flow of a clip leads from and to. Each is read, and each flow computed, once.

    Attributes:
        frames: Numbers of the frames, ascending.
        first: Where in `frames` each pair begins; its other frame is the next one.
        order: Which pair each frame of the clip takes; a short video is looped, and takes some again.
    """

    frames: list[int]
    first: list[int]
    order: list[int]

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Pairs":
        """The pairs of a clip; flow k leads from frame k to k + 1."""
        begins = sorted(set(numbers))
        frames = sorted({*begins, *(number + 1 for number in begins)})
        return cls(frames, [frames.index(k) for k in begins], [begins.index(k) for k in numbers])

    def read(self, video: Video, layout: Layout) -> Tensor:
        """The frames, uint8 (M, H, W), as the extraction sees them: decoded as grey images."""
        (pattern,) = layout["rgb"]
        return torch.from_numpy(read_images(video.folder, pattern, cv2.IMREAD_GRAYSCALE, self.frames))


class OnlineFlow:
    """Computes what flow images would hold, except for what JPEG changes in them.

    Args:
        build: Makes the solver, in every process that needs one: grey images uint8 (N, H, W) twice in, flow float32
            (N, H, W, 2) in pixels per frame on the same device out.
        encode: Pixels per frame to grey levels, uint8, on the same device.
        record: How, in plain values, as `flow.json` would state it.
        device: Where the training process computes; None leaves it to the loader processes and their CPUs.
    """

    def __init__(
        self,
        build: Callable[[], Solve],
        encode: Encode,
        *,
        record: Mapping[str, Any],
        device: torch.device | None = None,
    ) -> None:
        self.build, self.encode, self.record, self.device = build, encode, record, device

    @cached_property
    def solve(self) -> Solve:
        """The solver of this process; those of OpenCV cannot be sent from one to another."""
        return self.build()

    def __call__(self, grey: Tensor, pairs: Pairs) -> Tensor:
        """Flow images of a clip.

        Args:
            grey: What `pairs` read, on any device.
            pairs: Of the clip.

        Returns:
            uint8 (T, 2, H, W) on the device of `grey`, stored channels last.
        """
        first = torch.tensor(pairs.first)
        flow = self.solve(grey[first], grey[first + 1])
        return self.encode(flow)[pairs.order].permute(0, 3, 1, 2)


class OnlineReader(ClipReader):
    """Computes flow as it reads the frames.

    Args:
        streams: Streams to read.
        layout: Their file names.
        transform: Applied to all streams of a clip at once.
        flow: Stands for the files of the flow stream.
    """

    def __init__(self, streams: Sequence[Stream], layout: Layout, transform: Transform, flow: OnlineFlow) -> None:
        super().__init__(streams, layout, transform)
        self.flow = flow

    def read(self, video: Video, stream: Stream, numbers: Sequence[int]) -> Tensor:
        if stream != FLOW:
            return super().read(video, stream, numbers)
        pairs = Pairs.of(numbers)
        return self.flow(pairs.read(video, self.layout), pairs)


@dataclass(frozen=True)
class Unfinished:
    """The flow of a clip that is still to be computed.

    Attributes:
        pairs: Of the clip.
        shape: (M, H, W) of its grey frames.
        draws: Generator as it was before the other streams were transformed.
    """

    pairs: Pairs
    shape: tuple[int, ...]
    draws: np.random.Generator


class PairReader(ClipReader):
    """Reads, in place of flow, what `OnlineLoader` computes it from: "grey", uint8 (M, H, W), and "unfinished"."""

    def __init__(self, streams: Sequence[Stream], layout: Layout, transform: Transform) -> None:
        super().__init__([stream for stream in streams if stream != FLOW], layout, transform)

    def __call__(self, video: Video, numbers: Sequence[int], rng: np.random.Generator) -> Sample:
        draws, pairs = copy.deepcopy(rng), Pairs.of(numbers)
        grey = pairs.read(video, self.layout)
        unfinished = Unfinished(pairs, tuple(grey.shape), draws)
        return {**super().__call__(video, numbers, rng), "grey": grey, "unfinished": unfinished}


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """A batch of what `PairReader` reads: "grey" in one piece, for videos differ in size; "unfinished" as a list."""
    own = ("grey", "unfinished")
    batch = default_collate([{name: x for name, x in sample.items() if name not in own} for sample in samples])
    grey = torch.cat([sample["grey"].flatten() for sample in samples])
    return batch | {"grey": grey, "unfinished": [sample["unfinished"] for sample in samples]}


class OnlineLoader(ClipLoader):
    """Batches whose flow this process computes on `flow.device`.

    Args:
        dataset: Reads with a `PairReader`.
        flow: Has a device.
        options: Of `ClipLoader`.
    """

    def __init__(self, dataset: VideoDataset | ClipDataset, *, flow: OnlineFlow, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.flow, self.transform, self.collate_fn = flow, dataset.reader.transform, collate

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        for batch in super().__iter__():
            grey, clips = batch.pop("grey").to(self.flow.device, non_blocking=True), batch.pop("unfinished")
            parts = grey.split([math.prod(clip.shape) for clip in clips])
            flows = [self.finish(part.view(clip.shape), clip) for part, clip in zip(parts, clips, strict=True)]
            yield batch | {FLOW.name: torch.stack(flows)}

    def finish(self, grey: Tensor, clip: Unfinished) -> Tensor:
        """Flow of a clip, uint8 (2, T, S, S), cropped and flipped as its other streams were."""
        levels = self.flow(grey, clip.pairs).float()  # torch resizes bytes on CPUs only
        return self.transform({FLOW.name: levels}, clip.draws)[FLOW.name].round().to(torch.uint8)
