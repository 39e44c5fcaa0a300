"""Streams of a video without an extraction: frames, flow and crops while it is decoded."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from datasets import RGB, ClipView, read_video, views_of
from datasets.clips.crops import TestCrops
from datasets.clips.views import Placement
from datasets.decoding.images import resample_frames
from datasets.decoding.pixels import read_image
from datasets.decoding.video.index import index_video
from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import ticks_of
from datasets.decoding.video.sizes import Scaler
from datasets.stores.frames import count_usable_frames
from datasets.stores.layouts import LAYOUTS
from datasets.stores.provenance import FRAMES_FILE, show
from engine.device.prefetch import copy_stream
from flow import encode, rebuild_flow, recorded_encoding, solved_levels, suits_gpu

from ..stored_flow.flow_files import find_record

log = logging.getLogger(__name__)

BATCH = 32  # frames whose flow is computed at a time, one pair per core
CPU = torch.device("cpu")
FRAME = LAYOUTS["sts"]["rgb"][0]

Item = TypeVar("Item")
Picture = NDArray[np.uint8]  # (H, W, C)
Solve = Callable[[Picture, Picture], Picture]
Sample = dict[str, Picture]  # of one frame, by stream, or of what networks see, by view


def read_frames(path: Path, provenance: dict) -> Iterator[Picture]:
    """Yield RGB frames of a video file, or of a folder of frames, at the rate and size of the network's training.

    Raises FileNotFoundError if there is no such file; ValueError for a damaged file or folder, or frames of
    another rate.
    """
    short_side, fps = provenance.get("short_side", 256), provenance.get("fps", 25.0)
    if path.is_dir():
        stored_fps = find_record(path, FRAMES_FILE).get("fps", fps)
        if stored_fps != fps:
            raise ValueError(
                f"{path}: frames at {show(stored_fps)} fps, but the network saw {show(fps)}; give the video file"
            )
        images = (read_image(file, 3) for file in frame_files(path))
        yield from map(np.asarray, map(Scaler(short_side, path), images))
    else:
        for note in outline(path).notes:
            log.warning("%s: %s", path, note)
        yield from map(np.asarray, read_video(path, fps, short_side))


def frame_files(folder: Path) -> list[Path]:
    """Return the files of a video's frames; raises as `datasets.stores.frames.count_usable_frames`."""
    count = count_usable_frames(folder, LAYOUTS["sts"], {RGB.name})
    return [folder / FRAME.format(number) for number in range(1, count + 1)]


def frames_of(path: Path, provenance: dict, with_flow: bool, device: torch.device = CPU) -> Iterator[Sample]:
    """Yield frames (H, W, 3) and, from the second one on, the flow (H, W, 2) that leads to them, both uint8."""
    return add_flow(read_frames(path, provenance), flow_of(provenance, device) if with_flow else None)


def add_flow(frames: Iterator[Picture], solve: Solve | None) -> Iterator[Sample]:
    """Yield frames and, from the second one on, the flow that leads to them, if there is a solver."""
    before: list[Picture] = []
    for batch in batched(frames, BATCH if solve else 1):
        levels: list[Picture] = []
        if solve:
            grey = np.stack([*before, *(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in batch)])
            levels, before = list(solve(grey[:-1], grey[1:])), [grey[-1]]
        first = len(batch) - len(levels)  # all frames are without flow, or the first one of the video
        for i, frame in enumerate(batch):
            yield {"rgb": frame} | ({"flow": levels[i - first]} if i >= first else {})


def flow_of(provenance: dict, device: torch.device = CPU) -> Solve:
    """Build a function from grey images (N, H, W) to flow levels (N, H, W, 2), as `provenance` states.

    A GPU, the device of the networks, computes the flow if it can, beside them; otherwise the CPU does. Raises
    ValueError for flow that cannot be computed from what a checkpoint knows.
    """
    encoding = recorded_encoding(provenance)
    if device.type != "cuda" or not suits_gpu(provenance):
        on_cpu = rebuild_flow(provenance)
        return lambda previous, following: encode(on_cpu(previous, following), **encoding)
    solver = rebuild_flow(provenance, device=str(device))

    def solve(previous: Picture, following: Picture) -> Picture:
        with torch.cuda.stream(copy_stream(device)):
            return solved_levels(solver, previous, following, str(device), **encoding)

    return solve


def crop_samples(
    images: Iterable[Sample], size: int, wanted: Sequence[str], short_side: int | None = None
) -> Iterator[Sample]:
    """Crop the centre of each frame, (C, 1, size, size), and of what leads from it to the next one.

    Images are as `add_flow` gives them, resized to `short_side` before, or to `size`. With views of flow or differences
    wanted the last frame, which none leads away from, is left out.
    """
    views, placement = views_of(wanted), TestCrops(size, 1, short_side)(np.random.default_rng(0))
    parts, leads, before = {part_of(view): view for view in views}, bool(leading_streams(wanted)), None
    for image in images:
        crops = {part: cropped(image, view, placement) for part, view in parts.items() if part[0] in image}
        if not leads:
            yield {view.name: crops[part_of(view)] for view in views}
        elif before is not None:
            yield {view.name: frame_of(view, before, crops) for view in views}
        before = crops


Crops = dict[tuple[str, int | None], Picture]  # (C, 1, S, S) by source and side


def part_of(view: ClipView) -> tuple[str, int | None]:
    """Return the source and the side of a view, by which views share their crops."""
    return view.stream.source, view.side


def cropped(image: Sample, view: ClipView, placement: Placement) -> Picture:
    """Crop the source of a view in an image, (C, 1, side, side)."""
    frame, seen = image[view.stream.source], placement.at(view.side) if view.side else placement
    return resample_frames(frame[None], seen(*frame.shape[:2]))


def frame_of(view: ClipView, crops: Crops, following: Crops) -> Picture:
    """Return a frame of a view by its crops and the next frame's, with which comes the flow that leads there."""
    part = part_of(view)
    if view.stream.of_pair:
        return view.stream.of_pair(crops[part], following[part])
    return (following if view.stream.vectors else crops)[part]


def count_samples(path: Path, provenance: dict, wanted: Sequence[str]) -> int:
    """Count the samples of views of a video file or folder, as `frames_of` and `crop_samples` give them."""
    if path.is_dir():
        frames = len(frame_files(path))
    else:
        fps = provenance.get("fps", 25.0)
        frames = len(index_video(path).seconds if fps is None else ticks_of(path, fps))
    return frames - bool(leading_streams(wanted))


def leading_streams(wanted: Sequence[str]) -> list[str]:
    """Return the names of the streams of views that lead from a frame to the next one."""
    return list(dict.fromkeys(view.stream.name for view in views_of(wanted) if view.stream.leads))


def single_frame_error(source: Path, wanted: Sequence[str]) -> ValueError:
    """Return the error of a video that has no sample of views."""
    return ValueError(f"{source}: a single frame has no {' and no '.join(leading_streams(wanted))}")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one perhaps shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
