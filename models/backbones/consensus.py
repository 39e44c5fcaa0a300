"""CONSENSUS: how the segments of a clip become one answer (Wang et al., TSN, ECCV 2016), and the encoders of TLE.

Deep Temporal Linear Encoding: Diba et al., CVPR 2017, https://arxiv.org/abs/1611.06678.
"""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sts_common.precision import without_autocast

from ..layers.pooling import grid_means
from .layout import Segments
from .output import POOLED, Output

Classify = Callable[[Tensor], Tensor]
SEED = 0  # of the hashes
GRID = 2  # cells a side that the fully connected encoder sees


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


def signed_root(x: Tensor) -> Tensor:
    """Compute sign(x) sqrt(|x|), but for the smallest |x|, where its slope is at most 1000 in place of infinity."""
    return x * (x.abs() + 1e-6).rsqrt()


class Encoder(nn.Module):
    """Encodes maps (N, C, t, h, w) of float32 or more as vectors (N, `size`): signed root, then length 1.

    Attributes:
        size: Values of a vector.
    """

    size: int

    def forward(self, maps: Tensor) -> Tensor:
        return F.normalize(signed_root(self.pool(maps)), dim=1)

    def pool(self, maps: Tensor) -> Tensor:
        """Compute vectors (N, `size`) of maps (N, C, t, h, w)."""
        raise NotImplementedError


class Bilinear(Encoder):
    """The mean of the outer products of the channels with themselves, over all places: C^2 values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.size = channels * channels

    def pool(self, maps: Tensor) -> Tensor:
        rows = maps.flatten(2)
        return (rows @ rows.transpose(1, 2) / rows.shape[2]).flatten(1)


class TensorSketch(Encoder):
    """Compact bilinear encoding: the circular convolution of two count sketches (Gao et al., CVPR 2016).

    Its dot products are those of `Bilinear` in the mean over hashes. The hashes are the same in every network of as
    many channels, and are kept in checkpoints.

    Args:
        channels: Of the maps.
        size: Values of a sketch; 0 is 8192.
    """

    hashes: Tensor
    signs: Tensor

    def __init__(self, channels: int, size: int = 0) -> None:
        super().__init__()
        self.size = size or 8192
        generator = torch.Generator().manual_seed(SEED)  # of its own: weights are drawn as without it
        hashes = torch.randint(self.size, (2, channels), generator=generator, device="cpu")
        signs = torch.randint(2, (2, channels), generator=generator, device="cpu") * 2.0 - 1.0
        self.register_buffer("hashes", hashes)
        self.register_buffer("signs", signs)

    def pool(self, maps: Tensor) -> Tensor:
        rows = maps.flatten(2).transpose(1, 2)  # N, places, C
        first, second = (torch.fft.rfft(self.sketch(rows, i)) for i in range(2))
        return torch.fft.irfft((first * second).mean(1), n=self.size)  # linear, so one for all places

    def sketch(self, rows: Tensor, which: int) -> Tensor:
        """Compute count sketches (..., `size`) of vectors (..., C): each channel, with its sign, is added to a bin."""
        bins = rows.new_zeros(*rows.shape[:-1], self.size)
        return bins.index_add(-1, self.hashes[which], rows * self.signs[which].to(rows.dtype))


class FullyConnected(Encoder):
    """A linear layer over the means of a grid of cells.

    Args:
        channels: Of the maps.
        size: Its outputs; 0 is 4096.
    """

    def __init__(self, channels: int, size: int = 0) -> None:
        super().__init__()
        self.size = size or 4096
        self.fc = nn.Linear(channels * GRID * GRID, self.size)

    def pool(self, maps: Tensor) -> Tensor:
        cells = grid_means(maps, (1, GRID, GRID)).flatten(1)
        return F.linear(cells, self.fc.weight.to(cells.dtype), self.fc.bias.to(cells.dtype))


class LinearEncoding(Consensus):
    """Deep Temporal Linear Encoding: the product of the segments' last maps, encoded (Diba et al., CVPR 2017).

    Maps and their product are divided by their root mean squares, lest the product of several vanish or overflow;
    bilinear encodings do not change by it, as their length is 1 in the end. All of it is in float32 at least.

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


ENCODERS: dict[str, Callable[[int, int], Encoder]] = {
    "tle_bilinear": lambda channels, size: Bilinear(channels),
    "tle_sketch": TensorSketch,
    "tle_fc": FullyConnected,
}
CONSENSUS = ("average", "max", "weights", *ENCODERS)


def make_consensus(segments: Segments, stage: str, channels: int) -> Consensus | None:
    """Build what joins segments; None for their mean, which takes nothing.

    `stage` is the name of the last stage, and `channels` those of its map.

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


def product(maps: Tensor, segments: int) -> Tensor:
    """Return the element-wise product (N, C, t, h, w) of the maps (N, C, K t, h, w) of K segments.

    These and it have a root mean square of 1 in each clip.
    """
    parts = maps.unflatten(2, (segments, -1)).unbind(2)
    return unit(reduce(torch.mul, map(unit, parts)))  # unlike torch.prod's, its gradient asks for no zeros


def unit(maps: Tensor) -> Tensor:
    """Return maps (N, C, t, h, w) divided by the root mean square of each clip; such as are zero stay so."""
    squares = maps.square().mean((1, 2, 3, 4), keepdim=True)
    return maps * squares.masked_fill(squares == 0, 1).rsqrt()  # whose slope at zero would make all gradients NaN
