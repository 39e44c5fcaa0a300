"""Fine-tuning: the layers that learn (STS-Net and MARS: `--ft_begin_index`), and how fast each kind of parameter is."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from sts_common import check_choice

from .backbones.contract import Backbone, within
from .backbones.layout import FLOW_CHANNELS

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


class Multiple(NamedTuple):
    """How fast a kind of parameter learns.

    Attributes:
        rate: Multiple of the learning rate.
        decays: Whether it has weight decay.
    """

    rate: float = 1.0
    decays: bool = True


# Name -> kind of parameter, see `kinds_of` -> how fast it learns; a kind that is not there learns as usual. "tsn" is of
# yjxiong/tsn-pytorch, "tsm" of mit-han-lab/temporal-shift-module, whose classifier learns faster as well.
TSN = {
    "flow_weight": Multiple(5),
    "flow_bias": Multiple(10, decays=False),
    "bias": Multiple(2, decays=False),
    "head_bias": Multiple(2, decays=False),
    "norm": Multiple(decays=False),
}
LR_MULTIPLES: dict[str, Mapping[str, Multiple]] = {
    "off": {},
    "tsn": TSN,
    "tsm": TSN | {"head_weight": Multiple(5), "head_bias": Multiple(10, decays=False)},
}


def parameter_groups(
    model: Backbone, begin_index: int, learning_rate: float, lr_multiples: str = "off"
) -> list[dict[str, Any]]:
    """Return optimiser groups in the layout of the published checkpoints, so that their state can be resumed.

    `begin_index` 0 gives one group, and one more for each other rate, be it of a part of the network
    (`Backbone.learning_rates`) or of a kind of parameter (`lr_multiples`); otherwise every parameter is a group of its
    own, with learning rate zero below the first trained stage. Those parameters also stop requiring a gradient, so
    autograd records nothing below it: neither is its backward pass computed, nor are its activations kept.

    Args:
        model: Network.
        begin_index: First stage that learns.
        learning_rate: Full rate.
        lr_multiples: A key of `LR_MULTIPLES`.

    Returns:
        Groups "params", "lr"; with a multiple "lr_multiple" as well, by which "lr" is divided where a rate is logged;
        without weight decay "weight_decay", 0.

    Raises:
        ValueError: If there is no such stage, or no such multiples.
    """
    last = len(model.stages) + 1
    if not 0 <= begin_index <= last:
        stages = ", ".join(f"{i} {name}" for i, name in enumerate(model.stages, 1))
        raise ValueError(f"--ft_begin_index {begin_index}: this network has 0 all, {stages}, {last} the classifier")
    check_choice("--lr_multiples", lr_multiples, LR_MULTIPLES)
    multiples, kinds = LR_MULTIPLES[lr_multiples], kinds_of(model)
    by_rate: dict[tuple[float, Multiple], list[nn.Parameter]] = {(1.0, Multiple()): []}
    groups = []
    for name, parameter in model.named_parameters():
        factor, multiple = factor_of(model, name), multiples.get(kinds[name], Multiple())
        if begin_index == 0:
            by_rate.setdefault((factor, multiple), []).append(parameter)
            continue
        parameter.requires_grad_(parameter.requires_grad and model.stage_of(name) >= begin_index)
        groups.append(group_of([parameter], learning_rate * factor if parameter.requires_grad else 0.0, multiple))
    whole = [(parameters, learning_rate * factor, multiple) for (factor, multiple), parameters in by_rate.items()]
    return groups or [group_of(*settings) for settings in whole if settings[0]]


def group_of(parameters: list[nn.Parameter], rate: float, multiple: Multiple) -> dict[str, Any]:
    """Return the optimiser group of parameters with a multiple of a rate."""
    group: dict[str, Any] = {"params": parameters, "lr": rate * multiple.rate}
    if multiple.rate != 1:
        group["lr_multiple"] = multiple.rate
    return group if multiple.decays else group | {"weight_decay": 0.0}


def kinds_of(model: Backbone) -> dict[str, str]:
    """Return the kind of every parameter by name.

    That is "norm"; of the classifier "head_weight" or "head_bias"; of the first convolution of a network that reads
    flow "flow_weight" or "flow_bias"; of any other layer "weight" or "bias".
    """
    kinds = {}
    for place, module in model.named_modules():
        part = "head_" if place == model.classifier else ""
        if place == model.first_conv and model.in_channels == FLOW_CHANNELS:
            part = "flow_"
        for name, _ in module.named_parameters(recurse=False):
            kind = part + ("bias" if name == "bias" else "weight")
            kinds[f"{place}.{name}" if place else name] = "norm" if isinstance(module, NORMS) else kind
    return kinds


def factor_of(model: Backbone, name: str) -> float:
    """Return the factor on the learning rate of a parameter."""
    return next((factor for part, factor in model.learning_rates.items() if within(name, part)), 1.0)


def frozen_norms(model: Backbone, begin_index: int, partial: bool = False, affine: bool = False) -> Iterator[nn.Module]:
    """Return the batch norms whose statistics stay as they are; in training they move unless kept in eval mode.

    Args:
        model: Network.
        begin_index: Those below this first trained stage; 0 is none.
        partial: All but the very first one as well: partial BN (Wang et al., TSN, 2016).
        affine: Whether their weights and biases stop learning as well, as in TSN.
    """
    first = True
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if model.stage_of(name) < begin_index or (partial and not first):
                yield module.requires_grad_(False) if affine else module
            first = False
