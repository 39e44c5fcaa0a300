"""Online flow: computed from the frames while training, so that none needs to be stored.

On CPUs the loader processes compute it (`OnlineReader`). They must not touch a GPU: for that they deliver what flow is
computed from (`PairReader`), and the training process computes it and repeats their crops and flips (`OnlineLoader`).
"""

import copy
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from ..clips.augment import Augment
from ..clips.views import Placement, resample, reverse_x
from ..clips.windows import Geometry
from ..decoding.timing import spent
from ..stores.store import Store, Video
from ..streams import FLOW, Stream
from ..video import ClipDataset, ClipReader, Sample, VideoDataset
from .loader import ClipLoader

FLOW_SOURCES = ("files", "online")

Solve = Callable[[Tensor, Tensor], Tensor]
Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Pairs:
    """Frame pairs of a clip's flow. Each frame is read, and each flow computed, once.

    Attributes:
        frames: Numbers of the frames, ascending.
        first: Index in `frames` at which each pair begins; its other frame is the next one.
        order: Which pair each frame of the clip takes; a short video is looped, and takes some again.
    """

    frames: list[int]
    first: list[int]
    order: list[int]

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Pairs":
        """Make the pairs of a clip; flow k leads from frame k to k + 1."""
        begins = sorted(set(numbers))
        frames = sorted({*begins, *(number + 1 for number in begins)})
        return cls(frames, [frames.index(k) for k in begins], [begins.index(k) for k in numbers])

    def read(self, video: Video, store: Store) -> Tensor:
        """Read the frames, uint8 (M, H, W), as the extraction sees them: decoded as grey images."""
        return torch.from_numpy(store.grey(video, self.frames))


class OnlineFlow:
    """Flow images computed from frames; they lack only what JPEG changes in stored ones.

    Args:
        build: Makes the solver, in every process that needs one: grey images uint8 (N, H, W) twice in, flow float32
            (N, H, W, 2) in pixels per frame on the same device out.
        encode: Pixels per frame to grey levels, uint8, on the same device.
        record: How, in plain values, as `flow.json` would state it.
        device: Device of the training process; None leaves it to the loader processes and their CPUs.
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
        self.solvers: dict[tuple[int, int], Solve] = {}

    @property
    def solve(self) -> Solve:
        """The solver of this thread; those of OpenCV can neither be shared nor sent to another process."""
        key = os.getpid(), threading.get_ident()
        if key not in self.solvers:
            self.solvers[key] = self.build()
        return self.solvers[key]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"solvers": {}}

    def __call__(self, grey: Tensor, pairs: Pairs) -> Tensor:
        """Compute the flow images of a clip.

        Args:
            grey: Frames that `pairs` read, on any device.
            pairs: Of the clip.

        Returns:
            uint8 (T, 2, H, W) on the device of `grey`, stored channels last.
        """
        first = torch.tensor(pairs.first)
        flow = self.solve(grey[first], grey[first + 1])
        return self.encode(flow)[pairs.order].permute(0, 3, 1, 2)


class OnlineReader(ClipReader):
    """Reader of clips that computes flow as it reads the frames: `flow` stands for the files of that stream."""

    def __init__(
        self,
        streams: Sequence[Stream],
        store: Store,
        flow: OnlineFlow,
        geometry: Geometry,
        augments: Sequence[Augment] = (),
    ) -> None:
        super().__init__(streams, store, geometry, augments)
        self.flow = flow

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> Tensor:
        if stream != FLOW:
            return super().read(video, stream, numbers, placement)
        pairs = Pairs.of(numbers)
        grey = pairs.read(video, self.store)
        with spent("transform"):
            flow = self.flow(grey, pairs)
            return resample(flow, placement(*flow.shape[-2:])).transpose(0, 1).contiguous()


@dataclass(frozen=True)
class PendingFlow:
    """Flow of a clip that is still to be computed.

    Attributes:
        pairs: Of the clip.
        shape: (M, H, W) of its grey frames.
        draws: Generator as it was before the other streams were transformed.
    """

    pairs: Pairs
    shape: tuple[int, ...]
    draws: np.random.Generator


class PairReader(ClipReader):
    """Reader of "grey", uint8 (M, H, W), and "unfinished" in place of flow, for `OnlineLoader` to compute it from."""

    def __init__(
        self, streams: Sequence[Stream], store: Store, geometry: Geometry, augments: Sequence[Augment] = ()
    ) -> None:
        super().__init__([stream for stream in streams if stream != FLOW], store, geometry, augments)

    def __call__(self, video: Video, numbers: Sequence[int], rng: np.random.Generator) -> Sample:
        draws, pairs = copy.deepcopy(rng), Pairs.of(numbers)
        sample = super().__call__(video, numbers, rng)
        grey = pairs.read(video, self.store)
        return {**sample, "grey": grey, "unfinished": PendingFlow(pairs, tuple(grey.shape), draws)}


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """Collate samples of a `PairReader`: "grey" in one piece, for videos differ in size; "unfinished" as a list."""
    flow_keys = ("grey", "unfinished")
    batch = default_collate([{name: x for name, x in sample.items() if name not in flow_keys} for sample in samples])
    grey = torch.cat([sample["grey"].flatten() for sample in samples])
    return batch | {"grey": grey, "unfinished": [sample["unfinished"] for sample in samples]}


class OnlineLoader(ClipLoader):
    """Loader whose flow this process computes on `flow.device`.

    Args:
        dataset: Reads with a `PairReader`.
        flow: Has a device.
        options: Of `ClipLoader`.
    """

    def __init__(self, dataset: VideoDataset | ClipDataset, *, flow: OnlineFlow, **options: Any) -> None:
        super().__init__(dataset, collate=collate, **options)
        self.flow, self.reader = flow, dataset.reader

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in super().__iter__():
            if not len(batch["label"]):  # nothing of it could be read
                yield batch
                continue
            grey, clips = batch.pop("grey").to(self.flow.device, non_blocking=True), batch.pop("unfinished")
            parts = grey.split([math.prod(clip.shape) for clip in clips])
            flows = [self.finish(part.view(clip.shape), clip) for part, clip in zip(parts, clips, strict=True)]
            yield batch | {FLOW.name: torch.stack(flows)}

    def finish(self, grey: Tensor, clip: PendingFlow) -> Tensor:
        """Compute the flow of a clip, uint8 (2, T, S, S), placed, mirrored and augmented as its other streams were."""
        placement = self.reader.geometry(clip.draws)
        levels = self.flow(grey, clip.pairs).float()  # torch resizes bytes on CPUs only
        flow = resample(levels, placement(*levels.shape[-2:])).round().to(torch.uint8).transpose(0, 1).contiguous()
        sample = {FLOW.name: reverse_x(flow) if placement.flip else flow}
        for augment in self.reader.augments:
            sample = augment(sample, clip.draws)
        return sample[FLOW.name]
