"""Output of every network."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Result of a forward pass.

    A named tuple, and not a dataclass, so that parallel wrappers can gather it.

    Attributes:
        logits: Unnormalised class scores, shape (N, K).
        features: Activations by name, in forward order. "layer1".."layer4" are stage outputs,
            "layer1_preact".."layer4_preact" the same before their last ReLU, all (N, C, T, H, W);
            "avgpool" is the pooled vector, (N, C).
    """

    logits: Tensor
    features: dict[str, Tensor]
