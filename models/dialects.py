"""Origin of a checkpoint, and the defaults of its code that the checkpoint does not state."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .backbones import arch_in, network_named, spec_of
from .backbones.arguments import OPTIONS, arguments_of
from .normalisation import AUTO, NORMALISATIONS, PUBLISHED, Stream, normalisation_of, stated_in

log = logging.getLogger(__name__)

PREFIX = "module."  # of DataParallel
STUDY, TSM = "study", "tsm"
WRITERS = {
    PUBLISHED: "STS-Net, MARS and 3D-ResNets of 2018",
    "3d-resnets": "3D-ResNets of 2020",
    STUDY: "IBM's Action Recognition Study",
    TSM: "the authors of TSM",
}
ASSUMED = {"conv1_t_stride": "1", "no_max_pool": "off"}  # options that weights do not show, and what is assumed


def dialect_of(checkpoint: Mapping[str, Any], source: str = "") -> str | None:
    """Return the key of `WRITERS` that writes checkpoints like this one; None if it could be anybody's.

    The name of the file, `source`, is looked at if the checkpoint names no network.
    """
    if "options" not in checkpoint and any(".new_fc." in f".{name}" for name in checkpoint.get("state_dict", ())):
        return TSM
    if "options" not in checkpoint and network_named(arch_in(checkpoint, source)):
        return STUDY
    if "arch" not in checkpoint or "options" in checkpoint:
        return None
    left_behind = checkpoint.get("left_behind")
    marks = {*checkpoint, *(left_behind if isinstance(left_behind, list) else ())}
    if "scheduler" in marks:
        return "3d-resnets"
    names = [str(name) for name in checkpoint.get("state_dict", ())]
    if PREFIX in marks or any(name.startswith(PREFIX) for name in names):
        return PUBLISHED
    return "3d-resnets" if str(checkpoint["arch"]).startswith(("resnet-", "resnet2p1d-")) else None


def choose_normalisation(
    words: Sequence[str], stream: Stream, checkpoint: Mapping[str, Any], source: str, *, model: str, explicit: bool
) -> Mapping[str, Sequence[float]]:
    """Choose how the inputs of a checkpoint's network are normalised.

    That is as it states, else as the words of `--normalisation` say, which were given if `explicit`, else as those do
    who write such files, which is logged. `model` is a key of `MODELS`.
    """
    stated, dialect = stated_in(checkpoint), dialect_of(checkpoint, source)
    assumed = dialect if dialect in NORMALISATIONS else PUBLISHED  # of the study it is what the network wants
    chosen = normalisation_of(words, stream, model=model, assumed=assumed)
    if stated:
        if explicit and any(differ(stated[name], chosen[name]) for name in chosen):
            log.warning("%s: states its normalisation, which is used in place of --normalisation", source)
        return stated
    if list(words) != [AUTO]:
        return chosen
    shown = f"mean {format_numbers(chosen['mean'])}, std {format_numbers(chosen['std'])} of grey levels"
    if dialect:
        log.info("%s: written as %s write it, so inputs have %s", source, WRITERS[dialect], shown)
    else:
        log.warning("%s: does not say how inputs are normalised: %s is taken; see --normalisation", source, shown)
    return chosen


def log_assumptions(
    origin: Mapping[str, Any], given: Collection[str], checkpoint: Mapping[str, Any], source: str
) -> None:
    """Log the options that are assumed: they change what weights compute, which do not show them, and are not `given`.

    `origin` is {"name", "args"} of the network.
    """
    if "options" in checkpoint or dialect_of(checkpoint) == PUBLISHED:
        return
    build, defaults = spec_of(origin["name"]).build, arguments_of(spec_of(origin["name"]))
    values = defaults | origin["args"]
    taken = {OPTIONS.get(argument) for argument in defaults}
    assumed = [f"--{name} {ASSUMED[name]}" for name in ASSUMED if name in taken and name not in given]
    if "model_args" not in given and "network" not in checkpoint:
        stated = network_named(arch_in(checkpoint, source)).get("args", {})
        words = [f"{name}={format_argument(values[name])}" for name in build.left_open(values) if name not in stated]
        assumed += [f"--model_args {' '.join(words)}"] if words else []
    if assumed:
        log.warning("%s: weights do not show, and so it is assumed: %s", source, ", ".join(assumed))


def format_argument(value: Any) -> str:
    """Return a value as `--model_args` takes it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def differ(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether two normalisations differ in their numbers, and not in their words alone."""
    return len(a) != len(b) or any(abs(x - y) > 1e-3 for x, y in zip(a, b, strict=True))


def format_numbers(values: Sequence[float]) -> str:
    """Format numbers in few characters."""
    return " ".join(f"{value:.6g}" for value in values)
