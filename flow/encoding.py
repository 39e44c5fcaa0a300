"""Flow in pixels <-> 8-bit images: [-bound, bound] maps to [0, 255]."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTISATIONS = ("truncate", "round")


def encode(flow: ArrayLike, bound: float = 20.0, quantisation: str = "truncate") -> NDArray[np.uint8]:
    """Flow as grey levels; what is beyond the bound is clipped.

    Zero flow lies between levels 127 and 128: "truncate" gives 127 (STS-Net, MARS), "round" 128 (dense_flow,
    whose ties go to the even level). A network trained on one sees a constant motion in the other.

    Args:
        flow: Pixels per frame, any shape.
        bound: Pixels that become level 255, > 0.
        quantisation: "truncate" or "round".

    Raises:
        ValueError: A bound that is not positive, an unknown quantisation, NaN in the flow.
    """
    check_bound(bound)
    if quantisation not in QUANTISATIONS:
        raise ValueError(f"quantisation {quantisation!r} does not exist; choose from {', '.join(QUANTISATIONS)}")
    flow = np.asarray(flow, np.float32)
    if np.isnan(flow).any():
        raise ValueError("the flow holds NaN")
    levels = (np.clip(flow, -bound, bound) + np.float32(bound)) / np.float32(2 * bound) * np.float32(255)
    return (np.rint(levels) if quantisation == "round" else levels).astype(np.uint8)


def decode(levels: ArrayLike, bound: float = 20.0) -> NDArray[np.float32]:
    """Pixels per frame of grey levels, float32 in [-bound, bound].

    Inverse of `encode` to half a level with "round" and to one level, from below, with "truncate";
    a level is `2 * bound / 255` pixels.
    """
    check_bound(bound)
    return np.asarray(levels, np.float32) * np.float32(2 * bound / 255) - np.float32(bound)


def check_bound(bound: float) -> None:
    """Raise ValueError unless 0 < bound < infinity."""
    if not 0 < bound < np.inf:
        raise ValueError(f"bound must be a positive number of pixels, got {bound}")
