"""The backends of TV-L1, and the choice among them.

All have the signature (preset, device, threads, parameters) and leave out what does not concern them.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from numpy.typing import ArrayLike

from .. import opencv as cv
from ..pairs import FlowSolver
from . import native as kernel
from . import triton_solver as tvl1_triton
from .native import NativeTVL1
from .parameters import build_parameters
from .torch_solver import TorchTVL1
from .triton_solver import TritonTVL1

log = logging.getLogger(__name__)

Parameters = dict[str, Any]
NO_CUDA = "no CUDA device that this torch can use: check nvidia-smi and the torch build, or use backend native"

# Why a backend cannot be used on this machine and how to change that; "" for one that can.
MISSING: dict[str, Callable[[], str]] = {
    "native": lambda: kernel.missing(),
    "torch": lambda: "",
    "cuda": lambda: "" if torch.cuda.is_available() else NO_CUDA,
    "opencv": lambda: cv.missing(),
}


def native(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> NativeTVL1:
    """Build the kernel in C++, on the CPU."""
    on_cpu("native", device)
    return NativeTVL1(build_parameters(preset, parameters), threads=threads)


def torch_eager(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> FlowSolver:
    """Build plain torch, on any device."""
    return TorchTVL1(build_parameters(preset, parameters), device=device)


def cuda(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> FlowSolver:
    """Build Triton's kernels, or plain torch on the GPU where there is no Triton."""
    if not torch.cuda.is_available():
        raise ValueError(f"flow backend cuda: {NO_CUDA}")
    device = device or "cuda"
    if torch.device(device).type != "cuda":
        raise ValueError(f"flow backend cuda computes on a GPU, not on {device}; use backend torch or native")
    if reason := tvl1_triton.missing():
        log.warning("flow by plain torch, several times slower than by Triton: %s", reason)
        return torch_eager(preset, device, threads, parameters)
    return TritonTVL1(build_parameters(preset, parameters), device=device)


def opencv(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> cv.OpenCVFlow:
    """Build OpenCV's class, the reference, on the CPU."""
    on_cpu("opencv", device)
    return cv.tvl1(**asdict(build_parameters(preset, parameters)))


def without_preset(build: Callable[..., FlowSolver], *, takes_device: bool = False) -> Callable[..., FlowSolver]:
    """Wrap a backend of a flow that has neither presets nor threads."""

    def build_solver(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> FlowSolver:
        if preset != "opencv":
            raise ValueError(f"flow preset {preset!r} is one of tvl1; {build.__name__} has its parameters only")
        if takes_device:
            return build(**parameters, device=device)
        on_cpu("opencv", device)
        return build(**parameters)

    return build_solver


def auto(preset: str, device: str | None, threads: int | None, parameters: Parameters) -> FlowSolver:
    """Build the fastest backend for where the images are."""
    if device is not None and torch.device(device).type != "cpu":
        build = cuda if torch.device(device).type == "cuda" else torch_eager
        return build(preset, device, threads, parameters)
    return AutoTVL1(preset, threads, parameters)


class AutoTVL1:
    """TV-L1 by the fastest backend for where the images are, described by that of the CPU; see `build_flow`."""

    def __init__(self, preset: str, threads: int | None, parameters: Parameters) -> None:
        self.arguments = preset, threads, parameters
        self.on_device: dict[str, FlowSolver] = {}
        self.on_cpu: FlowSolver
        if reason := kernel.missing():
            log.warning("flow by plain torch, several times slower than by the native kernel: %s", reason)
            self.on_cpu = torch_eager(preset, None, threads, parameters)
        else:
            self.on_cpu = native(preset, None, threads, parameters)
        self.description = self.on_cpu.description

    def __call__(self, previous: ArrayLike, following: ArrayLike) -> Any:
        if not isinstance(previous, torch.Tensor) or previous.device.type == "cpu":
            return self.on_cpu(previous, following)
        device = str(previous.device)
        if device not in self.on_device:
            preset, threads, parameters = self.arguments
            self.on_device[device] = auto(preset, device, threads, parameters)
        return self.on_device[device](previous, following)


def on_cpu(backend: str, device: str | None) -> None:
    """Refuse a device that a backend of CPUs cannot use."""
    if device is not None and torch.device(device).type != "cpu":
        raise ValueError(f"flow backend {backend} computes on the CPU, not on {device}; use backend cuda or torch")
