"""Weights of learned flows: reading them from a file, and what tells one set from another."""

import hashlib
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

# What torch.load raises on bytes that are no checkpoint.
MALFORMED = (
    *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, EOFError, OverflowError, struct.error),
    pickle.UnpicklingError,
)


def read_weights(path: Path, cure: str) -> Any:
    """Read a file of tensors onto the CPU.

    Args:
        path: The file.
        cure: How to get it, for errors.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A damaged one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {cure}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's doubts about foreign pickles: the error below says it
            return torch.load(path, map_location="cpu", weights_only=True)
    except MALFORMED as error:
        raise ValueError(f"{path}: damaged, or not a file of tensors; {cure}") from error


def digest(network: nn.Module) -> str:
    """Return the start of the SHA-256 of all weights: the same however the file was written."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()[:12]
