"""Optical flow: grey images in, pixels per frame out; `encode` turns it into 8-bit images, `decode` back."""

from .encoding import QUANTISATIONS, convert, decode, encode
from .flo import read_flo, write_flo
from .flows import BACKENDS, FLOWS, LEARNED, available, build_flow
from .pairs import FlowSolver
from .recorded import rebuild_flow, recorded_encoding, suits_gpu
from .tvl1.parameters import PRESETS

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
    "read_flo",
    "rebuild_flow",
    "recorded_encoding",
    "suits_gpu",
    "write_flo",
]
