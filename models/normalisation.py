"""NORMALISATIONS: means and standard deviations of inputs, by the names of those who trained with them."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Protocol

from .backbones import MODELS


class Stream(Protocol):
    """Facts of a stream that a normalisation depends on; `datasets.Stream` has them."""

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...
    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def std(self) -> Sequence[float]: ...


AUTO, PUBLISHED = "auto", "sts"
ANY_STREAM = "every stream"  # a mean and a standard deviation for all channels of any
# Mean and standard deviation of each channel in grey levels, by stream: those of a data set's colours are of no other.
NORMALISATIONS: dict[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]] = {
    PUBLISHED: {},  # a stream's own: STS-Net, MARS and 3D-ResNets of 2018
    "3d-resnets": {"rgb": ((110.7975, 103.3005, 96.2625), (70.584, 69.1815, 69.7935))},  # of 2020: Kinetics
    "kinetics": {"rgb": ((110.63541, 103.160643, 96.29023), (38.7568578, 37.88248729, 40.02898126))},
    "imagenet": {"rgb": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))},
    "half": {ANY_STREAM: ((127.5,), (127.5,))},  # -1 to 1
    "unit": {ANY_STREAM: ((0.0,), (255.0,))},  # 0 to 1
}


def known_normalisation(name: str, stream: Stream) -> dict[str, list[float]] | None:
    """Return {"mean", "std"} of an entry of `NORMALISATIONS`; None if it has none for this stream."""
    if name == PUBLISHED:
        return {"mean": list(stream.mean), "std": list(stream.std)}
    entry = NORMALISATIONS[name]
    if ANY_STREAM in entry:
        mean, std = entry[ANY_STREAM]
        return {"mean": [*mean] * stream.channels, "std": [*std] * stream.channels}
    values = entry.get(stream.name)
    return values and {"mean": list(values[0]), "std": list(values[1])}


def parse_normalisation(words: Sequence[str]) -> str | tuple[list[float], list[float]]:
    """Return the name in `--normalisation`, or the means and the standard deviations that stand there.

    Raises:
        ValueError: If it is neither.
    """
    if len(words) == 1 and words[0] in (AUTO, *NORMALISATIONS):
        return words[0]
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    half = len(values) // 2
    if half not in (2, 3) or len(values) % 2 or not all(map(isfinite, values)) or min(values[half:]) <= 0:
        raise ValueError(
            f"--normalisation {' '.join(words)}: expected one of {', '.join((AUTO, *NORMALISATIONS))}, or the means of "
            "all channels and then their standard deviations, > 0, in grey levels 0-255"
        )
    return values[:half], values[half:]


def normalisation_of(
    words: Sequence[str], stream: Stream, *, model: str, assumed: str = PUBLISHED
) -> dict[str, list[float]]:
    """Return {"mean", "std"} per channel in grey levels 0-255, for a stream whose weights do not state theirs.

    Args:
        words: `--normalisation`; values of another number of channels, and names of other streams, leave it as
            published.
        stream: What is normalised.
        model: A key of `MODELS`.
        assumed: Name that stands for "auto".
    """
    choice = parse_normalisation(words)
    values: dict[str, list[float]] | None
    if choice == AUTO and assumed == PUBLISHED and (wanted := wanted_by(model, stream)):
        values = wanted
    elif isinstance(choice, str):
        values = known_normalisation(assumed if choice == AUTO else choice, stream)
    else:
        values = {"mean": choice[0], "std": choice[1]} if len(choice[0]) == stream.channels else None
    return values or {"mean": list(stream.mean), "std": list(stream.std)}


def wanted_by(model: str, stream: Stream) -> dict[str, list[float]]:
    """Return {"mean", "std"} that the network wants for a stream; {} if it takes the stream's own."""
    spec = MODELS[model]
    if stream.name not in spec.input_spec.mean:
        return {}
    values = {"mean": spec.input_spec.mean[stream.name], "std": spec.input_spec.std[stream.name]}
    return {name: [float(value) for value in channels] for name, channels in values.items()}


def fits(words: Sequence[str], streams: Sequence[Stream]) -> bool:
    """Return whether `--normalisation` has values for one of some streams."""
    choice = parse_normalisation(words)
    if not isinstance(choice, str):
        return any(len(choice[0]) == stream.channels for stream in streams)
    return choice == AUTO or any(known_normalisation(choice, stream) for stream in streams)


def stated_in(checkpoint: Mapping[str, Any]) -> Mapping[str, Sequence[float]] | None:
    """Return {"mean", "std"} that a checkpoint states, None if it does not."""
    recipe = checkpoint.get("recipe")
    return recipe.get("normalisation") if isinstance(recipe, Mapping) else None
