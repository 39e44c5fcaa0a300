"""CONSENSUS: how the segments of a clip become one answer, before the softmax (Wang et al., TSN, ECCV 2016)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .encoding import Bilinear, Encoder, FullyConnected, TensorSketch, without_autocast
from .output import POOLED, Output

Classify = Callable[[Tensor], Tensor]
ENCODERS: dict[str, Callable[[int, int], Encoder]] = {
    "tle_bilinear": lambda channels, size: Bilinear(channels),
    "tle_sketch": TensorSketch,
    "tle_fc": FullyConnected,
}


class Segments(NamedTuple):
    """Parts of a clip that a network sees one by one, and how they are joined.

    Attributes:
        segments: Their number K; (N, C, K L, H, W) is seen as (N K, C, L, H, W).
        consensus: A name in `CONSENSUS`.
        encoding_size: Values of an encoding where it can be chosen; 0 is the encoder's own.
    """

    segments: int = 1
    consensus: str = "average"
    encoding_size: int = 0


class Consensus(nn.Module):
    """Joins the segments of clips.

    Attributes:
        size: Values of the vector that the classifier reads; 0 leaves it the network's.
    """

    size = 0

    def forward(self, features: dict[str, Tensor], classify: Classify) -> Output:
        """Return logits (N, classes) and features of clips.

        Args:
            features: The maps are those of clips, (N, C, K t, h, w), and `POOLED` is of segments, (N K, C).
            classify: Gives the logits of pooled features.
        """
        raise NotImplementedError


class Max(Consensus):
    """The largest logit of each class over the segments; `POOLED` is the mean."""

    def __init__(self, segments: int) -> None:
        super().__init__()
        self.segments = segments

    def forward(self, features: dict[str, Tensor], classify: Classify) -> Output:
        pooled = features[POOLED]
        logits = classify(pooled).unflatten(0, (-1, self.segments)).amax(1)
        return Output(logits, features | {POOLED: pooled.unflatten(0, (-1, self.segments)).mean(1)})


class Weighted(Consensus):
    """A mean whose weights are learned, >= 0 and of sum 1, equal at first."""

    def __init__(self, segments: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(segments))  # before the softmax

    def forward(self, features: dict[str, Tensor], classify: Classify) -> Output:
        pooled = features[POOLED].unflatten(0, (-1, len(self.weights)))
        share = self.weights.softmax(0).to(pooled.dtype)
        mean = (pooled * share[:, None]).sum(1)  # the mean of logits is that of what they are linear in
        return Output(classify(mean), features | {POOLED: mean})


class LinearEncoding(Consensus):
    """Deep Temporal Linear Encoding: the product of the segments' last maps, encoded (Diba et al., CVPR 2017).

    Each map is divided by its root mean square first, lest the product of several vanish or overflow; bilinear
    encodings do not change by it, as their length is 1 in the end. All of it is in float32 at least.

    Args:
        segments: Their number.
        stage: Name of the last stage.
        encoder: Of the product.
    """

    def __init__(self, segments: int, stage: str, encoder: Encoder) -> None:
        super().__init__()
        self.segments, self.stage, self.encoder = segments, stage, encoder

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.encoder.size

    def forward(self, features: dict[str, Tensor], classify: Classify) -> Output:
        maps = features[self.stage]
        with without_autocast(maps.device):
            encoded = self.encoder(product(maps.to(torch.promote_types(maps.dtype, torch.float32)), self.segments))
        encoded = encoded.to(maps.dtype)
        return Output(classify(encoded), features | {POOLED: encoded})


CONSENSUS = ("average", "max", "weights", *ENCODERS)


def make_consensus(segments: Segments, stage: str, channels: int) -> Consensus | None:
    """Build what joins segments; None for their mean, which takes nothing.

    Args:
        segments: Says what.
        stage: Name of the last stage.
        channels: Of its map.

    Raises:
        ValueError: If there is no such consensus, or a number is too small.
    """
    kind, count = segments.consensus, segments.segments
    if kind not in CONSENSUS:
        raise ValueError(f"--consensus {kind}: choose one of {', '.join(CONSENSUS)}")
    if count < 1:
        raise ValueError(f"--segments {count}: a clip has at least one")
    if segments.encoding_size < 0:
        raise ValueError(f"--model_args encoding_size={segments.encoding_size}: must be >= 1, or 0 for the default")
    if kind in ENCODERS:
        return LinearEncoding(count, stage, ENCODERS[kind](channels, segments.encoding_size))
    return {"average": lambda count: None, "max": Max, "weights": Weighted}[kind](count)


def split_segments(clips: Tensor, segments: int) -> Tensor:
    """Return the segments of clips (N, C, K L, H, W) as clips of their own, (N K, C, L, H, W).

    Raises:
        ValueError: If they are not whole segments.
    """
    if segments == 1:
        return clips
    if clips.shape[2] % segments:
        raise ValueError(
            f"--segments {segments}: the clip has {clips.shape[2]} time steps, which are not whole segments; choose a "
            "multiple for --sample_duration"
        )
    return clips.unflatten(2, (segments, -1)).transpose(1, 2).flatten(0, 1)


def join_segments(maps: Tensor, segments: int) -> Tensor:
    """Return the maps of segments (N K, C, t, h, w) as those of clips, (N, C, K t, h, w)."""
    return maps.unflatten(0, (-1, segments)).transpose(1, 2).flatten(2, 3)


def product(maps: Tensor, segments: int) -> Tensor:
    """Return the element-wise product of the segments' maps, each divided by its root mean square.

    Args:
        maps: Shape (N, C, K t, h, w).
        segments: Their number K.

    Returns:
        Shape (N, C, t, h, w).
    """
    parts = maps.unflatten(2, (segments, -1))
    squares = parts.square().mean((1, 3, 4, 5), keepdim=True)
    first, *others = (parts * (squares + torch.finfo(maps.dtype).tiny).rsqrt()).unbind(2)
    for part in others:  # unlike torch.prod, its gradient asks for no zeros
        first = first * part
    return first
