"""The streams of a video file, without extracting it: what a network is fed, in memory."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from datasets import FLOW, read_video
from datasets.crops import CenterCrop
from datasets.images import resample_frames
from flow import encode, rebuild_flow, recorded_encoding

BATCH = 32  # frames whose flow is computed at a time, one pair per core


def common_recipe(paths: list[str], states: list[dict]) -> dict:
    """How to make clips that suit all checkpoints; how flow is made is known by those that read it.

    Raises:
        ValueError: If they need different clips or flow.
    """
    first = max(range(len(states)), key=lambda i: states[i]["stream"] == FLOW.name)
    recipe = states[first]["recipe"]
    for path, state in zip(paths, states, strict=True):
        own = state["recipe"]
        needs = {key: (own[key], recipe[key]) for key in ("sample_size", "sample_duration")}
        keys = ("fps", "short_side", *(("algorithm", "bound", "quantisation") if state["stream"] == FLOW.name else ()))
        needs |= {key: (own["provenance"].get(key), recipe["provenance"].get(key)) for key in keys}
        for key, (here, there) in needs.items():
            if here != there and None not in (here, there):
                raise ValueError(f"{path}: made with {key} {here}, {paths[first]} with {there}; they cannot be fused")
    return recipe


def read_streams(path: Path, recipe: dict, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Decode a video as its recipe says, computing flow where it is wanted.

    Returns:
        uint8 (C, T, S, S) per stream; a video of N frames has N - 1 flows.
    """
    placement = CenterCrop(recipe["sample_size"])(np.random.default_rng(0))
    pieces: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for images in frames_of(path, recipe["provenance"], FLOW.name in wanted):
        for name in wanted:
            if name in images:  # frame by frame: memory for the crop alone
                frame = images[name][None]
                pieces[name].append(torch.from_numpy(resample_frames(frame, placement(*frame.shape[1:3]))))
    return {name: torch.cat(frames, 1) for name, frames in pieces.items()}


def frames_of(path: Path, provenance: dict, with_flow: bool) -> Iterator[dict[str, np.ndarray]]:
    """Frames (H, W, 3) and, from the second one on, the flow (H, W, 2) that leads to them, both uint8."""
    solve = flow_of(provenance) if with_flow else None
    frames = read_video(path, provenance.get("fps", 25.0), provenance.get("short_side", 256))
    before: list[np.ndarray] = []
    while batch := list(islice(frames, BATCH)):
        levels: list[np.ndarray] = []
        if solve:
            grey = np.stack([*before, *(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in batch)])
            levels, before = list(solve(grey[:-1], grey[1:])), [grey[-1]]
        without = len(batch) - len(levels)  # all frames, or the first one of the video
        for i, frame in enumerate(batch):
            yield {"rgb": frame} | ({"flow": levels[i - without]} if i >= without else {})


def flow_of(provenance: dict) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Flow between grey images (N, H, W), in levels (N, H, W, 2), as `provenance` says.

    Raises:
        ValueError: Flow that cannot be computed from what a checkpoint knows.
    """
    solver, encoding = rebuild_flow(provenance), recorded_encoding(provenance)
    return lambda previous, following: encode(solver(previous, following), **encoding)
