"""Beginning with the weights of a flow network where estimated flow is classified."""

from collections.abc import Mapping
from typing import Any, cast

from ..backbones.contract import within
from ..backbones.hidden_two_stream import BOUND, HiddenTwoStream
from ..backbones.images import MOTION as SEEN
from ..streams import StreamNetwork
from ..weights import load_weights, strip_prefix, weights_of
from .losses import motion_of

TOLERANCE = 1e-3  # grey levels, by which float32 moves a mean


def start_temporal(model: StreamNetwork, checkpoint: Mapping[str, Any], source: str) -> None:
    """Begin with the weights of a flow network where the estimated flow is classified ("stack, then fine-tune").

    Args:
        model: A hidden two-stream network.
        checkpoint: Content of the file of the flow network, of the same architecture and classes.
        source: Its name, for errors.

    Raises:
        ValueError: If it is another network or reads another stream, or the model estimates no motion.
    """
    motion_of(model)
    if checkpoint.get("stream", "flow") != "flow":
        raise ValueError(f"--temporal_path {source}: reads {checkpoint['stream']}, not flow")
    check_inputs(checkpoint.get("recipe", {}), source)
    network = cast(HiddenTwoStream, model.network)
    plain, temporal = strip_prefix(weights_of(checkpoint, source)), network.temporal
    weights = {name: x for name, x in network.state_dict().items() if name.startswith("motion.")}
    for name, x in (temporal.in_dialect(plain) or plain).items():
        head = within(name, temporal.classifier)
        weights[f"fc{name.removeprefix(temporal.classifier)}" if head else f"temporal.{name}"] = x
    load_weights(network, weights, source)


def check_inputs(recipe: Mapping[str, Any], source: str) -> None:
    """Refuse a flow network that saw flow otherwise than it is estimated; what a recipe does not state is not asked.

    Raises:
        ValueError: Names the difference.
    """
    for name, (expected,) in zip(("mean", "std"), SEEN, strict=True):
        stated = recipe.get("normalisation", {}).get(name, ())
        if any(abs(value - expected) > TOLERANCE for value in stated):
            raise ValueError(
                f"--temporal_path {source}: its inputs have {name} {stated}, estimated flow has {expected}: train it "
                "with --normalisation auto"
            )
    if (bound := recipe.get("provenance", {}).get("bound", BOUND)) != BOUND:
        raise ValueError(
            f"--temporal_path {source}: saw flow cut at {bound} pixels, and estimated flow is cut at {BOUND}"
        )
