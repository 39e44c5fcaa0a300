"""A checkpoint in the form that the published code of STS-Net and MARS reads, for its scripts."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sts_common.files import write_atomically

from . import tensor_file
from .card import STATISTICS, mapping

log = logging.getLogger(__name__)

ARCH = "resnext-101"
PREFIX = "module."  # its networks are in DataParallel when they are saved and loaded
MEANS = {3: (114.7748, 107.7354, 99.475), 2: (127.5, 127.5)}  # by channels; it subtracts these and divides by nothing
STEM = {"conv1_t_stride": 1, "no_max_pool": False}  # what it has, and weights do not show


def write(path: Path, state: Mapping[str, Any], source: str) -> None:
    """Write the network and its optimiser to a ".pth", whole or not at all.

    Without compression or archive, as torch before 1.6 wrote and every later one reads. Raises ValueError if the
    published code could not use the network, or would without a word see other inputs.
    """
    if path.suffix != ".pth" or path.resolve() == Path(source).resolve():
        raise ValueError(f"--export_published {path}: the name of another file, which ends in .pth")
    content = published_form(state, source)
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def published_form(state: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return "epoch", the next one, "arch", "state_dict" and, if it is of SGD, "optimizer"; raises as `write`."""
    weights = tensor_file.plain_weights(state, source)
    check_inputs(state, source)
    arch = state.get("arch", ARCH)
    if arch != ARCH:
        log.warning("%s: STS-Net and MARS build %s alone, and this is %s", source, ARCH, arch)
    if "raw_state_dict" in state:
        log.warning("%s: its EMA weights are written, with which the published code goes on", source)
    if state.get("step"):
        log.warning("%s: from within epoch %s, which the published code begins again", source, state["epoch"])
    form = {"epoch": int(state.get("epoch", 1)), "arch": arch}
    form["state_dict"] = {PREFIX + name: tensor for name, tensor in weights.items()}
    learned = sum(name.rsplit(".", 1)[-1] not in STATISTICS for name in weights)
    if optimizer := sgd_of(mapping(state, "optimizer"), learned):
        return form | {"optimizer": optimizer}
    log.warning("%s: holds no state of SGD, so the published code can test and fine-tune but not resume it", source)
    return form


def check_inputs(state: Mapping[str, Any], source: str) -> None:
    """Refuse inputs that the published code would load and compute otherwise; raises as `write`."""
    options = mapping(state, "options")
    for name, fixed in STEM.items():
        if options.get(name, fixed) != fixed:
            raise ValueError(f"{source}: made with --{name} {options[name]}, which the published code does not have")
    normalisation = mapping(mapping(state, "recipe"), "normalisation")
    if not normalisation:
        return
    expected = MEANS.get(len(normalisation["mean"]), ())
    shifted = any(abs(a - b) > 1e-3 for a, b in zip(normalisation["mean"], expected, strict=False))
    if shifted or any(value != 1 for value in normalisation["std"]):
        raise ValueError(
            f"{source}: normalises its inputs differently from the published code, which would feed it wrong ones"
        )


def sgd_of(state: Mapping[str, Any], count: int) -> dict[str, Any] | None:
    """Return the state of SGD for the first `count` parameters, the network's; those of the losses stay."""
    groups = [
        dict(group) | {"foreach": None, "fused": None}  # this machine's
        for group in state.get("param_groups", ())
        if all(number < count for number in group["params"])
    ]
    if not groups or any("momentum" not in group for group in groups):
        return None
    states = {
        number: {name: x.contiguous() if isinstance(x, Tensor) else x for name, x in values.items()}
        for number, values in state["state"].items()
        if number < count
    }
    return {"state": states, "param_groups": groups}
