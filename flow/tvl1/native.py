"""TV-L1 by the kernel in tvl1.cpp: one pair per thread, on CPUs."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sts_common import cores
from sts_common.native import reason_missing

from ..pairs import CPU, solve
from .build import KERNEL
from .parameters import TVL1

ISAS = ("auto", "baseline", "avx2", "avx512")  # by their numbers in tvl1.h


REALS = ("tau", "lambda_", "theta", "scale_step", "epsilon")
COUNTS = ("scales", "warps", "inner_iterations", "outer_iterations", "median_filtering")


class Parameters(ctypes.Structure):
    """`tvl1_parameters` of tvl1.h."""

    _fields_ = (*((name, ctypes.c_double) for name in REALS), *((name, ctypes.c_int32) for name in COUNTS))


class NativeTVL1:
    """TV-L1 of grey images on the CPU; see `build_flow` for shapes and units.

    The same images give the same bytes, whatever the threads: pairs of a batch that are solved at a time, None for all
    cores. Another code path, of `ISAS`, rounds differently, which a pyramid amplifies where the flow is ambiguous: 0.01
    pixels in the mean. Raises ValueError for a code path that this processor lacks, gamma, or a kernel that cannot be
    had.
    """

    def __init__(self, parameters: TVL1, isa: str = "auto", threads: int | None = None) -> None:
        if parameters.gamma:
            raise ValueError("gamma is known to OpenCV's solver only: use backend opencv, or gamma=0")
        if isa not in isa_paths():
            raise ValueError(f"this processor has no code path {isa!r}; it has {', '.join(isa_paths())}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be >= 1, got {threads}")
        self.isa, self.threads = isa, threads or cores()
        self.description = parameters.description()
        self.values = {name: getattr(parameters, name) for name in REALS + COUNTS}

    def __call__(self, previous: ArrayLike, following: ArrayLike) -> Any:
        return solve(previous, following, CPU, self.find)

    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W)."""
        first, second = (images.cpu().contiguous() for images in (previous, following))
        flow = torch.empty((*first.shape, 2))
        addresses = (images.data_ptr() for images in (first, second, flow))
        parameters, isa = ctypes.byref(Parameters(**self.values)), ISAS.index(self.isa)
        code = load().tvl1_flow(parameters, *addresses, *first.shape, self.threads, isa)
        if code:
            reason = load().tvl1_message(code).decode()
            raise ValueError(f"tvl1 refuses {first.shape[2]}x{first.shape[1]} images: {reason}")
        return flow


def missing() -> str:
    """Return why there is no native kernel on this machine and how to get it; "" if there is."""
    return reason_missing(load)


def isa_paths() -> list[str]:
    """Return the code paths that this processor can run, "auto" first."""
    return [name for number, name in enumerate(ISAS) if load().tvl1_isa(number) > 0]


def isa_used() -> str:
    """Return the code path that "auto" takes."""
    return ISAS[load().tvl1_isa(0)]


@cache
def library_path() -> Path:
    """Return the library in use: the installed one if it belongs to these sources, otherwise that of the cache.

    Raises BuildError if it is neither there nor can it be compiled.
    """
    return KERNEL.path()


@cache
def load() -> ctypes.CDLL:
    """Load the library, ready to be called; ctypes releases the GIL during calls.

    Raises BuildError if there is none, or it does not load.
    """
    library = KERNEL.load(library_path())
    pointer, int32 = ctypes.c_void_p, ctypes.c_int32
    library.tvl1_flow.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_int64, int32, int32, int32, int32]
    library.tvl1_isa.argtypes = [int32]
    library.tvl1_message.argtypes = [int32]
    library.tvl1_message.restype = ctypes.c_char_p
    return library
