"""Optical flow: grey images in, pixels per frame out; `encode` turns it into 8-bit images, `decode` back."""

from .encoding import QUANTISATIONS, convert, decode, encode
from .flo import read_flo, write_flo
from .flows import (
    BACKENDS,
    FLOWS,
    LEARNED,
    available,
    build_flow,
    rebuild_flow,
    recorded_encoding,
    solved_levels,
    suits_gpu,
)
from .pairs import FlowSolver
from .tvl1.parameters import PRESETS
from .tvl1.tensor_solver import pairs_at_once

__all__ = [
    "BACKENDS",
    "FLOWS",
    "LEARNED",
    "PRESETS",
    "QUANTISATIONS",
    "FlowSolver",
    "available",
    "build_flow",
    "convert",
    "decode",
    "encode",
    "pairs_at_once",
    "read_flo",
    "rebuild_flow",
    "recorded_encoding",
    "solved_levels",
    "suits_gpu",
    "write_flo",
]
