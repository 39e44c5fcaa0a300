"""Seeds and devices."""

import os
import random
from typing import Any

import numpy as np
import torch

from .distributed import rank, start
from .precision import round_float32


def choose_device(device: str = "auto") -> torch.device:
    """Return a device that is here, made the current one, with denormal numbers flushed to zero.

    A GPU computes in float32 until `--amp` says otherwise. "auto" is a GPU if there is one, others are "cpu", "cuda",
    "cuda:N". Raises ValueError if it does not exist here.
    """
    torch.set_flush_denormal(True)  # dying activations become denormal numbers, five times slower on a CPU
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"--device {device}: use auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices here")
    if chosen.index is not None and chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # or events, streams and libraries would be those of the first GPU
    round_float32(chosen, "off")
    return chosen


def setup(seed: int | None, device: str = "auto", *, deterministic: bool = False) -> torch.device:
    """Seed every generator, pick the device, and join the other processes of the run if torchrun started it.

    A `seed` of None leaves the generators as they are;
    `deterministic` GPUs give the same bits in every run, as CPUs do anyway. Raises ValueError if the device, see
    `choose_device`, does not exist here.
    """
    chosen = start(choose_device(device))
    if seed is not None:
        seed += rank()  # or all processes would drop the same activations
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global generator
        torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS chooses anew, and torch raises
        torch.use_deterministic_algorithms(True)
        # Else torch.empty costs a pass of NaNs.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.deterministic = True
    elif chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True  # clips of one run all have one shape
    return chosen


def rng_state(device: torch.device) -> dict[str, Any]:
    """Return the state of torch's generators, of the CPU and of this process's GPU."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(device)] if device.type == "cuda" else [],
    }


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore what `rng_state` returned; a GPU's generator is left alone where none was in use."""
    torch.set_rng_state(state["cpu"])
    for cuda in state["cuda"][:1] if device.type == "cuda" else []:
        torch.cuda.set_rng_state(cuda, device)
