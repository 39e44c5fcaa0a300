"""Choice of GPUs and backend for optical flow."""

import logging
from argparse import ArgumentTypeError
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from flow import available

from .machine import CPU

log = logging.getLogger(__name__)

# Backends of `flow`, best first. Those of GPUs compute on the device of the tensors they get.
GPU_BACKENDS = ("cuda", "torch")
CPU_BACKENDS = ("native", "torch", "opencv")


def parse_gpus(text: str) -> tuple[int, ...] | None:
    """Parse GPU numbers: those of "0" or "0,1", none for "cpu" and "-1", None for "all"."""
    if text == "all":
        return None
    if text in (CPU, "-1"):
        return ()
    numbers = text.split(",")
    if not all(number.isdecimal() for number in numbers):
        raise ArgumentTypeError(f"{text!r} is not a list of GPUs like 0 or 0,1, nor all, nor cpu")
    return tuple(dict.fromkeys(map(int, numbers)))


def choose_backend(name: str, backend: str, gpus: tuple[int, ...] | None) -> tuple[str, list[str]]:
    """Resolve backend "auto" of a flow, and return the devices that it computes on: GPUs if there are any.

    `gpus` are numbers, () for none, None for all; where torch sees no GPU they are not looked at. Raises ValueError if
    the machine has GPUs, but not these, or none for a backend that needs one.
    """
    missing, devices = available(name), choose_devices(gpus)
    if backend == "auto":
        order = CPU_BACKENDS if devices == [CPU] else GPU_BACKENDS + CPU_BACKENDS
        backend = next((b for b in order if missing.get(b) == ""), backend)
        if backend == "torch" and devices == [CPU] and missing.get("native"):
            log.warning("%s is computed by torch, several times slower: %s", name, missing["native"])
    if backend == "cuda" and devices == [CPU]:
        raise ValueError(f"--backend cuda: {missing.get('cuda') or 'GPU is cpu; name one, or say all'}")
    return backend, devices if backend in GPU_BACKENDS else [CPU]


def choose_devices(gpus: tuple[int, ...] | None) -> list[str]:
    """Return the chosen GPUs as torch names them, or the CPU where there are none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count or gpus == ():
        return [CPU]
    chosen = range(count) if gpus is None else gpus
    if absent := [number for number in chosen if number >= count]:
        raise ValueError(f"GPU {absent[0]} does not exist; there are 0 to {count - 1}, or say all or cpu")
    return [f"cuda:{number}" for number in chosen]


def device_context(device: str) -> AbstractContextManager[Any]:
    """Make a device torch's current one for a block, where solvers are built: no other GPU is opened for them."""
    return nullcontext() if device == CPU else torch.cuda.device(device)
