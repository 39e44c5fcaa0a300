"""Grouped convolutions in wider groups: the same outputs from kernels that work on wide tiles.

ResNeXt's groups are 4 to 32 channels wide. A matrix unit takes 16 at a time, and what is not there is computed as zero
or by a slow path. Joining groups puts these zeros into the weights, as blocks beside the diagonal.
"""

import torch
from torch import Tensor, nn

from ..backbones.contract import RANKS

CONTIGUOUS = torch.contiguous_format
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
DENSE = 1 << 30  # a width that joins all groups


def widen_groups(network: nn.Module, width: int) -> int:
    """Join the groups of every grouped convolution until they are about `width` channels wide, in place.

    For inference: training would fill the zeros, and names and shapes of the weights are no longer the published ones.

    Args:
        network: Changed in place.
        width: Most input channels of a joined group, >= 1; `DENSE` leaves a single group. Groups that are as wide
            already stay as they are.

    Returns:
        How many convolutions were changed.

    Raises:
        ValueError: If the width is below 1.
    """
    if width < 1:
        raise ValueError(f"groups of {width} channels: the width must be at least 1")
    changed = 0
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS) and (joined := groups_to_join(module, width)) > 1:
            module.weight = nn.Parameter(block_diagonal(module.weight.detach(), module.groups, joined), False)
            module.groups //= joined
            changed += 1
    return changed


def groups_to_join(convolution: nn.Conv1d | nn.Conv2d | nn.Conv3d, width: int) -> int:
    """Return the most groups, a divisor of their number, with at most `width` input channels together; at least 1."""
    group_width, groups = convolution.in_channels // convolution.groups, convolution.groups
    return max((n for n in range(1, groups + 1) if groups % n == 0 and n * group_width <= width), default=1)


def block_diagonal(weight: Tensor, groups: int, joined: int) -> Tensor:
    """Return the weights of a grouped convolution with every `joined` groups, which divides their number, made one.

    The shape (out channels, in channels / groups, ...) becomes (out channels, joined * in channels / groups, ...); the
    memory format stays.
    """
    channels, inputs, *kernel = weight.shape
    blocks = weight.reshape(groups // joined, joined, channels // groups, inputs, *kernel)
    wide = weight.new_zeros(groups // joined, joined, channels // groups, joined, inputs, *kernel)
    each = torch.arange(joined, device=weight.device)
    wide[:, each, :, each] = blocks.transpose(0, 1)  # indexed dimensions come first
    wide = wide.reshape(channels, joined * inputs, *kernel)
    layout = RANKS.get(weight.dim(), torch.contiguous_format)
    return wide.contiguous(memory_format=layout if weight.is_contiguous(memory_format=layout) else CONTIGUOUS)
