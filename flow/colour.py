"""Flow as colours: the direction is the hue, the speed the saturation (Baker et al., ICCV 2007)."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torchvision import utils


def flow_to_image(flow: ArrayLike, max_flow: float | None = None) -> NDArray[np.uint8]:
    """Draw a flow as a picture: white is at rest, red moves right, yellow down, sky blue left, violet up.

    Args:
        flow: Shape (H, W, 2), pixels per frame, x first; NaN, where it is unknown, becomes black.
        max_flow: Pixels per frame of full colour, > 0; faster motion has the same. None is the fastest of this flow.
            Pictures are comparable only if they have the same.

    Returns:
        RGB, shape (H, W, 3).

    Raises:
        ValueError: Another shape, a `max_flow` that is not positive.
    """
    array = np.array(flow, np.float32)
    if array.ndim != 3 or array.shape[2] != 2 or array.size == 0:
        raise ValueError(f"flow must have the shape (height, width, 2), got {array.shape}")
    unknown = ~np.isfinite(array).all(-1)
    array[unknown] = 0
    speed = np.hypot(array[..., 0], array[..., 1])
    if max_flow is None:
        max_flow = float(speed.max()) or 1.0
    if not 0 < max_flow < np.inf:
        raise ValueError(f"max_flow must be a positive number of pixels, got {max_flow}")
    array /= np.maximum(speed, np.float32(max_flow))[..., None]
    # torchvision scales by the fastest pixel of an image, so a row that moves at full speed is added to each.
    padded = np.pad(array, ((0, 1), (0, 0), (0, 0)), constant_values=np.float32(np.sqrt(0.5)))
    image = utils.flow_to_image(torch.from_numpy(padded).permute(2, 0, 1)).permute(1, 2, 0).numpy()[:-1]
    image[unknown] = 0
    return np.ascontiguousarray(image)


def colour_wheel(side: int) -> NDArray[np.uint8]:
    """Draw the legend of `flow_to_image`: a disc on white, (side, side, 3), whose rim moves outwards at full speed."""
    y, x = np.mgrid[:side, :side] * (2 / max(side - 1, 1)) - 1
    image = flow_to_image(np.stack([x, y], -1), 1.0)
    image[np.hypot(x, y) > 1] = 255
    return image
