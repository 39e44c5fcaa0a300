"""Grad-CAM pictures: a strip of frames for a clip, and the pictures of a film."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from datasets import parse_view
from datasets.decoding.video.sizes import resize

from ..shared.captions import fitted
from .cam_tracks import Track

Picture = NDArray[np.uint8]  # RGB (H, W, 3)
Colour = tuple[int, int, int]

TILE, PANEL = 112, 288  # side of a frame on a strip, and in a film, pixels
GAP, MARGIN, LINE, CURVE = 4, 16, 24, 112  # between frames, around all, a line of text, height of the curves
BAR = 160  # width of the scale
SCALE = "evidence, share\nof the greatest"  # of the video, for each network
COLUMNS = 16  # frames on a strip at most
INK, GREY, RULE, PAPER = (30, 30, 30), (110, 110, 110), (215, 215, 215), (255, 255, 255)
# Of the networks; told apart by colour-blind people too (Okabe and Ito, 2008).
COLOURS: tuple[Colour, ...] = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (0, 0, 0))
STRENGTH = 0.7  # share of the heat colour where evidence is greatest
DARK = 0.3  # share of the light that flow keeps where there is no evidence
CONTOURS = (0.25, 0.5, 0.75)  # evidence around which flow has a line in the colour of the scale
SMOOTH = 4  # times as large curves are drawn, then averaged


@dataclass(frozen=True)
class Subject:
    """Video, class and networks of the pictures."""

    title: str  # the video
    class_name: str  # the class that evidence is for
    pictures: Mapping[str, Sequence[Picture]]  # RGB (S, S, 3) by view, of every frame
    fps: float


def overlay_heat(picture: Picture, heat: NDArray[np.float32]) -> Picture:
    """Overlay a picture with heat (h, w) in [0, 1], grey where there is none."""
    large = resize_heat(heat, picture)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    share = STRENGTH * np.sqrt(large[..., None])  # or weak evidence would not be seen
    return np.asarray((grey * (1 - share) + scale_colours(large) * share).round(), np.uint8)


def darken_by_heat(picture: Picture, heat: NDArray[np.float32]) -> Picture:
    """Darken a picture where heat (h, w) in [0, 1] is low: for flow, whose colours show directions."""
    large = resize_heat(heat, picture)
    light = DARK + (1 - DARK) * np.sqrt(large[..., None])
    out = np.ascontiguousarray((picture * light).round().astype(np.uint8))
    for level in CONTOURS:
        edges, _ = cv2.findContours((large >= level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, edges, -1, scale_colours(np.full((1, 1), level, np.float32))[0, 0].tolist(), 1)
    return out


def resize_heat(heat: NDArray[np.float32], picture: Picture) -> NDArray[np.float32]:
    """Resize heat to the size of a picture."""
    height, width = picture.shape[:2]
    return np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


def scale_colours(values: NDArray[np.float32]) -> Picture:
    """Map values (h, w) in [0, 1] to colours (h, w, 3)."""
    return np.asarray(cv2.applyColorMap((255 * values).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1], np.uint8)


def picture_rows(
    tracks: Sequence[Track], subject: Subject, frames: Sequence[int], shown: Sequence[int]
) -> Iterator[tuple[str, Colour, list[Picture]]]:
    """Yield label, colour and pictures of `shown` frames: each clip, then the heat and the probability of each network.

    Frames, of which the probability is a mean, are counted from 0.
    """
    for name, images in subject.pictures.items():
        yield f"{name} clip", INK, [images[i] for i in shown]
    for track, colour in zip(tracks, COLOURS, strict=False):
        show = darken_by_heat if parse_view(track.view).stream.vectors else overlay_heat
        label = f"{track.name}, {track.layer}: {track.probability[list(frames)].mean():.2f}"
        yield label, colour, [show(subject.pictures[track.view][i], track.heat[i]) for i in shown]


def draw_strip(tracks: Sequence[Track], subject: Subject, frames: Sequence[int]) -> Image.Image:
    """Draw some frames of a clip, counted from 0, with each network's heat, and the curves of the evidence."""
    shown = [frames[round(k)] for k in np.linspace(0, len(frames) - 1, min(COLUMNS, len(frames)))]
    rows = list(picture_rows(tracks, subject, frames, shown))
    width = len(shown) * (TILE + GAP) - GAP
    height = 2 * MARGIN + LINE + len(rows) * (LINE + TILE + MARGIN) + LINE + CURVE
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    seconds = f"{frames[0] / subject.fps:.2f} to {(frames[-1] + 1) / subject.fps:.2f} s"
    title = (
        f"{subject.title}, frames {frames[0] + 1} to {frames[-1] + 1} ({seconds}): evidence for {subject.class_name}"
    )
    heading(sheet, title, width)
    y = 2 * MARGIN + LINE
    for label, colour, images in rows:
        write(draw, (MARGIN, y), label, colour)
        for column, image in enumerate(images):
            sheet.paste(tile(image, TILE), (MARGIN + column * (TILE + GAP), y + LINE))
        y += LINE + TILE + MARGIN
    write(draw, (MARGIN, y), "evidence by frame; the upper line is the greatest of the video", GREY)
    sheet.paste(draw_curves([track.curve[shown] for track in tracks], width), (MARGIN, y + LINE))
    return sheet


def draw_film(tracks: Sequence[Track], subject: Subject) -> Iterator[Picture]:
    """Yield every frame beside each network's heat, above the evidence in the whole video; sides are even."""
    count, length = len(subject.pictures) + len(tracks), len(tracks[0].heat)
    width, top = count * (PANEL + GAP) - GAP, 2 * MARGIN + LINE
    below = top + LINE + PANEL + MARGIN
    ground = Image.new("RGB", (width + 2 * MARGIN, below + CURVE + MARGIN), PAPER)
    heading(ground, f"{subject.title}: evidence for {subject.class_name}", width)
    ground.paste(draw_curves([track.curve for track in tracks], width), (MARGIN, below))
    for i in range(length):
        sheet = ground.copy()
        draw = ImageDraw.Draw(sheet)
        for column, (label, colour, (image,)) in enumerate(picture_rows(tracks, subject, [i], [i])):
            x = MARGIN + column * (PANEL + GAP)
            write(draw, (x, top), label, colour)
            sheet.paste(tile(image, PANEL), (x, top + LINE))
        now = MARGIN + round((i + 0.5) / length * width)
        draw.line([(now, below), (now, below + CURVE)], INK, 1)
        yield np.asarray(sheet)


def heading(sheet: Image.Image, title: str, width: int) -> None:
    """Draw the title, and at its right the scale of the colours with its numbers."""
    draw, small = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    bar = scale_colours(np.tile(np.linspace(0, 1, BAR, dtype=np.float32), (12, 1)))
    left = MARGIN + width - BAR - MARGIN
    sheet.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, MARGIN))
    for share in (0, *CONTOURS, 1):
        x = left + round(share * (BAR - 1))
        draw.line([(x, MARGIN + 12), (x, MARGIN + 15)], GREY, 1)
        if share in (0, 0.5, 1):
            draw.text((x, MARGIN + 16), f"{share:g}", GREY, small, anchor="ma")
    draw.text((left - 10, MARGIN - 2), SCALE, GREY, small, anchor="ra", align="right")
    room = left - 20 - round(draw.textlength("of the greatest", small)) - MARGIN
    draw.text((MARGIN, MARGIN - 2), fitted(draw, title, room, 18), INK, ImageFont.load_default(18))


def draw_curves(curves: Sequence[NDArray[np.float32]], width: int) -> Image.Image:
    """Draw lines between 0 and 1, one value in the middle of each of as many columns."""
    large = Image.new("RGB", (width * SMOOTH, CURVE * SMOOTH), PAPER)
    draw = ImageDraw.Draw(large)
    low, high = (CURVE - 4) * SMOOTH, 4 * SMOOTH
    for share in (0, 0.5, 1):
        y = low + share * (high - low)
        draw.line([(0, y), (large.width, y)], RULE, SMOOTH)
    for curve, colour in zip(curves, COLOURS, strict=False):
        points = [((i + 0.5) / len(curve) * large.width, low + float(v) * (high - low)) for i, v in enumerate(curve)]
        draw.line(points, colour, 2 * SMOOTH, joint="curve")
    return large.resize((width, CURVE), Image.Resampling.BOX)


def write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: Colour) -> None:
    """Draw a line of text."""
    draw.text(place, text, colour, ImageFont.load_default(14))


def tile(image: Picture, side: int) -> Image.Image:
    """Resize a picture to a square of so many pixels."""
    return Image.fromarray(np.asarray(resize(image, (side, side)), np.uint8))
