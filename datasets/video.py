"""Clips cut from videos, the same for every corpus."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .clips.augment import Augment
from .clips.crops import TestCrops
from .clips.pairs import Pairs
from .clips.sampling import Sampler, TestSampler
from .clips.views import Geometry, Placement, reverse_x
from .decoding.timing import spent, take
from .stores.store import Store, Video
from .stores.video_table import frames_of
from .streams import STREAMS, ClipView, Stream, views_of

__all__ = ["ClipDataset", "ClipReader", "Sample", "Video", "VideoDataset"]

Sample = dict[str, Any]


class ClipReader:
    """Reader of clips of a video.

    Args:
        views: Views to read, as in `views_of`.
        store: Source of the frames.
        geometry: Draws what is seen of all views of a clip.
        augments: Applied in order to the clip that is seen.

    Returns:
        {view name: uint8 (C, T, H, W), ..., "label": int, "video": str, "seconds": float32 (3,)}, the last being
        the time spent on each of `timing.STEPS`. What a view holds does not depend on the others.
    """

    def __init__(
        self,
        views: Iterable[Stream | ClipView | str],
        store: Store,
        geometry: Geometry,
        augments: Sequence[Augment] = (),
    ) -> None:
        self.views, self.store, self.geometry = views_of(views), store, geometry
        self.augments = tuple(augments)

    def __call__(self, video: Video, numbers: Sequence[int], rng: np.random.Generator) -> Sample:
        take()
        placement = self.geometry(rng)
        clip = self.read(video, numbers, placement)
        for view in self.views:
            if placement.flip and view.stream.vectors:
                reverse_x(clip[view.name])
        with spent("transform"):
            for augment in self.augments:
                clip = augment(clip, rng)
            clip = {view.name: complete(clip[view.name], view.stream, numbers) for view in self.views}
        return {**clip, "label": video.label, "video": video.name, "seconds": torch.tensor(take())}

    def read(self, video: Video, numbers: Sequence[int], placement: Placement) -> dict[str, Tensor]:
        """Read the frames that each view is made of, as they are seen, uint8 (C, T, H, W).

        Those that are made of pairs have the frames of `Pairs`, which the other views of their source and size share.
        """
        clip: dict[str, Tensor] = {}
        groups: dict[tuple[str, int | None], list[ClipView]] = {}
        for view in self.views:
            groups.setdefault((view.stream.source, view.side), []).append(view)
        for (source, side), views in groups.items():
            pairs = Pairs.of(numbers) if any(view.stream.of_pair for view in views) else None
            seen = placement.at(side) if side else placement
            frames = self.frames(video, STREAMS[source], pairs.frames if pairs else numbers, seen)
            for view in views:
                clip[view.name] = frames[:, pairs.clip] if pairs and not view.stream.of_pair else frames
        return clip

    def frames(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> Tensor:
        """Read frames of a stored stream as they are seen, uint8 (C, T, H, W)."""
        return torch.from_numpy(self.store.read(video, stream, numbers, placement))


def complete(frames: Tensor, stream: Stream, numbers: Sequence[int]) -> Tensor:
    """Return the clip of a stream, uint8 (C, T, H, W), of its `numbers`; each pair is made once.

    `frames`, uint8 (C, M, H, W), are those that `ClipReader.read` gives.
    """
    if stream.of_pair is None:
        return frames
    pairs, levels = Pairs.of(numbers), frames.numpy()
    clip = stream.of_pair(levels[:, pairs.first], levels[:, [first + 1 for first in pairs.first]])
    return torch.from_numpy(clip[:, pairs.order])


class VideoDataset(Dataset[Sample]):
    """One clip of each video, for training and validation.

    Items are addressed by `(epoch, index)`, or by an index alone, which means epoch 0. The random draws depend
    on the seed and the address only: not on workers, order or what was read before.

    Args:
        videos: Videos to read.
        reader: Reads a clip.
        sample: Chooses the frames.
        length: Frames per clip.
        seed: Seed of the draws, >= 0.
    """

    def __init__(self, videos: Sequence[Video], reader: ClipReader, *, sample: Sampler, length: int, seed: int) -> None:
        self.videos, self.reader, self.sample, self.length, self.seed = videos, reader, sample, length, seed

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, address: int | tuple[int, int]) -> Sample:
        epoch, index = address if isinstance(address, tuple) else (0, address)
        rng = np.random.default_rng((self.seed, epoch, index))
        video = self.videos[index]
        return self.reader(video, self.sample(video.num_frames, self.length, rng), rng)


class ClipDataset(Dataset[list[Sample]]):
    """Every clip that a test looks at. Samples carry the position of their video as "index".

    Args:
        videos: Videos to read.
        reader: Reads a clip; its geometry is `crops`.
        crops: Cuts what was read into the crops that are scored.
        sample: Frames of each clip of a video.
        length: Frames per clip.

    Returns:
        An item is one clip: a list of its crops.
    """

    def __init__(
        self, videos: Sequence[Video], reader: ClipReader, crops: TestCrops, *, sample: TestSampler, length: int
    ) -> None:
        self.videos, self.reader, self.crops, self.sample, self.length = videos, reader, crops, sample, length
        frames, inverse = np.unique(frames_of(videos), return_inverse=True)
        counts = np.array([len(sample(count, length)) for count in frames.tolist()], np.int64)
        self.ends = np.cumsum(counts[inverse])  # clip -> video by bisection: no list of every frame of a large corpus

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, address: int | tuple[int, int]) -> list[Sample]:
        clip = address[1] if isinstance(address, tuple) else address  # nothing is drawn, so the epoch is irrelevant
        index = int(np.searchsorted(self.ends, clip, side="right"))
        video = self.videos[index]
        numbers = self.sample(video.num_frames, self.length)[clip - int(self.ends[index])]  # counted from the back
        sample = self.reader(video, numbers, np.random.default_rng(0))
        return [{**crop, "index": index} for crop in self.crops.split(sample)]

    @property
    def clip_counts(self) -> list[int]:
        """Return the number of clips of each video, every crop counted."""
        return (np.diff(self.ends, prepend=0) * self.crops.crops).tolist()
