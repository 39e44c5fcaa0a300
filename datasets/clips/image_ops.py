"""Operations on uint8 clips (C, T, H, W) by torchvision, the same for every frame."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .views import Box

NO_MOTION = 127  # grey level that flow images store for it


def kernels() -> Any:
    """Import torchvision's functions, which takes seconds, only for runs with augmentation."""
    from torchvision.transforms.v2 import functional

    return functional


def frame_by_frame(clip: Tensor) -> Tensor:
    """Swap channels and time: the frames (T, C, H, W) of a clip, or a clip of frames."""
    return clip.transpose(0, 1)


def tall(kernel: str, clip: Tensor, *amount: float) -> Tensor:
    """Apply a kernel to all frames as one tall picture (C, T H, W): statistics are the clip's, nothing flickers."""
    return getattr(kernels(), kernel)(clip.flatten(1, 2), *amount).reshape(clip.shape)


def sharpen(clip: Tensor, amount: float) -> Tensor:
    """Blur (0 to 1) or sharpen (above 1) every frame."""
    return frame_by_frame(kernels().adjust_sharpness(frame_by_frame(clip), amount)).contiguous()


# An operation with its amount, on RGB.
PHOTOMETRIC: dict[str, Callable[[Tensor, float], Tensor]] = {
    "brightness": partial(tall, "adjust_brightness"),
    "contrast": partial(tall, "adjust_contrast"),
    "saturation": partial(tall, "adjust_saturation"),
    "hue": partial(tall, "adjust_hue"),
    "sharpness": sharpen,
    "posterize": lambda clip, amount: tall("posterize", clip, int(amount)),
    "solarize": partial(tall, "solarize"),
    "autocontrast": lambda clip, amount: tall("autocontrast", clip),
    "equalize": lambda clip, amount: tall("equalize", clip),
}


def warp(clip: Tensor, kind: str, amount: float, *, vectors: bool = False) -> Tensor:
    """Shear, shift or turn a clip, uint8 (C, T, H, W); what comes in is 0, with `vectors` no motion.

    Kinds are "shear_x" and "shear_y" about the top left corner, by pixels per pixel; "shift_x" and "shift_y" by parts
    of the width or height; "turn" clockwise about the centre, by degrees. With `vectors` the channels are x and y of
    vectors about 127.5, which are sheared and turned likewise.
    """
    height, width = clip.shape[-2:]
    shear = math.degrees(math.atan(amount))
    warped = kernels().affine(
        frame_by_frame(clip),
        angle=amount if kind == "turn" else 0.0,
        translate=[int(amount * width) * (kind == "shift_x"), int(amount * height) * (kind == "shift_y")],
        scale=1.0,
        shear=[shear * (kind == "shear_x"), shear * (kind == "shear_y")],
        center=None if kind == "turn" else [0, 0],
        fill=[float(NO_MOTION)] * 2 if vectors else None,
    )
    warped = frame_by_frame(warped).contiguous()
    return turn_vectors(warped, kind, amount) if vectors else warped


def turn_vectors(flow: Tensor, kind: str, amount: float) -> Tensor:
    """Transform the vectors of a flow clip, uint8 (2, T, H, W), after `warp` has moved their places."""
    angle = math.radians(amount)
    maps = {
        "shear_x": [[1.0, -amount], [0.0, 1.0]],
        "shear_y": [[1.0, 0.0], [-amount, 1.0]],
        "turn": [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
    }
    if kind not in maps:
        return flow
    linear = torch.tensor(maps[kind]).to(flow.device, non_blocking=True)
    vectors = torch.einsum("ij,jthw->ithw", linear, flow - 127.5)
    return (vectors + 127.5).round_().clamp_(0, 255).to(torch.uint8)


def erase_box(clip: Tensor, box: Box) -> Tensor:
    """Return a clip with a grey and motionless box."""
    return kernels().erase(clip, *box, torch.tensor(NO_MOTION))
