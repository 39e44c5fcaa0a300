"""Weights of learned flows: reading them from a file, and what tells one set from another."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sts_common.tensors import MALFORMED, read_tensors


def read_weights(flow: str, path: str | Path | None, cure: str) -> Any:
    """Read the file of weights of a learned flow onto the CPU.

    Raises FileNotFoundError, with the `cure`, if it is missing; ValueError if none is named, or it is damaged.
    """
    if path is None:
        raise ValueError(
            f"{flow} needs trained weights, which extract_frames_flows.py and show_flow.py read with "
            f"--flow_weights PATH; {cure}"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; {cure}")
    try:
        return read_tensors(Path(path))
    except MALFORMED as error:
        raise ValueError(f"{path}: damaged, or not a file of tensors; {cure}") from error


def default_device() -> str:
    """Return where learned flows are computed unless it is said: on the GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def digest(network: nn.Module) -> str:
    """Return the start of the SHA-256 of all weights: the same however the file was written."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()[:12]
