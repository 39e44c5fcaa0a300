"""Clip loading of the published code: one image after the other, by Pillow, as floats.

Written anew from the description of that loader, to be measured beside ours. It counts the frames by their names for
every clip, copies each image, converts each frame to float before it is written into the clip, and decodes frames at
the end of a video that no clip uses. Which frames and which crop is decided as for ours, so that pixels compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.synthetic.videos import FLOW_NAMES, RGB_NAME
from datasets.clips.views import Placement, View

MEANS = {"rgb": (114.7748, 107.7354, 99.4750), "flow": (127.5, 127.5)}  # levels of 255; the scale is 1


@dataclass(frozen=True)
class OriginalLoader:
    """Reader of clips of videos in layout "sts": of "rgb", "flow" or both, in this order, of a side in pixels."""

    streams: Sequence[str]
    size: int

    def clip(self, folder: Path, numbers: Sequence[int], placement: Placement) -> Tensor:
        """Read frames of a training clip, float (C, T, size, size), colours first, mean subtracted."""
        self.count(folder)
        return self.transform(self.images(folder, numbers), placement)

    def video(self, folder: Path, length: int, placement: Placement) -> Tensor:
        """Read all clips of a video, (clips, C, length, size, size)."""
        frames = self.count(folder)
        clip = self.transform(self.images(folder, range(1, frames + 1)), placement)
        return torch.stack([clip[:, t : t + length] for t in range(0, frames - length + 1, length)])

    def count(self, folder: Path) -> int:
        """Count frames 1 to n that can be read."""
        if "flow" not in self.streams:
            return len(list(folder.glob("[0-9]*.jpg")))
        counts = [len(list(folder.glob(name.format(0).replace("00000", "*")))) for name in FLOW_NAMES]
        return min(counts)

    def images(self, folder: Path, numbers: Sequence[int]) -> list[list[Image.Image]]:
        """Decode the images of each frame."""
        names = [RGB_NAME] * ("rgb" in self.streams) + [*FLOW_NAMES] * ("flow" in self.streams)
        frames: list[list[Image.Image]] = []
        for number in numbers:
            frames.append([])
            for name in names:
                with Image.open(folder / name.format(number)) as image:
                    frames[-1].append(image.copy())
        return frames

    def transform(self, frames: Sequence[Sequence[Image.Image]], placement: Placement) -> Tensor:
        """Crop, resize, mirror, convert and normalise image by image."""
        means = [MEANS["rgb"]] * ("rgb" in self.streams) + [(mean,) for mean in MEANS["flow"] if "flow" in self.streams]
        view = placement(frames[0][0].height, frames[0][0].width)
        clip = torch.empty(sum(map(len, means)), len(frames), self.size, self.size)
        across = len(means) - 2 if "flow" in self.streams else -1  # the image plane of horizontal motion
        for t, images in enumerate(frames):
            channel = 0
            for plane, (image, mean) in enumerate(zip(images, means, strict=True)):
                shown = show(image, view)
                if view.flip and plane == across:
                    shown = ImageOps.invert(shown)
                pixels = to_tensor(shown)
                for row, offset in zip(pixels, mean, strict=True):
                    row.sub_(offset)
                clip[channel : channel + len(mean), t] = pixels
                channel += len(mean)
        return clip


def show(image: Image.Image, view: View) -> Image.Image:
    """Apply a view with Pillow."""
    box, size, window, flip = view
    if box != (0, 0, image.height, image.width):
        image = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    if window != (0, 0, *size):
        image = image.crop((window.left, window.top, window.left + window.width, window.top + window.height))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


def to_tensor(image: Image.Image) -> Tensor:
    """Convert to float (C, H, W), levels of 255."""
    pixels = torch.from_numpy(np.array(image, np.uint8)).view(image.height, image.width, -1)
    return pixels.permute(2, 0, 1).contiguous().float()


def levels(clip: Tensor, streams: Sequence[str]) -> Tensor:
    """Return the pixels of a clip before mean subtraction, uint8."""
    means = torch.tensor([mean for stream in ("rgb", "flow") if stream in streams for mean in MEANS[stream]])
    return (clip + means.view(-1, 1, 1, 1)).round().to(torch.uint8)
