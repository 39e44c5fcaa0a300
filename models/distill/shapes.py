"""Shapes of what two networks give, known before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..backbones.contract import Backbone, without_numbers

Shape = tuple[int, ...]


@dataclass(frozen=True)
class OutputShapes:
    """Shapes of a network's `Output` that a loss is built by.

    Attributes:
        features: Shape of each feature of a clip, in forward order: (C, T, H, W) of maps, (C,) of the pooled vector.
        num_classes: Width of the logits.
    """

    features: Mapping[str, Shape]
    num_classes: int


def output_shapes(network: Backbone, clip_shape: Sequence[int]) -> OutputShapes:
    """Return the shapes of a network's output for a clip of shape (C, T, H, W), of one pass on meta tensors."""
    output = without_numbers(network, clip_shape)
    return OutputShapes({name: tuple(x.shape[1:]) for name, x in output.features.items()}, output.logits.shape[1])


def in_words(shape: Shape) -> str:
    """Format the shape of a feature."""
    places = f" of {'x'.join(map(str, shape[1:]))} places (time, height, width)" if shape[1:] else ""
    return f"{shape[0]} channels{places}"
