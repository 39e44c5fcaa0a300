"""Networks of images, which see each time step of a clip by itself: K segments of L frames are K images.

How channels are arranged is the layout's; here time steps go into the batch, and every stage's map back into clips.
"""

from typing import ClassVar

from torch import Tensor

from .contract import POOLED, Backbone, View
from .layout import merge_frames, split_frames

MOTION = ((127.5,), (57.63,))  # mean and standard deviation of flow and differences: bryanyzhu/two-stream-pytorch
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF = ((127.5,) * 3, (127.5,) * 3)


def view_of_images(mean: tuple[float, ...], std: tuple[float, ...], size: int = 224) -> View:
    """Return what a network of images wants to see: one frame, or stack, of each segment of a video.

    Args:
        mean: Of red, green and blue, in grey levels.
        std: Likewise.
        size: Side, pixels.
    """
    motion, spread = MOTION
    return View(
        frames=1,
        size=size,
        sampling="segments",
        mean={"rgb": mean, "flow": motion * 2, "rgbdiff": motion * 3},
        std={"rgb": std, "flow": spread * 2, "rgbdiff": spread * 3},
    )


class ImageNetwork(Backbone):
    """A network of images; a subclass defines what comes before, in and after its stages."""

    kernel_dims: ClassVar = 2

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        frames, features = x.shape[2], {}
        images = self.stem(merge_frames(x))
        for stage in self.stages:
            features[stage], kept = self.keep(split_frames(self.run_stage(stage, images), frames))
            images = merge_frames(kept)
        return features | {POOLED: self.head(images).unflatten(0, (-1, frames)).mean(1)}

    def stem(self, images: Tensor) -> Tensor:
        """Compute what the first stage reads of images (N, C, H, W)."""
        return images

    def run_stage(self, stage: str, images: Tensor) -> Tensor:
        """Compute the map of a stage from that of the one before it."""
        raise NotImplementedError

    def head(self, images: Tensor) -> Tensor:
        """Compute what the classifier reads, (N, C), from the last stage's map."""
        raise NotImplementedError


def check_dropout(value: float) -> float:
    """Return `value`, if it is a share.

    Raises:
        ValueError: If it is not in [0, 1).
    """
    if not 0 <= value < 1:
        raise ValueError(f"--model_args dropout={value}: must be in [0, 1)")
    return value
