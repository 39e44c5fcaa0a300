"""Videos with predictions drawn into the picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets.decoding.pixels import read_image
from datasets.decoding.video.frames import timed_frames
from datasets.decoding.video.outline import outline
from datasets.decoding.video.pictures import Pictures
from datasets.decoding.video.sizes import resize

from ..shared.captions import fitted
from ..shared.films import Picture, Timed, write_film
from .video_streams import frame_files

BARS = 3
DARK, INK, PALE, BAR = (12, 12, 16, 190), (255, 255, 255, 255), (200, 200, 205, 255), (0, 114, 178, 255)

Named = tuple[str, float]


def original_frames(path: Path, fps: float) -> tuple[float, Iterator[Timed]]:
    """Return the rate of a video, `fps` of a folder of frames, and (seconds, frame) for every frame at its own size."""
    if path.is_dir():
        return fps, ((i / fps, read_image(file, 3)) for i, file in enumerate(frame_files(path)))
    index = outline(path)
    picture = Pictures(path, index.size)
    return 1 / index.period, ((seconds, picture(frame)) for seconds, frame in timed_frames(path))


def write_annotated(
    path: Path, frames: Iterable[Timed], rate: float, top_at: Callable[[float], Sequence[Named]]
) -> None:
    """Write a film of frames with what is said at their time; arguments and errors as `films.write_film`.

    Frames of another size than the first are fitted to it; `top_at` gives classes with probabilities, best first, by
    second.
    """
    write_film(path, ((seconds, label(frame, top_at(seconds))) for seconds, frame in of_one_size(frames)), rate)


def of_one_size(frames: Iterable[Timed]) -> Iterator[Timed]:
    """Resize frames to the size of the first."""
    size: tuple[int, int] | None = None
    for seconds, frame in frames:
        size = size or (frame.shape[1], frame.shape[0])
        yield seconds, np.asarray(resize(frame, size), np.uint8)


def label(frame: Picture, top: Sequence[Named]) -> Picture:
    """Draw the best class and three bars into the lower left corner of a frame."""
    height, width = frame.shape[:2]
    panel = draw_panel(tuple(top[:BARS]), height, width)
    out = frame.copy()
    corner = out[height - panel.height :, : panel.width]
    corner[:] = np.asarray(Image.alpha_composite(Image.fromarray(corner).convert("RGBA"), panel).convert("RGB"))
    return out


@lru_cache(4)
def draw_panel(top: tuple[Named, ...], height: int, width: int) -> Image.Image:
    """Draw the best class in large letters above bars, in RGBA, no larger than a frame of this height and width."""
    large, small = max(height // 18, 10), max(height // 26, 8)
    gap = max(small // 3, 2)
    wide = min(width, max(22 * small, 2 * gap))
    tall = min(height, large + (small + gap) * len(top) + 3 * gap)
    panel = Image.new("RGBA", (wide, tall), DARK)
    draw = ImageDraw.Draw(panel)
    draw.text(
        (gap, gap), fitted(draw, top[0][0], wide - 2 * gap, large, keep="start"), INK, ImageFont.load_default(large)
    )
    number = draw.textlength("100 %", ImageFont.load_default(small)) + gap
    for row, (name, probability) in enumerate(top):
        y = 2 * gap + large + row * (small + gap)
        length = (wide - 2 * gap - number) * min(max(probability, 0.0), 1.0)
        draw.rectangle((gap, y, gap + length, y + small), BAR)
        text = fitted(draw, name, int(wide - 3 * gap - number), small, keep="start")
        draw.text((2 * gap, y + small / 2), text, PALE, ImageFont.load_default(small), anchor="lm")
        share = f"{100 * probability:.0f} %"
        draw.text((wide - gap, y + small / 2), share, INK, ImageFont.load_default(small), anchor="rm")
    return panel
