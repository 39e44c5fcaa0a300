"""Weights from a checkpoint into a network, with errors a user can act on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sts_common import counted

Weights = Mapping[str, Tensor]


WRAPPERS = {"module", "_orig_mod"}  # what DataParallel and torch.compile put into names


def strip_prefix(weights: Weights) -> dict[str, Tensor]:
    """Drop the "module." of DataParallel and the "_orig_mod." of torch.compile, wherever they stand."""
    return {".".join(part for part in name.split(".") if part not in WRAPPERS): x for name, x in weights.items()}


def check_finite(weights: Weights, source: str) -> None:
    """Refuse weights and running statistics that are not finite.

    Raises:
        ValueError: Names the first tensor that holds NaN or infinity.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            value = "NaN" if tensor.isnan().any() else "infinity"
            raise ValueError(f"{source}: {name} holds {value}: its training diverged; take a checkpoint of before")


def weights_of(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the network's weights: the "state_dict" of a checkpoint, or the mapping itself if it is a bare one.

    Raises:
        ValueError: If there are none, or two of one name.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError(f"{source}: holds no network weights (no 'state_dict' of tensors)")
    stripped = strip_prefix(weights)
    if len(stripped) < len(weights):
        raise ValueError(f"{source}: holds weights of two networks under one name, one of them wrapped")
    return stripped


def shown_by(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the options of a network from its weights, as far as they are those of a network of this project."""
    weights = checkpoint.get("state_dict", checkpoint)
    named = weights.items() if isinstance(weights, Mapping) else ()
    stem = strip_prefix({str(name): x for name, x in named if isinstance(x, Tensor) and x.dim() == 5})
    return {"conv1_t_size": stem["conv1.weight"].shape[2]} if "conv1.weight" in stem else {}


def shape_of(weights: Weights, source: str) -> tuple[int, int]:
    """Return the input channels and the number of classes that the weights were made for.

    Raises:
        ValueError: If they are not those of a network of this project.
    """
    if "conv1.weight" not in weights or "fc.weight" not in weights:
        raise ValueError(f"{source}: no conv1 and fc weights, so not a network of this project")
    return weights["conv1.weight"].shape[1], weights["fc.weight"].shape[0]


def load_weights(model: nn.Module, weights: Weights, source: str) -> None:
    """Load `weights` into `model`, strictly.

    Only `num_batches_tracked`, which old files lack, may be absent: it plays no part in the result.

    Raises:
        ValueError: If names or shapes differ, or values are not finite; says which, and what to do.
    """
    expected = model.state_dict()
    loaded = strip_prefix(weights)
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            loaded.setdefault(name, torch.zeros_like(tensor))
    missing, unexpected = expected.keys() - loaded.keys(), loaded.keys() - expected.keys()
    if missing or unexpected:
        example = next(name for name in (*expected, *loaded) if name in missing | unexpected)
        raise ValueError(
            f"{source}: weights of another network ({len(missing)} names missing, {len(unexpected)} unexpected, "
            f"e.g. {example}): check --model, --model_depth, --resnet_shortcut"
        )
    for name, tensor in expected.items():
        if loaded[name].shape != tensor.shape:
            raise ValueError(f"{source}: {explain_shape(name, tuple(loaded[name].shape), tuple(tensor.shape))}")
    check_finite(loaded, source)
    model.load_state_dict(loaded)


def explain_shape(name: str, stored: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Explain why a tensor of shape `stored` does not fit where `expected` is."""
    if name.startswith("fc."):
        return f"weights for {counted(stored[0], 'class')}, the network has {expected[0]}: check --n_classes"
    if name == "conv1.weight" and stored[1] != expected[1]:
        return (
            f"weights for {stored[1]} input channels, the network has {expected[1]}: check --modality (RGB 3, Flow 2)"
        )
    if name == "conv1.weight" and stored[2] != expected[2]:
        frames = counted(stored[2], "frame")
        return f"a first convolution over {frames}, the network has {expected[2]}: leave out --conv1_t_size"
    return (
        f"{name} has shape {stored}, the network's is {expected}: "
        "check --model_depth, --width, --resnext_cardinality and --resnet_shortcut"
    )
