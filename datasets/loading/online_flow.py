"""Online flow: computed from the frames while training, so that none needs to be stored.

On CPUs the loader processes compute it (`OnlineReader`). They must not touch a GPU: for that they deliver what flow is
computed from (`PairReader`), and the training process computes it and repeats their crops and flips (`OnlineLoader`).
"""

import copy
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from ..clips.augment import Augment
from ..clips.pairs import Pairs
from ..clips.views import Placement, resample, reverse_x
from ..clips.windows import Geometry
from ..decoding.timing import spent
from ..stores.store import Store, Video
from ..streams import FLOW, ClipView, Stream, views_of
from ..video import ClipDataset, ClipReader, Sample, VideoDataset
from .loader import ClipLoader

FLOW_SOURCES = ("files", "online")

Solve = Callable[[Tensor, Tensor], Tensor]
Encode = Callable[[Tensor], Tensor]


def read_grey(video: Video, store: Store, pairs: Pairs) -> Tensor:
    """Read the frames of pairs, uint8 (M, H, W), as the extraction sees them: decoded as grey images."""
    return torch.from_numpy(store.grey(video, pairs.frames))


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
            grey: Frames of `pairs`, on any device.
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
        views: Iterable[Stream | ClipView | str],
        store: Store,
        flow: OnlineFlow,
        geometry: Geometry,
        augments: Sequence[Augment] = (),
    ) -> None:
        super().__init__(views, store, geometry, augments)
        self.flow = flow

    def frames(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> Tensor:
        if stream != FLOW:
            return super().frames(video, stream, numbers, placement)
        pairs = Pairs.of(numbers)
        grey = read_grey(video, self.store, pairs)
        with spent("transform"):
            flow = self.flow(grey, pairs)
            return resample(flow, placement(*flow.shape[-2:])).transpose(0, 1).contiguous()


@dataclass(frozen=True)
class PendingFlow:
    """Flow of a clip that is still to be computed.

    Attributes:
        pairs: Of the clip.
        shape: (M, H, W) of its grey frames.
        draws: Generator as it was before the other views were transformed.
    """

    pairs: Pairs
    shape: tuple[int, ...]
    draws: np.random.Generator


class PairReader(ClipReader):
    """Reader of "grey", uint8 (M, H, W), and "unfinished" in place of flow, for `OnlineLoader` to compute it from.

    Attributes:
        flow_views: Views that are left to the loader.
    """

    def __init__(
        self,
        views: Iterable[Stream | ClipView | str],
        store: Store,
        geometry: Geometry,
        augments: Sequence[Augment] = (),
    ) -> None:
        every = views_of(views)
        super().__init__([view for view in every if view.stream != FLOW], store, geometry, augments)
        self.flow_views = [view for view in every if view.stream == FLOW]

    def __call__(self, video: Video, numbers: Sequence[int], rng: np.random.Generator) -> Sample:
        draws, pairs = copy.deepcopy(rng), Pairs.of(numbers)
        sample = super().__call__(video, numbers, rng)
        grey = read_grey(video, self.store, pairs)
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
        assert isinstance(dataset.reader, PairReader)
        self.flow, self.reader = flow, dataset.reader

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in super().__iter__():
            if not len(batch["label"]):  # nothing of it could be read
                yield batch
                continue
            grey, clips = batch.pop("grey").to(self.flow.device, non_blocking=True), batch.pop("unfinished")
            parts = grey.split([math.prod(clip.shape) for clip in clips])
            flows = [self.finish(part.view(clip.shape), clip) for part, clip in zip(parts, clips, strict=True)]
            yield batch | {name: torch.stack([flow[name] for flow in flows]) for name in flows[0]}

    def finish(self, grey: Tensor, clip: PendingFlow) -> dict[str, Tensor]:
        """Compute the flow of a clip, uint8 (2, T, S, S) by view, as its other views were placed and augmented."""
        placement = self.reader.geometry(clip.draws)
        levels = self.flow(grey, clip.pairs).float()  # torch resizes bytes on CPUs only
        sample = {}
        for view in self.reader.flow_views:
            seen = (placement.at(view.side) if view.side else placement)(*levels.shape[-2:])
            flow = resample(levels, seen).round().to(torch.uint8).transpose(0, 1).contiguous()
            sample[view.name] = reverse_x(flow) if placement.flip else flow
        for augment in self.reader.augments:
            sample = augment(sample, clip.draws)
        return sample
