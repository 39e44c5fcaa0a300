"""1x1x1 convolutions as matrix products."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PointwiseConv3d(nn.Conv3d):
    """A 1x1x1 convolution of stride 1; weights, names and result are those of `nn.Conv3d`.

    Where channels come last in memory, positions are the rows of a matrix and the convolution is one product, with
    which libraries come nearer to the peak of a processor than with a convolution (`benchmarks/step.py`).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        bias: Whether to add one.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        # Channels first, rows would have to be copied together; compiled training is faster with convolutions.
        if x.stride(1) != 1 or (torch.compiler.is_compiling() and self.weight.requires_grad):
            return super().forward(x)
        product = F.linear(x.permute(0, 2, 3, 4, 1), self.weight.flatten(1), self.bias)
        return product.permute(0, 4, 1, 2, 3)
