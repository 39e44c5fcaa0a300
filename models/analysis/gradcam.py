"""Grad-CAM: evidence for a class by place and time in a clip (Selvaraju et al., ICCV 2017)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones.contract import PREACT

AUTO = "auto"


class Evidence(NamedTuple):
    """Evidence for a class in some clips.

    Attributes:
        maps: At the resolution of the layer, float32 (N, t, h, w), >= 0. The last stage's is in logits per cell: its
            sum, negative cells counted, is the logit without the bias. Clips of one network and layer are comparable.
        logits: Of the clips, float32 (N, K).
        layer: Where the maps are from.
    """

    maps: Tensor
    logits: Tensor
    layer: str


def grad_cam(
    network: nn.Module, batch: Tensor | Mapping[str, Tensor], target: Tensor | int | None = None, layer: str = AUTO
) -> Tensor:
    """Compute Grad-CAM of clips at their own resolution, each over its maximum; arguments and errors as `evidence`.

    Returns:
        Float32 (N, T, H, W) in [0, 1]; zero throughout where nothing speaks for the class.
    """
    maps = stretch(evidence(network, batch, target, layer).maps, clips_of(network, batch).shape[2:])
    return maps / maps.amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def evidence(
    network: nn.Module, batch: Tensor | Mapping[str, Tensor], target: Tensor | int | None = None, layer: str = AUTO
) -> Evidence:
    """Compute the positive part of a layer's channels, weighted by the mean gradient of the class's logit.

    The network is left as it is: no gradients, hooks or other statistics, and frozen weights stay frozen.

    Args:
        network: In eval mode: a `StreamNetwork`, or a network of `MODELS`.
        batch: What it takes: {view: uint8 (N, C, T, H, W), ...}, or normalised clips (N, C, T, H, W).
        target: Class, one of each clip (N,) or one of all; None is what each clip is taken for.
        layer: A map of `Output.features`; "auto" is that of `choose_layer`.

    Raises:
        ValueError: If the network is in training mode, in which it would learn statistics from these clips, if it has
            no such layer or no such class.
    """
    if any(module.training for module in network.modules()):
        raise ValueError("Grad-CAM needs a network in eval mode: call eval() on it")
    clips = clips_of(network, batch)
    with torch.inference_mode(False), torch.enable_grad():
        copied = clips.detach().clone() if clips.is_floating_point() else clips.float()
        copied.requires_grad_()  # behind frozen weights there would be no gradient
        logits, features = network(copied if isinstance(batch, Tensor) else {**batch, str(network.view): copied})
        name = choose_layer(features) if layer == AUTO else layer
        if name not in maps_of(features):
            raise ValueError(f"layer {layer!r}: this network has {', '.join(maps_of(features))}")
        classes = check_target(target, logits.detach())
        chosen = logits.gather(1, classes[:, None]).sum()  # clips do not see each other in eval mode
        (gradient,) = torch.autograd.grad(chosen, features[name])
    channels = features[name].detach().float()
    maps = (gradient.float().mean((2, 3, 4), keepdim=True) * channels).sum(1).relu()
    return Evidence(maps, logits.detach().float(), name)


def choose_layer(features: Mapping[str, Tensor]) -> str:
    """Choose the deepest stage of an `Output` that can tell one time from another.

    Deep stages know classes, but the last one has a single step in time for 16 frames: there a map says where, not
    when, and the stage before it is taken. If no stage has two steps, it is the last one.
    """
    stages = [name for name in maps_of(features) if not name.endswith(PREACT)]
    return next((name for name in reversed(stages) if features[name].shape[2] > 1), stages[-1])


def maps_of(features: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the features that have a place and a time."""
    return [name for name, feature in features.items() if feature.dim() == 5]


def stretch(maps: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """Resize maps (N, t, h, w) to another size (T, H, W), trilinear."""
    return F.interpolate(maps[:, None], tuple(size), mode="trilinear")[:, 0]


def clips_of(network: nn.Module, batch: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return the clips (N, C, T, H, W) that the network reads."""
    return batch if isinstance(batch, Tensor) else batch[str(network.view)]


def check_target(target: Tensor | int | None, logits: Tensor) -> Tensor:
    """Return a class for each clip, int64 (N,).

    Raises:
        ValueError: If one does not exist.
    """
    if target is None:
        return logits.argmax(1)
    classes = torch.as_tensor(target)  # looked into where it is: a GPU need not be waited for
    if wrong := [c for c in classes.reshape(-1).tolist() if not 0 <= c < logits.shape[1]]:
        raise ValueError(f"target {wrong[0]}: this network has the classes 0 to {logits.shape[1] - 1}")
    return classes.to(logits.device, non_blocking=True).expand(len(logits))
