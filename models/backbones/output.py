"""Output of every network."""

from typing import NamedTuple

from torch import Tensor

POOLED = "avgpool"  # the feature that the classifier reads


class Output(NamedTuple):
    """Result of a forward pass.

    A named tuple, and not a dataclass, so that parallel wrappers can gather it.

    Attributes:
        logits: Unnormalised class scores, shape (N, K).
        features: Activations by name, in forward order: the stages' maps, where the network has them also before
            their last ReLU, as "<stage>_preact", all (N, C, T, H, W), and "avgpool", the pooled vector, (N, C).
    """

    logits: Tensor
    features: dict[str, Tensor]
