"""Fine-tuning: a fresh classifier, and the layers that learn (STS-Net and MARS: `--ft_begin_index`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn


def replace_head(model: nn.Module, num_classes: int) -> None:
    """Replace `model.fc` by a freshly initialised classifier of `num_classes` outputs."""
    model.fc = nn.Linear(model.get_submodule("fc").in_features, num_classes)  # type: ignore[arg-type]


def is_trained(name: str, begin_index: int) -> bool:
    """Whether the parameter or module called `name` learns when fine-tuning starts at stage `begin_index`.

    Args:
        name: Dotted name below the network, e.g. "layer3.0.conv1.weight".
        begin_index: 0 trains everything, 1-4 train layer1-layer4 onwards, 5 the classifier only.
    """
    trained = {f"layer{i}" for i in range(begin_index, 5)} | {"fc"}
    return begin_index == 0 or name.split(".")[0] in trained


def frozen_features(features: Sequence[str], begin_index: int) -> list[str]:
    """Return those of `features` that no trained layer comes before; the pooled vector comes after layer4."""
    stages = {name: "layer4" if name == "avgpool" else name for name in features}
    return [name for name, stage in stages.items() if not is_trained(stage, begin_index)]


def parameter_groups(model: nn.Module, begin_index: int, learning_rate: float) -> list[dict[str, Any]]:
    """Return optimiser groups in the layout of the published checkpoints, so that their state can be resumed.

    `begin_index` 0 gives one group; otherwise every parameter is a group of its own, with learning rate
    zero below the first trained stage. Those parameters also stop requiring a gradient, so autograd records nothing
    below it: neither is its backward pass computed, nor are its activations kept.
    """
    if begin_index == 0:
        return [{"params": list(model.parameters()), "lr": learning_rate}]
    groups = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_trained(name, begin_index))
        groups.append({"params": [parameter], "lr": learning_rate if parameter.requires_grad else 0.0})
    return groups


def frozen_norms(model: nn.Module, begin_index: int, partial: bool = False) -> Iterator[nn.Module]:
    """Return the batch norms whose statistics stay as they are; in training they move unless kept in eval mode.

    Args:
        model: Network.
        begin_index: Those below this first trained stage; 0 is none.
        partial: All but the very first one as well: partial BN (Wang et al., TSN, 2016). Their weights still learn.
    """
    first = True
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if not is_trained(name, begin_index) or (partial and not first):
                yield module
            first = False
