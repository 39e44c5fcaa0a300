"""Networks of images, which see each time step of a clip by itself: K segments of L frames are K images.

How channels are arranged is the layout's; here time steps go into the batch, and every stage's map back into clips.
"""

from collections.abc import Collection
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.pooling import make_pool
from ..layers.temporal import NEIGHBOURS
from .contract import POOLED, Backbone, InputSpec, Weights
from .layout import merge_frames, split_frames

MOTION = ((127.5,), (57.63,))  # mean and standard deviation of flow and differences: bryanyzhu/two-stream-pytorch
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF = ((127.5,) * 3, (127.5,) * 3)
HALF_MOTION = ((127.5,), (127.5,))


def input_of_images(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    size: int = 224,
    *,
    frames: int = 1,
    of_motion: tuple[tuple[float], tuple[float]] = MOTION,
) -> InputSpec:
    """Return what a network of images wants to see: one frame, or stack, of each segment of a video.

    Args:
        mean: Of red, green and blue, in grey levels.
        std: Likewise.
        size: Side, pixels.
        frames: Segments.
        of_motion: Mean and standard deviation of flow and differences.
    """
    motion, spread = of_motion
    return InputSpec(
        frames=frames,
        size=size,
        sampling="segments",
        mean={"rgb": mean, "flow": motion * 2, "rgbdiff": motion * 3},
        std={"rgb": std, "flow": spread * 2, "rgbdiff": spread * 3},
    )


class ImageNetwork(Backbone):
    """A network of images; a subclass defines what comes before, in, between and after its stages.

    Attributes:
        temporal_pools: Stages before which the time steps of a clip are pooled, each to half as many, rounded up.
        least_side: Height and width of the smallest images of which its poolings leave something.
    """

    kernel_dims: ClassVar = 2
    least_side: ClassVar[int] = 1
    temporal_pools: Collection[str] = ()

    def pool_time(self, stages: Collection[str], method: str) -> None:
        """Pool the time steps of a clip before each of some stages: three to one, by steps of two.

        Raises:
            ValueError: If the method is neither "max" nor "avg".
        """
        self.temporal_pool = make_pool(method, (3, 1, 1), (2, 1, 1), (1, 0, 0))
        self.temporal_pools = stages

    def is_drawn(self, name: str) -> bool:
        return any(part.startswith("tam") for part in name.split("."))

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        if (side := min(x.shape[3:])) < self.least_side:
            raise ValueError(
                f"--sample_size {side}: the poolings of the network leave nothing; take {self.least_side} or more"
            )
        frames, features = x.shape[2], {}
        images = self.stem(merge_frames(x), frames)
        for stage in self.stages:
            images = self.before(stage, images)
            if stage in self.temporal_pools:
                clips = self.temporal_pool(split_frames(images, frames))
                images, frames = merge_frames(clips), clips.shape[2]
            features[stage], kept = self.merge_segments(split_frames(self.run_stage(stage, images, frames), frames))
            images = merge_frames(kept)
        return features | {POOLED: self.head(images).unflatten(0, (-1, frames)).mean(1)}

    def stem(self, images: Tensor, frames: int) -> Tensor:
        """Compute what the first stage reads of images (N T, C, H, W); T is `frames`."""
        return images

    def before(self, stage: str, images: Tensor) -> Tensor:
        """Compute what comes between the map of a stage and that of the one before it."""
        return images

    def run_stage(self, stage: str, images: Tensor, frames: int) -> Tensor:
        """Compute the map of a stage from that of the one before it; as `stem`."""
        raise NotImplementedError

    def head(self, images: Tensor) -> Tensor:
        """Compute what the classifier reads, (N T, C), from the last stage's map."""
        raise NotImplementedError


def mix_frames(layer: nn.Module | None, images: Tensor, frames: int) -> Tensor:
    """Return images (N T, C, H, W) as a layer for clips of T frames makes them; None leaves them."""
    return images if layer is None else merge_frames(layer(split_frames(images, frames)))


def tam_arguments(weights: Weights, tam: str) -> dict[str, Any]:
    """Return the arguments that the weights of a TAM layer of this name show; {} if there is none."""
    if f"{tam}.{NEIGHBOURS[0]}.fc1.weight" in weights:
        first, count = weights[f"{tam}.{NEIGHBOURS[0]}.fc1.weight"], len(NEIGHBOURS)
    elif f"{tam}.blending_layers.0.fc1.weight" in weights:
        first = weights[f"{tam}.blending_layers.0.fc1.weight"]
        count = sum(name.startswith(f"{tam}.blending_layers.") for name in weights)
    else:
        return {}
    return {"temporal": "tam", "blend_frames": count, "blend_full": first.shape[1] > 1}


def check_dropout(value: float) -> float:
    """Return `value`, if it is a share; raises ValueError if it is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"--model_args dropout={value}: must be in [0, 1)")
    return value
