"""Networks from checkpoint files, by keyword arguments."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datasets import Stream
from engine import checkpoint
from models import StreamNetwork, restore_stream
from models.backbones.arguments import OPTIONS
from models.weights import origin_of

from .inputs import stream_of


def load_checkpoint(
    file: str | Path,
    *,
    stream: Stream | None = None,
    model: str | None = None,
    normalisation: str | Sequence[float] = "auto",
    **arguments: Any,
) -> StreamNetwork:
    """Load the network of a checkpoint in eval mode, on the CPU, with all that the file states.

    Those of training, of the published code and of 3D-ResNets state their network or show it by their weights; what
    leaves no trace in weights is assumed, and that is said.

    Args:
        file: Checkpoint, .pth or .safetensors.
        stream: What the network reads, where the file does not state it; None: as its first convolution shows.
        model: A key of `MODELS`, where the file does not show it.
        normalisation: Of inputs, where the file does not state it: a key of `NORMALISATIONS`, the mean of each channel
            and then the standard deviations, in grey levels, or "auto", by whose weights they are.
        arguments: Of the constructor of the network, as of `create_model`, in place of those that the file shows.

    Returns:
        The network; its `class_names` and `recipe` are empty where the file does not state them, `stream`,
        `normalisation` and `network.origin` never are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds no network, or one of other arguments or of another stream.

    Examples:
        >>> network = load_checkpoint("results/HMDB51/rgb_best.pth")
        >>> kinetics = load_checkpoint("RGB_Kinetics_16f.pth", depth=101)
        >>> kinetics.reset_classifier(51)
    """
    state, source = checkpoint.load(file), str(file)
    words = [normalisation] if isinstance(normalisation, str) else list(map(str, normalisation))
    given = {OPTIONS.get(name, "model_args") for name in arguments}
    given |= {"normalisation"} if words != ["auto"] else set()
    read = stream or stream_of(state, source)
    return network_in(state, source, read, model=model, arguments=arguments, normalisation=words, given=given)


def network_in(
    state: Mapping[str, Any],
    source: str,
    stream: Stream,
    *,
    model: str | None = None,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    normalisation: Sequence[str] | None = None,
    given: Collection[str] | None = None,
) -> StreamNetwork:
    """Return the network of a checkpoint that is read already, as `load_checkpoint`.

    `normalisation` is in words, see `restore_stream`, and None as the options of its training, else "auto"; `given` are
    the names of options that were given, None for those of its training.
    """
    origin, options = origin_of(state, source), state.get("options", {})
    if model not in (None, origin["name"]):
        origin = {"name": model, "args": {}}
    return restore_stream(
        state,
        source,
        stream,
        {"name": origin["name"], "args": origin["args"] | arguments},
        normalisation=options.get("normalisation", ("auto",)) if normalisation is None else normalisation,
        given=options.get("given", ()) if given is None else given,
    ).eval()
