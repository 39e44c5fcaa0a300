"""Weights of learned flows: reading them from a file, and what tells one set from another."""

import hashlib
from pathlib import Path
from typing import Any

from torch import nn

from sts_common.tensors import MALFORMED, read_tensors


def read_weights(path: Path, cure: str) -> Any:
    """Read a file of tensors onto the CPU.

    Raises FileNotFoundError, with the `cure`, if it is missing; ValueError if it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {cure}")
    try:
        return read_tensors(path)
    except MALFORMED as error:
        raise ValueError(f"{path}: damaged, or not a file of tensors; {cure}") from error


def digest(network: nn.Module) -> str:
    """Return the start of the SHA-256 of all weights: the same however the file was written."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()[:12]
