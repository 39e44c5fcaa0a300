"""Encoders of maps as vectors of length 1, of Deep Temporal Linear Encoding (https://arxiv.org/abs/1611.06678)."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .pooling import grid_means

SEED = 0  # of the hashes
GRID = 2  # cells a side that the fully connected encoder sees


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which no operation is in half precision of its own accord."""
    kind = device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()  # which an exported network does not notice
    return torch.autocast(kind, enabled=False)


def signed_root(x: Tensor) -> Tensor:
    """Compute sign(x) sqrt(|x|), whose gradient at 0 is 0."""
    return x.sign() * (x.abs() + 1e-10).sqrt()


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
