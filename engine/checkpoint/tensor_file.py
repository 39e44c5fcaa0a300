"""Networks as safetensors files: weights, and a checkpoint's metadata as JSON, under one checksum.

The format itself has no checksum, and a flipped bit in it would load as another weight.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sts_common.files import write_atomically
from sts_common.json_text import as_json

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
METADATA, CHECKSUM = "sts_net", "sha256"
# Entries of a checkpoint that describe its network; the state of a run stays behind.
DESCRIPTION = (
    *("arch", "network", "stream", "class_names", "recipe", "options", "defaults", "epoch", "step", "best", "metrics"),
    *("parameters", "macs", "data", "tested", "checkpoints", "left_behind"),
)
WRAPPERS = ("module", "_orig_mod")  # what DataParallel and torch.compile put into names


def write(path: Path, state: Mapping[str, Any], source: str) -> None:
    """Write the network of a checkpoint, or bare weights, and its description to a ".safetensors", whole or not at all.

    The names of the entries left behind are kept for a checkpoint without a description: they show whose it is. Raises
    ValueError if the name ends otherwise, or as `plain_weights`.
    """
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: its name must end in {SUFFIX}, by which it is known when it is read")
    tensors, description = plain_weights(state, source), {name: state[name] for name in DESCRIPTION if name in state}
    if "state_dict" in state and "options" not in state:
        wrappers = {f"{part}." for name in state["state_dict"] for part in name.split(".") if part in WRAPPERS}
        description["left_behind"] = sorted({*state} - {*DESCRIPTION, "state_dict"} | wrappers)
    text = as_json(description)
    content = save(tensors, {METADATA: text, CHECKSUM: checksum(text, tensors), "format": "pt"})
    write_atomically(path, lambda file: file.write(content))


def plain_name(name: str) -> str:
    """Return the name of a weight without those of wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def plain_weights(state: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the weights of a checkpoint by their plain names: contiguous copies, no two with the same memory.

    Raises ValueError if there are none, or some that are not finite.
    """
    weights = state.get("state_dict", state)
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError(f"{source}: holds no network weights (no 'state_dict' of tensors)")
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{source}: {name} holds {'NaN' if tensor.isnan().any() else 'infinity'}: not exported")
    return {
        plain_name(str(name)): tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }


def read(path: Path) -> dict[str, Any]:
    """Read a safetensors file as a checkpoint: "state_dict", and the entries of the description.

    Raises ValueError if it is damaged or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, ValueError, RuntimeError, MemoryError):
        raise ValueError(f"{path}: damaged, or not a safetensors file") from None
    if METADATA not in metadata and CHECKSUM not in metadata:
        log.warning("%s: has no checksum, so damage cannot be detected", path)
        return {"state_dict": tensors}
    text = metadata.get(METADATA, "")
    if metadata.get(CHECKSUM) != checksum(text, tensors):
        raise ValueError(f"{path}: damaged, its content has another checksum")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        raise ValueError(f"{path}: its description is no JSON object")
    return description | {"state_dict": tensors}


def checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Hash (SHA-256) metadata, and names, types, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
