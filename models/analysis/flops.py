"""Cost of a network: arithmetic, parameters and memory, counted without computing anything.

Counted by formula: torch's own counter takes the weight gradient of a grouped convolution for a dense one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from ..layers.abstract import BatchNormShapes

PAIR = 2  # clips of the trial batch: batch norm refuses to train on a single value per channel


@dataclass(frozen=True)
class Costs:
    """Costs of one clip; a multiplication and an addition are two operations.

    Attributes:
        flops_forward: Of convolutions and linear layers.
        flops_training: The same with the gradients that are really computed: none for what is frozen, none of the clip.
        parameters: In the network.
        trained_parameters: Those with a gradient.
        activation_bytes: Kept from forward to backward, per clip.
    """

    flops_forward: int
    flops_training: int
    parameters: int
    trained_parameters: int
    activation_bytes: int


def estimate(network: nn.Module, clip_shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Costs:
    """Count the costs of a network, frozen and in the mode as it is; nothing in it changes.

    Args:
        network: Takes clips (N, C, T, H, W).
        clip_shape: (C, T, H, W).
        dtype: Of the activations.
    """
    counts = {"forward": 0, "gradients": 0}
    saved: dict[int, Tensor] = {}
    state = {name: abstract(value, dtype) for name, value in (*network.named_parameters(), *network.named_buffers())}
    weights = {value.untyped_storage()._cdata for value in state.values()}
    hooks = [m.register_forward_hook(partial(count, counts)) for m in network.modules() if is_counted(m)]
    clips = torch.empty(PAIR, *clip_shape, dtype=dtype, device="meta")
    try:
        with BatchNormShapes(), torch.enable_grad(), saved_tensors_hooks(partial(keep, saved), lambda tensor: tensor):
            _held = functional_call(network, state, (clips,))  # while it lives no storage is used twice
    finally:
        for hook in hooks:
            hook.remove()
    storages = {s._cdata: s.nbytes() for s in (tensor.untyped_storage() for tensor in saved.values())}
    return Costs(
        flops_forward=counts["forward"] // PAIR,
        flops_training=(counts["forward"] + counts["gradients"]) // PAIR,
        parameters=sum(p.numel() for p in network.parameters()),
        trained_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        activation_bytes=sum(size for key, size in storages.items() if key not in weights) // PAIR,
    )


def abstract(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the shape, strides and need of a gradient of a parameter or buffer, without the numbers."""
    target_dtype = dtype if value.is_floating_point() else value.dtype
    return torch.empty_like(value, dtype=target_dtype, device="meta").requires_grad_(value.requires_grad)


def is_counted(module: nn.Module) -> bool:
    """Return whether the arithmetic of a layer counts."""
    return isinstance(module, (nn.modules.conv._ConvNd, nn.Linear))


def count(counts: dict[str, int], module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Add the operations of a layer, and of the gradients of its weight and its input if needed (forward hook)."""
    positions = inputs[0] if getattr(module, "transposed", False) else output
    flops = 2 * positions.numel() * module.weight[0].numel()
    counts["forward"] += flops
    counts["gradients"] += flops * (module.weight.requires_grad + inputs[0].requires_grad)


def keep(saved: dict[int, Tensor], tensor: Tensor) -> Tensor:
    """Note a tensor that backward needs (pack hook)."""
    saved[id(tensor)] = tensor
    return tensor
