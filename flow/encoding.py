"""Flow in pixels <-> 8-bit images: [-bound, bound] maps to [0, 255]."""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sts_common import check_choice

Flow = TypeVar("Flow", NDArray[Any], torch.Tensor)

# Quantisation -> where on the scale of levels zero flow is decoded. A truncated level starts at its own value, so
# its middle lies half a level above; zero flow is 127.5 on the scale, hence the middle of level 127.
QUANTISATIONS = {"truncate": 127.0, "round": 127.5}


def encode(flow: Flow, bound: float = 20.0, quantisation: str = "truncate") -> Flow:
    """Encode flow as grey levels; values beyond the bound are clipped.

    Zero flow lies between levels 127 and 128: "truncate" gives 127 (STS-Net, MARS), "round" 128 (dense_flow,
    whose ties go to the even level). A network trained on one sees a constant motion in the other.

    Args:
        flow: Pixels per frame, any shape.
        bound: Pixels that become level 255, > 0.
        quantisation: A key of `QUANTISATIONS`.

    Returns:
        uint8, an array for an array, a tensor on its device for a tensor.

    Raises:
        ValueError: A bound that is not positive, an unknown quantisation, NaN in an array. Tensors are not looked
            into, which would make a GPU wait for the CPU.
    """
    check_bound(bound)
    check_choice("quantisation", quantisation, QUANTISATIONS)
    rounded = quantisation == "round"
    # One order of operations, in float32, for both: a level must not depend on where it was computed.
    if isinstance(flow, torch.Tensor):
        levels = flow.float().clamp(-bound, bound).add_(bound).div_(2 * bound).mul_(255)
        return (levels.round_() if rounded else levels).to(torch.uint8)
    scaled = np.array(flow, np.float32)
    np.clip(scaled, np.float32(-bound), np.float32(bound), out=scaled)
    if scaled.size and np.isnan(scaled.min()):
        raise ValueError("the flow holds NaN")
    scaled += np.float32(bound)
    scaled /= np.float32(2 * bound)
    scaled *= np.float32(255)
    return (np.rint(scaled, out=scaled) if rounded else scaled).astype(np.uint8)


def decode(levels: ArrayLike, bound: float = 20.0, quantisation: str = "round") -> NDArray[np.float32]:
    """Decode grey levels to pixels per frame, float32 in [-bound, bound]: the middle of what `encode` gives a level.

    Inverse of `encode` to half a level, `bound / 255` pixels, if `quantisation` is the one that encoded. Level 127 of
    "truncate" is zero flow. "round" has no level whose middle is zero: its 127 and 128 lie half a level off. Raises
    ValueError for a bound that is not positive, or an unknown quantisation.
    """
    check_bound(bound)
    check_choice("quantisation", quantisation, QUANTISATIONS)
    motion = (np.asarray(levels, np.float32) - np.float32(QUANTISATIONS[quantisation])) / np.float32(127.5)
    return np.minimum(motion, 1) * np.float32(bound)  # only flow at the bound itself is truncated to 255


def convert(
    levels: NDArray[np.uint8], from_bound: float, to_bound: float, quantisation: str, to_quantisation: str | None = None
) -> NDArray[np.uint8]:
    """Convert grey levels of one bound to those of another, and if asked to another quantisation.

    The result is what `encode` gives the middle of each level. A middle between two new levels goes to the one nearer
    to zero flow, so that what is at rest stays at rest, unless the bound of rounded levels shrinks. Levels 0 and 255,
    which hold all flow beyond the old bound, become the levels of the old bound. Levels are of any shape, bounds in
    pixels, > 0; flow beyond the new one is clipped. Raises ValueError for a bound that is not positive, or an unknown
    quantisation.
    """
    flow = decode(np.arange(256), from_bound, quantisation)
    flow[[0, -1]] = -from_bound, from_bound
    check_bound(to_bound)
    # A ten-thousandth of a level decides ties and is more than float32 loses at level 255.
    flow[1:-1] -= np.sign(flow[1:-1]) * np.float32(1e-4 * 2 * to_bound / 255)
    return encode(flow, to_bound, to_quantisation or quantisation)[levels]


def check_bound(bound: float) -> None:
    """Raise ValueError unless 0 < bound < infinity."""
    if not 0 < bound < np.inf:
        raise ValueError(f"bound must be a positive number of pixels, got {bound}")
