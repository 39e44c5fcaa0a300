"""Frames of a video beside its flow in colours: a sheet of pictures, or a film if --out ends in .mp4."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from datasets.decoding.pixels import read_image
from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import mean_rate
from datasets.decoding.video.reading import read_video
from datasets.decoding.video.sizes import resize
from datasets.stores.layouts import LAYOUTS
from flow import build_flow
from flow.colour import colour_wheel, flow_to_image
from sts_common.files import write_atomically

from ..shared.captions import fitted
from ..shared.films import write_film
from .flow_files import find_encoding, find_record, flow_files, flow_folders, read_flow

RGB = LAYOUTS["sts"]["rgb"][0]
PANEL = 320  # width of a frame, and of its flow, on a sheet and in a film
GAP, LABEL, HEADER = 12, 22, 112  # pixels between pairs, above each, above all
INK, GREY, PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)
Picture = NDArray[np.uint8]  # RGB (H, W, 3)

log = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A frame, where there is one, and the flow (H, W, 2) that leads from it to the next."""

    number: int
    frame: Picture | None
    flow: NDArray[np.float32]


class StoredVideo:
    """Frames and stored flow of a folder."""

    def __init__(self, folder: Path, bound: float | None, quantisation: str | None) -> None:
        folders, is_flo = flow_folders(folder)
        if folders != [folder]:
            raise ValueError(f"{folder}: is not the folder of one video; name one, such as {folders[0]}")
        record = find_record(folder)
        self.encoding = None if is_flo else find_encoding(folder, bound, quantisation, "--bound --quant")
        self.folder, self.files = folder, flow_files(folder)
        self.count, self.fps = len(self.files), record.get("fps") or 25.0
        self.made_by = record.get("algorithm", "stored flow")

    def pairs(self, numbers: Iterable[int]) -> Iterator[Pair]:
        """Yield the chosen flows, counted from 1."""
        for number in numbers:
            path = self.folder / RGB.format(number)
            frame = read_image(path, 3) if path.exists() else None
            yield Pair(number, frame, read_flow(self.files[number - 1], self.encoding))


class VideoFile:
    """Frames and flow, computed by `solve`, of a video file; frame rate and size as of `read_video`."""

    def __init__(self, path: Path, solve: Any, fps: float | None, short_side: int | None) -> None:
        self.path, self.solve, self.wanted, self.short_side = path, solve, fps, short_side
        self.fps = fps or mean_rate(outline(path))
        self.made_by = solve.description["algorithm"]

    @cached_property
    def count(self) -> int:
        """Return the number of flows, known only after decoding."""
        return sum(1 for _ in self.frames()) - 1

    def frames(self) -> Iterator[Picture]:
        """Yield the frames from the first one on."""
        yield from map(np.asarray, read_video(self.path, self.wanted, self.short_side))

    def pairs(self, numbers: Iterable[int]) -> Iterator[Pair]:
        """Yield the chosen flows, counted from 1."""
        wanted, previous = set(numbers), None
        for number, frame in enumerate(self.frames()):  # which leads to frame number + 1, counted from 1
            if previous is not None and number in wanted:
                grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (previous, frame))
                yield Pair(number, previous, self.solve(*grey))
            previous = frame


def choose_scale(pairs: Iterable[Pair]) -> float:
    """Return the speed of full colour: 99 % of the pixels are slower; at least 1, or noise would shine."""
    speeds = np.concatenate([np.hypot(*pair.flow.reshape(-1, 2).T) for pair in pairs])
    return max(1.0, float(f"{np.nanpercentile(speeds, 99):.2g}"))


def panels(pair: Pair, scale: float) -> Picture:
    """Draw frame and flow side by side, each `PANEL` wide, both sides even as films need them."""
    height, width = pair.flow.shape[:2]
    size = (PANEL, max(2, round(PANEL * height / width / 2) * 2))
    images = [flow_to_image(pair.flow, scale)]
    if pair.frame is not None:
        images.insert(0, pair.frame)
    return np.hstack([resize(image, size) for image in images])


def draw_sheet(pairs: Sequence[Pair], scale: float, title: str, made_by: str) -> Image.Image:
    """Draw all pairs in two columns under a title and the wheel."""
    cells = [panels(pair, scale) for pair in pairs]
    columns = min(2, len(cells))
    rows = -(-len(cells) // columns)
    height, width = cells[0].shape[:2]
    step_x, step_y = width + GAP, height + LABEL + GAP
    sheet = Image.new("RGB", (GAP + columns * step_x, HEADER + rows * step_y), PAPER)
    draw = ImageDraw.Draw(sheet)
    wheel = HEADER - 2 * GAP
    smooth = Image.fromarray(colour_wheel(4 * wheel)).resize((wheel, wheel), Image.Resampling.BOX)
    sheet.paste(smooth, (sheet.width - GAP - wheel, GAP))
    draw.text((GAP, GAP), fitted(draw, title, sheet.width - wheel - 3 * GAP, 20), INK, ImageFont.load_default(20))
    lines = f"{made_by}\nfull colour is {scale:g} pixels per frame or more, in the direction that the wheel shows"
    draw.text((GAP, GAP + 34), lines, GREY, ImageFont.load_default(14), spacing=7)
    for i, (pair, cell) in enumerate(zip(pairs, cells, strict=True)):
        x, y = GAP + i % columns * step_x, HEADER + i // columns * step_y
        speed = np.nanmean(np.hypot(pair.flow[..., 0], pair.flow[..., 1]))
        label = f"frame {pair.number} to {pair.number + 1}, mean speed {speed:.2f} pixels"
        draw.text((x, y), label, INK, ImageFont.load_default(13))
        sheet.paste(Image.fromarray(cell), (x, y + LABEL))
    return sheet


def film_pictures(pairs: Iterable[Pair], scale: float) -> Iterator[Picture]:
    """Yield pictures of all pairs with the wheel in a corner."""
    wheel = colour_wheel(PANEL // 5)
    inside = np.hypot(*(np.indices(wheel.shape[:2]) * 2 / (len(wheel) - 1) - 1)) <= 1
    for pair in pairs:
        picture = panels(pair, scale)
        picture[-GAP - len(wheel) : -GAP, -GAP - len(wheel) : -GAP][inside] = wheel[inside]
        image = Image.fromarray(picture)
        place = image.width - 2 * GAP - len(wheel), image.height - GAP
        ImageDraw.Draw(image).text(place, f"{scale:g} px", INK, ImageFont.load_default(14), anchor="rs")
        yield np.asarray(image)


def show_flow(  # noqa: PLR0913  an interface of keywords
    source: Path,
    out: Path | None = None,
    *,
    frames: int = 8,
    full_colour: float | None = None,
    bound: float | None = None,
    quantisation: str | None = None,
    flow: str = "tvl1",
    backend: str = "auto",
    preset: str = "opencv",
    flow_weights: str | None = None,
    fps: float | None = 25.0,
    short_side: int | None = 256,
) -> Path:
    """Draw frames of a video beside its flow in colours, as utils1/show_flow.py does with its options.

    `full_colour` is --max, pixels per frame, and `quantisation` --quant. Returns the picture's path. Raises
    FileNotFoundError if nothing is there; ValueError if there is no flow in it, or nothing says a bound.
    """
    path = out or Path(f"{source.absolute().stem}_flow.png")
    if path.suffix not in (".png", ".mp4"):
        raise ValueError(f"--out {path}: must end in .png or .mp4")
    if frames < 1 or not (full_colour is None or full_colour > 0):
        raise ValueError(f"--frames {frames} and --max {full_colour} must be positive")
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or video")
    if source.is_dir():
        draw_video(StoredVideo(source, bound, quantisation), source, path, frames, full_colour)
    else:
        parameters: dict[str, Any] = {"weights": flow_weights} if flow_weights else {}
        solve = build_flow(flow, backend, preset, **parameters)
        draw_video(VideoFile(source, solve, fps, short_side), source, path, frames, full_colour)
    return path


def draw_video(
    video: StoredVideo | VideoFile, source: Path, path: Path, frames: int, full_colour: float | None
) -> None:
    """Write a sheet or a film of a video; raises ValueError if it has no flow."""
    if video.count < 1:
        raise ValueError(f"{source}: a single frame has no flow")
    pairs = list(video.pairs(np.unique(np.linspace(1, video.count, frames).round().astype(int)).tolist()))
    scale = full_colour or choose_scale(pairs)
    if path.suffix == ".mp4":
        pictures = film_pictures(video.pairs(range(1, video.count + 1)), scale)
        write_film(path, ((i / video.fps, picture) for i, picture in enumerate(pictures)), video.fps)
    else:
        sheet = draw_sheet(pairs, scale, str(source), video.made_by)
        write_atomically(path, lambda file: sheet.save(file, "PNG"))
    log.info(f"{path}: {video.count if path.suffix == '.mp4' else len(pairs)} of {video.count} flows")
