"""Batch norms folded into the layers before or after them."""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..backbones.contract import Backbone, without_numbers


class Call(NamedTuple):
    """Call of a layer with its input and its output."""

    name: str
    layer: nn.Module
    input: Tensor
    output: Tensor


class ReadCounter(TorchDispatchMode):
    """Counts the operations that read each tensor; while it is held here no number is another tensor's."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.held: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        self.held += tensors
        self.count.update({id(x) for x in tensors})
        return func(*args, **(kwargs or {}))


def fold_batch_norms(network: Backbone, clip_shape: Sequence[int]) -> None:
    """Fold every batch norm that allows it into its neighbour, in place; eval mode only.

    A pass without numbers shows what follows what: the order in which layers are registered plays no part. A batch norm
    goes into the convolution or linear layer before it, else into the one after it, if that pads with nothing. Layers
    that are used twice, and such between which something else reads, stay as they are. `clip_shape` is (C, T, H, W).
    """
    pairs = adjacent(network, clip_shape)
    done: set[str] = set()
    for after in (True, False):
        for first, second in pairs:
            layer, norm = (first, second) if after else (second, first)
            batch_norm = network.get_submodule(norm.name)
            fitting = isinstance(batch_norm, _BatchNorm) and norm.name not in done
            fitting = fitting and (after or isinstance(activation_of(batch_norm), nn.Identity))
            module = network.get_submodule(layer.name)
            fused = (fused_after if after else fused_before)(module, norm) if fitting else None
            if fused is not None:
                network.set_submodule(layer.name, fused)
                network.set_submodule(norm.name, activation_of(batch_norm))
                done.add(norm.name)


def activation_of(norm: nn.Module) -> nn.Module:
    """Return what a batch norm does beside normalising: in timm's networks some have the activation in them."""
    within = [getattr(norm, name, None) for name in ("drop", "act")]
    layers = [layer for layer in within if isinstance(layer, nn.Module) and not isinstance(layer, nn.Identity)]
    return nn.Sequential(*layers) if layers else nn.Identity()


def adjacent(network: Backbone, clip_shape: Sequence[int]) -> list[tuple[Call, Call]]:
    """Return the layers, as they are called, between which a tensor goes that nothing else reads."""
    calls: list[Call] = []
    layers = {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm | _ConvNd | nn.Linear)}
    hooks = [
        layer.register_forward_hook(
            lambda layer, input, output, name=name: calls.append(Call(name, layer, input[0], output)),
        )
        for name, layer in layers.items()
    ]
    try:
        with ReadCounter() as uses:
            out = without_numbers(network, clip_shape)
    finally:
        for hook in hooks:
            hook.remove()
    runs = Counter(call.name for call in calls)
    readers = uses.count + Counter(id(x) for x in (out.logits, *out.features.values()))
    producers = {id(call.output): call for call in calls if runs[call.name] == 1 and readers[id(call.output)] == 1}
    return [(producers[id(call.input)], call) for call in calls if id(call.input) in producers and runs[call.name] == 1]


def fused_after(layer: nn.Module, norm: Call) -> nn.Module | None:
    """Fold a batch norm into the layer before it; None if they cannot be one."""
    batch_norm = cast(_BatchNorm, norm.layer)
    if batch_norm.running_mean is None:
        return None
    if isinstance(layer, _ConvNd):
        return fuse_conv_bn_eval(layer, batch_norm, layer.transposed)
    if isinstance(layer, nn.Linear) and norm.input.dim() == 2:
        return fuse_linear_bn_eval(layer, batch_norm)
    return None


def fused_before(layer: nn.Module, norm: Call) -> nn.Module | None:
    """Fold a batch norm into the layer after it; None if that pads with zeros, which the shift would miss."""
    batch_norm = cast(_BatchNorm, norm.layer)
    convolves = isinstance(layer, _ConvNd) and not layer.transposed and not any(layer.padding)
    if batch_norm.running_mean is None or batch_norm.running_var is None:
        return None
    if not convolves and not (isinstance(layer, nn.Linear) and norm.input.dim() == 2):
        return None
    scale = (batch_norm.running_var + batch_norm.eps).rsqrt() * (1 if batch_norm.weight is None else batch_norm.weight)
    shift = (0 if batch_norm.bias is None else batch_norm.bias) - batch_norm.running_mean * scale
    weight, groups = layer.get_parameter("weight"), getattr(layer, "groups", 1)
    # Output channels of a group read the input channels of that group alone.
    each = [x.view(groups, 1, -1).expand(-1, len(weight) // groups, -1).flatten(0, 1) for x in (scale, shift)]
    factor, added = (x.view(*x.shape, *(1,) * (weight.dim() - 2)) for x in each)
    fused = copy.deepcopy(layer)
    bias = (weight * added).flatten(1).sum(1) + (0 if layer.bias is None else cast(Tensor, layer.bias))
    fused.weight, fused.bias = nn.Parameter(weight * factor, False), nn.Parameter(bias, False)
    return fused
