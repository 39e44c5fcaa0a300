"""Origin of a checkpoint, and the defaults of its code that the checkpoint does not state."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .backbones import spec_of
from .backbones.arguments import OPTIONS, arguments_of
from .normalisation import AUTO, PUBLISHED, Stream, normalisation_of, stated_in

log = logging.getLogger(__name__)

PREFIX = "module."  # of DataParallel
WRITERS = {PUBLISHED: "STS-Net, MARS and 3D-ResNets of 2018", "3d-resnets": "3D-ResNets of 2020"}
NO_TRACE = {"conv1_t_stride": "1", "no_max_pool": "off"}  # options that weights do not show, and what is assumed


def dialect_of(checkpoint: Mapping[str, Any]) -> str | None:
    """Return the key of `WRITERS` that writes checkpoints like this one; None if it could be anybody's."""
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


def settle_normalisation(
    words: Sequence[str], stream: Stream, checkpoint: Mapping[str, Any], source: str, *, model: str, explicit: bool
) -> Mapping[str, Sequence[float]]:
    """Choose how the inputs of a checkpoint's network are normalised.

    That is as it states, else as `--normalisation` says, else as those do who write such files; what is assumed is
    said.

    Args:
        words: `--normalisation`.
        stream: What the network reads.
        checkpoint: Content of the file.
        source: Its name.
        model: The network, a key of `MODELS`.
        explicit: Whether `--normalisation` was given.
    """
    stated, dialect = stated_in(checkpoint), dialect_of(checkpoint)
    chosen = normalisation_of(words, stream, model=model, assumed=dialect or PUBLISHED)
    if stated:
        if explicit and any(differ(stated[name], chosen[name]) for name in chosen):
            log.warning("%s: states its normalisation, which is used in place of --normalisation", source)
        return stated
    if list(words) != [AUTO]:
        return chosen
    shown = f"mean {in_few(chosen['mean'])}, std {in_few(chosen['std'])} of grey levels"
    if dialect:
        log.info("%s: written as %s write it, so inputs have %s", source, WRITERS[dialect], shown)
    else:
        log.warning("%s: does not say how inputs are normalised: %s is taken; see --normalisation", source, shown)
    return chosen


def say_what_is_assumed(model: str, given: Collection[str], checkpoint: Mapping[str, Any], source: str) -> None:
    """Name the options that decide what weights compute, leave no trace in them, and were not given.

    Args:
        model: The network, a key of `MODELS`.
        given: Names of options.
        checkpoint: Content of the file.
        source: Its name.
    """
    if "options" in checkpoint or dialect_of(checkpoint) == PUBLISHED:
        return
    taken = {OPTIONS.get(argument) for argument in arguments_of(spec_of(model))}
    if silent := [name for name in NO_TRACE if name in taken and name not in given]:
        assumed = ", ".join(f"--{name} {NO_TRACE[name]}" for name in silent)
        log.warning("%s: weights do not show, and so it is assumed: %s", source, assumed)


def differ(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether two normalisations differ in their numbers, and not in their words alone."""
    return len(a) != len(b) or any(abs(x - y) > 1e-3 for x, y in zip(a, b, strict=True))


def in_few(values: Sequence[float]) -> str:
    """Format numbers in few characters."""
    return " ".join(f"{value:.6g}" for value in values)
