"""Fine-tuning: the layers that learn (STS-Net and MARS: `--ft_begin_index`)."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from .backbones.contract import Backbone, within


def check_begin(model: Backbone, begin_index: int) -> None:
    """Refuse a stage that a network has not got.

    Raises:
        ValueError: Names the stages.
    """
    last = len(model.stages) + 1
    if not 0 <= begin_index <= last:
        stages = ", ".join(f"{i} {name}" for i, name in enumerate(model.stages, 1))
        raise ValueError(f"--ft_begin_index {begin_index}: this network has 0 all, {stages}, {last} the classifier")


def parameter_groups(model: Backbone, begin_index: int, learning_rate: float) -> list[dict[str, Any]]:
    """Return optimiser groups in the layout of the published checkpoints, so that their state can be resumed.

    `begin_index` 0 gives one group, and one more for each part of the network that learns at a fraction of the rate
    (`Backbone.learning_rates`); otherwise every parameter is a group of its own, with learning rate zero below the
    first trained stage. Those parameters also stop requiring a gradient, so autograd records nothing below it: neither
    is its backward pass computed, nor are its activations kept.

    Raises:
        ValueError: If there is no such stage.
    """
    check_begin(model, begin_index)
    rates = {name: learning_rate * factor_of(model, name) for name, _ in model.named_parameters()}
    if begin_index == 0:
        by_rate: dict[float, list[nn.Parameter]] = {learning_rate: []}
        for name, parameter in model.named_parameters():
            by_rate.setdefault(rates[name], []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in by_rate.items() if parameters]
    groups = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and model.stage_of(name) >= begin_index)
        groups.append({"params": [parameter], "lr": rates[name] if parameter.requires_grad else 0.0})
    return groups


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
