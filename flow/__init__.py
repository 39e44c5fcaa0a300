"""Optical flow: grey images in, pixels per frame out; `encode` turns it into 8-bit images, `decode` back."""

from typing import Any

from .encoding import QUANTISATIONS, decode, encode
from .opencv import OpenCVFlow, dis, farneback, tvl1

FLOWS = {"tvl1": tvl1, "dis": dis, "farneback": farneback}
BACKENDS = ("auto", "opencv")
PRESETS = ("opencv",)

__all__ = ["FLOWS", "QUANTISATIONS", "OpenCVFlow", "build_flow", "decode", "encode"]


def build_flow(name: str, backend: str = "auto", preset: str = "opencv", **parameters: Any) -> OpenCVFlow:
    """Flow from one grey image to the next; one object serves any number of pairs of any size.

    Args:
        name: A key of `FLOWS`.
        backend: What computes it; "auto" takes the best that is there.
        preset: Whose default parameters; "opencv" are the ones of OpenCV's own classes.
        parameters: Solver parameters that replace the preset's, by the names in `.description["parameters"]`.

    Returns:
        A callable `(previous, following) -> flow`: uint8 (H, W) or (N, H, W) in, float32 (..., H, W, 2) out,
        pixels per frame, x first: `following[y + flow_y, x + flow_x]` is what `previous[y, x]` became.
        Its `.description` holds algorithm, parameters and library in plain types.

    Raises:
        ValueError: A name, backend, preset or parameter that does not exist, or an OpenCV without TV-L1.
    """
    for value, known, what in (
        (name, FLOWS, "flow"),
        (backend, BACKENDS, "flow backend"),
        (preset, PRESETS, "flow preset"),
    ):
        if value not in known:
            raise ValueError(f"{what} {value!r} does not exist; choose from {', '.join(known)}")
    return FLOWS[name](**parameters)
