"""Seeds, devices and number formats."""

import random
from typing import Any

import numpy as np
import torch


def setup(seed: int, device: str = "auto") -> torch.device:
    """Seed every generator and pick the device.

    Args:
        seed: >= 0.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: If the device does not exist here.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global generator
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # dying activations become denormal numbers, five times slower on a CPU
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"--device {device}: use auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices here")
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True  # clips of one run all have one shape
    return chosen


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """Mixed precision as `--amp` says.

    Args:
        device: Where the network runs.
        amp: "bf16", "off", or "auto": bf16 on a GPU that has it.
    """
    if amp == "auto":
        amp = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "off"
    return torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16")


def rng_state() -> dict[str, Any]:
    """State of torch's generators."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what `rng_state` returned; generators of GPUs that are not here are left out."""
    torch.set_rng_state(state["cpu"])
    for index, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda, index)
