"""Photometric and geometric augmentation of training clips after their crop: `augment(clip, rng) -> clip`.

One draw counts for all frames and views of a clip, and it is the same whichever views are read: the generator decides
it and nothing else. Colours change in RGB alone. Clips are uint8 (C, T, H, W) by view, and stay as they were; what is
made of several frames, as differences are, is made afterwards, so that here are the frames.

The kernels are torchvision's. Its transforms are not used: they draw from torch's global generator, so that what a seed
draws would be other, and depend on the streams and on workers; and they do not turn flow vectors with the picture.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from ..streams import RGB, parse_view
from .image_ops import PHOTOMETRIC, erase_box, warp
from .views import draw_boxes, fitting_box

Clip = dict[str, Tensor]
Augment = Callable[[Clip, np.random.Generator], Clip]

BINS = 31  # of RandAugment's magnitudes: 0 to 30


class ColourJitter:
    """Colour jitter: brightness, contrast, saturation and hue of RGB by random factors, in random order.

    Args:
        brightness: The factor lies within 1 +- this, and is not negative.
        contrast: Likewise, about the mean grey of the clip.
        saturation: Likewise.
        hue: Shift in turns of the colour circle lies within +- this, in [0, 0.5]; it costs most of the time.

    Raises:
        ValueError: If a strength is outside its limits.
    """

    NAMES = ("brightness", "contrast", "saturation", "hue")

    def __init__(
        self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.0
    ) -> None:
        self.strengths = (brightness, contrast, saturation, hue)
        if not (all(strength >= 0 for strength in self.strengths) and hue <= 0.5):
            raise ValueError(f"--color_jitter must be >= 0, and hue <= 0.5, got {list(self.strengths)}")

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        order, draws = rng.permutation(4), rng.uniform(-1, 1, 4)
        return recolour(clip, lambda rgb: self.jitter(rgb, order, draws))

    def jitter(self, rgb: Tensor, order: np.ndarray, draws: np.ndarray) -> Tensor:
        """Jitter an RGB clip by draws in [-1, 1), one for each of `NAMES`, in an order of these."""
        for i in order.tolist():
            if strength := self.strengths[i]:
                shift = strength * float(draws[i])
                if self.NAMES[i] != "hue":  # the range of the factor ends at 0
                    low = max(1 - strength, 0)
                    shift = low + (1 + strength - low) * (float(draws[i]) + 1) / 2
                rgb = PHOTOMETRIC[self.NAMES[i]](rgb, shift)
        return rgb


class Grayscale:
    """Random grayscale: RGB without its colours, with probability `p` in [0, 1]."""

    def __init__(self, p: float = 0.2) -> None:
        self.p = check_probability(p, "--grayscale")

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        if rng.random() >= self.p:
            return clip
        return recolour(clip, lambda rgb: PHOTOMETRIC["saturation"](rgb, 0.0))


class RandAugment:
    """RandAugment (Cubuk et al., 2020): a few random operations of one strength, with the ranges of torchvision's.

    Shearing, shifting and turning move all views alike, and flow vectors are sheared and turned with the picture;
    what comes in from outside is black in RGB and no motion in flow. The other operations change RGB alone.

    Args:
        num_ops: Operations per clip, >= 0.
        magnitude: Their strength, 0 to 30.

    Raises:
        ValueError: If one of them is outside its limits.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9) -> None:
        if num_ops < 0 or not 0 <= magnitude < BINS:
            raise ValueError(f"--randaugment takes operations >= 0 and a magnitude 0 to 30, got {[num_ops, magnitude]}")
        self.num_ops, self.strength = num_ops, magnitude / (BINS - 1)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        draws = zip(rng.integers(len(OPERATIONS), size=self.num_ops), rng.random(self.num_ops) < 0.5, strict=True)
        for number, negative in draws:
            clip = operate(clip, OPERATIONS[int(number)], -self.strength if negative else self.strength)
        return clip


MOVES = {  # at full strength
    **dict.fromkeys(("shear_x", "shear_y"), 0.3),  # pixels per pixel
    **dict.fromkeys(("shift_x", "shift_y"), 150 / 331),  # of the width, of the height
    "turn": 30.0,  # degrees
}
COLOURS: dict[str, Callable[[float], float]] = {  # amount by strength
    **dict.fromkeys(("brightness", "saturation", "contrast", "sharpness"), lambda strength: 1 + 0.9 * strength),
    "posterize": lambda strength: 8 - round(4 * abs(strength)),  # bits that are kept
    "solarize": lambda strength: 255 * (1 - abs(strength)),  # grey level from which is inverted
    **dict.fromkeys(("autocontrast", "equalize"), abs),
}
OPERATIONS = ("identity", *MOVES, *COLOURS)


def operate(clip: Clip, kind: str, strength: float) -> Clip:
    """Apply one of `OPERATIONS` with a strength in [-1, 1]: moves of all views, colours of RGB."""
    if kind in MOVES:
        amount = strength * MOVES[kind]
        return {name: warp(x, kind, amount, vectors=parse_view(name).stream.vectors) for name, x in clip.items()}
    return recolour(clip, lambda rgb: PHOTOMETRIC[kind](rgb, COLOURS[kind](strength))) if kind in COLOURS else clip


def recolour(clip: Clip, change: Callable[[Tensor], Tensor]) -> Clip:
    """Change the views that are made of RGB frames."""
    return {name: change(x) if parse_view(name).stream.source == RGB.name else x for name, x in clip.items()}


class RandomErasing:
    """Random erasing (Zhong et al., 2020): a box of all views made grey and motionless, with probability `p`.

    `scale` are the least and greatest part of the area, `ratio` the least and greatest width over height.
    """

    def __init__(
        self, p: float = 0.25, scale: tuple[float, float] = (0.02, 1 / 3), ratio: tuple[float, float] = (0.3, 3.3)
    ) -> None:
        self.p, self.scale, self.ratio = check_probability(p, "--erasing"), scale, ratio

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        erase, draws = rng.random() < self.p, draw_boxes(rng, self.scale, self.ratio)
        if not erase:
            return clip
        boxes = {name: fitting_box(x.shape[-2], x.shape[-1], draws) for name, x in clip.items()}
        return {name: erase_box(x, box) if (box := boxes[name]) else x for name, x in clip.items()}


def check_probability(p: float, option: str) -> float:
    """Check that a number is a probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"{option} must be a probability in [0, 1], got {p}")
    return p


AUGMENTS: dict[str, Callable[..., Augment]] = {
    "color_jitter": ColourJitter,
    "grayscale": Grayscale,
    "randaugment": RandAugment,
    "erasing": RandomErasing,
}
