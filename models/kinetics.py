"""Video networks that torchvision has trained, as checkpoints of this project: weights, classes and preprocessing."""

from typing import Any

import torch

from .backbones import create_model, spec_of
from .backbones.torchvision_networks import published
from .pretrained import KINETICS, find_weights, read_weights

RATE = 30  # frames per second of the videos whose frames the strides of `InputSpec` count


def kinetics_checkpoint(model: str, *, download: bool = False) -> dict[str, Any]:
    """Return the content of a checkpoint that every command can use, of a network trained on Kinetics-400.

    torchvision resizes frames to one shape before they are cropped, as 128 x 171; here the short side is resized to the
    same, and the shape stays.

    Args:
        model: Like "torchvision:r3d_18".
        download: Whether the weights are fetched if they are not in torch's cache.

    Raises:
        ValueError: If torchvision has no such network.
        FileNotFoundError: If its weights are not there; names their address.
    """
    seen, stated = spec_of(model).input_spec, published(model)
    classes = [str(name) for name in stated.meta["categories"]]
    with torch.device("meta"):
        network = create_model(model, 3, len(classes))
    side = int(min(stated.transforms().resize_size))
    weights = read_weights(find_weights(KINETICS, network.origin, download=download))
    return {
        "arch": model,
        "network": {"name": model, "args": dict(network.origin["args"])},
        "stream": "rgb",
        "class_names": classes,
        "options": {},
        "recipe": {
            "sample_duration": seen.frames,
            "sample_size": seen.size,
            "clip_stride": seen.stride,
            "short_side": side,
            "normalisation": {"mean": list(seen.mean["rgb"]), "std": list(seen.std["rgb"])},
            "provenance": {"fps": RATE, "short_side": side},
        },
        "state_dict": network.in_dialect(weights) or weights,
    }
