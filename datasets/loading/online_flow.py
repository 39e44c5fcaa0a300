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
from ..clips.views import Geometry, Placement, resample, reverse_x
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
        """Compute the flow images of a clip, uint8 (T, 2, H, W), channels last, by the frames of its pairs."""
        return self.of_clips([(grey, pairs)])[0]

    def of_clips(self, clips: Sequence[tuple[Tensor, Pairs]]) -> list[Tensor]:
        """Compute the flow images of clips of one size by one call of the solver, each as if it were alone.

        A GPU is not waited for.
        """
        previous = join_rows([part for grey, pairs in clips for part in select_rows(grey, pairs.first)])
        following = join_rows([part for grey, pairs in clips for part in select_rows(grey[1:], pairs.first)])
        levels = self.encode(self.solve(previous, following)).split([len(pairs.first) for _, pairs in clips])
        return [
            join_rows(select_rows(part, pairs.order)).permute(0, 3, 1, 2)
            for part, (_, pairs) in zip(levels, clips, strict=True)
        ]


def select_rows(x: Tensor, positions: Sequence[int]) -> list[Tensor]:
    """Return the rows of a tensor at some positions as views, each of a run of rows that follow each other.

    An index would be copied to a GPU, and the host would wait for that.
    """
    begins = [i for i, position in enumerate(positions) if i == 0 or position != positions[i - 1] + 1]
    ends = [*begins[1:], len(positions)]
    return [x[positions[i] : positions[i] + end - i] for i, end in zip(begins, ends, strict=True)]


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Join tensors by rows; a single one is left where it is."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


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
    """Flow of a clip that is still to be computed."""

    pairs: Pairs  # of the clip
    shape: tuple[int, ...]  # (M, H, W) of its grey frames
    draws: np.random.Generator  # generator as it was before the other views were transformed


class PairReader(ClipReader):
    """Reader of "grey", uint8 (M, H, W), and "unfinished" in place of flow, for `OnlineLoader` to compute it from."""

    def __init__(
        self,
        views: Iterable[Stream | ClipView | str],
        store: Store,
        geometry: Geometry,
        augments: Sequence[Augment] = (),
    ) -> None:
        all_views = views_of(views)
        super().__init__([view for view in all_views if view.stream != FLOW], store, geometry, augments)
        self.flow_views = [view for view in all_views if view.stream == FLOW]

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
    """Loader whose flow this process computes on `flow.device`; the dataset reads with a `PairReader`."""

    def __init__(self, dataset: VideoDataset | ClipDataset, *, flow: OnlineFlow, **options: Any) -> None:
        super().__init__(dataset, collate=collate, **options)
        assert isinstance(dataset.reader, PairReader)
        self.flow, self.reader = flow, dataset.reader

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.finish, self.unfinished())

    def unfinished(self) -> Iterator[dict[str, Any]]:
        """Yield batches with "grey" and "unfinished" in place of the flow, see `finish`."""
        return super().__iter__()

    def finish(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Compute the flow of a batch by one call of the solver for all clips of a size; a GPU is not waited for."""
        finished = dict(batch)
        if not len(batch["label"]):  # nothing of it could be read
            return finished
        grey, pending = finished.pop("grey").to(self.flow.device, non_blocking=True), finished.pop("unfinished")
        parts = grey.split([math.prod(clip.shape) for clip in pending])
        clips = [(part.view(clip.shape), clip.pairs) for part, clip in zip(parts, pending, strict=True)]
        sizes: dict[tuple[int, ...], list[int]] = {}
        for i, clip in enumerate(pending):
            sizes.setdefault(clip.shape[1:], []).append(i)
        levels: dict[int, Tensor] = {}
        for positions in sizes.values():
            levels |= zip(positions, self.flow.of_clips([clips[i] for i in positions]), strict=True)
        flows = [self.place_flow(levels[i], clip) for i, clip in enumerate(pending)]
        return finished | {name: torch.stack([flow[name] for flow in flows]) for name in flows[0]}

    def place_flow(self, levels: Tensor, clip: PendingFlow) -> dict[str, Tensor]:
        """Place and augment the flow of a clip as its other views were, uint8 (2, T, S, S) by view."""
        placement = self.reader.geometry(clip.draws)
        levels = levels.float()  # torch resizes bytes on CPUs only
        sample = {}
        for view in self.reader.flow_views:
            seen = (placement.at(view.side) if view.side else placement)(*levels.shape[-2:])
            flow = resample(levels, seen).round().to(torch.uint8).transpose(0, 1).contiguous()
            sample[view.name] = reverse_x(flow) if placement.flip else flow
        for augment in self.reader.augments:
            sample = augment(sample, clip.draws)
        return sample
