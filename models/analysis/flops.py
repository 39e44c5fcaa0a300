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
from torch.utils._python_dispatch import TorchDispatchMode

from ..layers.abstract import BatchNormShapes

TRIAL_CLIPS = 2  # clips of the trial batch: batch norm refuses to train on a single value per channel


@dataclass(frozen=True)
class Costs:
    """Costs of one clip; a multiplication and an addition are two operations.

    Attributes:
        flops_forward: Of convolutions and linear layers.
        flops_training: The same with the gradients that are really computed: none for what is frozen, none of the clip.
        parameters: In the network.
        trained_parameters: Those with a gradient.
        activation_bytes: Kept from forward to backward, per clip.
        flops_convolutions: The part of `flops_forward` that is of convolutions.
        flops_products: Of matrix products in no layer, as in attention, forward; they are in no other number.
        activations: Values that convolutions and linear layers give.
    """

    flops_forward: int
    flops_training: int
    parameters: int
    trained_parameters: int
    activation_bytes: int
    flops_convolutions: int
    flops_products: int
    activations: int


def estimate(network: nn.Module, clip_shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Costs:
    """Count the costs of a network for a clip (C, T, H, W) and activations of a dtype; nothing in it changes.

    What is frozen, and the mode, are as the network has them.
    """
    counts = {"forward": 0, "gradients": 0, "convolutions": 0, "activations": 0}
    saved: dict[int, Tensor] = {}
    state = {name: abstract(value, dtype) for name, value in (*network.named_parameters(), *network.named_buffers())}
    weights = {value.untyped_storage()._cdata for value in state.values()}
    layers, products = [m for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)], Products()
    hooks = [layer.register_forward_hook(partial(count, counts)) for layer in layers]
    hooks += [hook for layer in layers for hook in products.pauses_in(layer)]
    clips = torch.empty(TRIAL_CLIPS, *clip_shape, dtype=dtype, device="meta")
    holding = saved_tensors_hooks(lambda tensor: saved.setdefault(id(tensor), tensor), lambda tensor: tensor)
    try:
        with BatchNormShapes(), torch.enable_grad(), holding, products:
            _held = functional_call(network, state, (clips,))  # while it lives no storage is used twice
    finally:
        for hook in hooks:
            hook.remove()
    storages = {s._cdata: s.nbytes() for s in (tensor.untyped_storage() for tensor in saved.values())}
    return Costs(
        flops_forward=counts["forward"] // TRIAL_CLIPS,
        flops_training=(counts["forward"] + counts["gradients"]) // TRIAL_CLIPS,
        parameters=sum(p.numel() for p in network.parameters()),
        trained_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        activation_bytes=sum(size for key, size in storages.items() if key not in weights) // TRIAL_CLIPS,
        flops_convolutions=counts["convolutions"] // TRIAL_CLIPS,
        flops_products=products.flops // TRIAL_CLIPS,
        activations=counts["activations"] // TRIAL_CLIPS,
    )


class Products(TorchDispatchMode):
    """Counts the operations of matrix products outside of layers that are counted by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.counts = 0, True

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.counts and func in PRODUCTS:
            self.flops += 2 * out.numel() * args[PRODUCTS[func]].shape[-1]
        return out

    def pauses_in(self, layer: nn.Module) -> list[Any]:
        """Have nothing counted while a layer runs; return the hooks."""

        def switch(on: bool) -> None:
            self.counts = on

        before = layer.register_forward_pre_hook(lambda module, given: switch(False))
        return [before, layer.register_forward_hook(lambda module, given, gave: switch(True))]


PRODUCTS = {torch.ops.aten.mm.default: 0, torch.ops.aten.bmm.default: 0, torch.ops.aten.addmm.default: 1}


def abstract(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the shape, strides and need of a gradient of a parameter or buffer, without the numbers."""
    target_dtype = dtype if value.is_floating_point() else value.dtype
    return torch.empty_like(value, dtype=target_dtype, device="meta").requires_grad_(value.requires_grad)


def count(counts: dict[str, int], module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Add the operations of a layer, and of the gradients of its weight and its input if needed (forward hook)."""
    positions = inputs[0] if getattr(module, "transposed", False) else output
    flops = 2 * positions.numel() * module.weight[0].numel()
    counts["forward"] += flops
    counts["convolutions"] += 0 if isinstance(module, nn.Linear) else flops
    counts["activations"] += output.numel()
    counts["gradients"] += flops * (module.weight.requires_grad + inputs[0].requires_grad)
