"""Strips of frames for a page, read from the data that was tested."""

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from torch import Tensor

from datasets.clips.views import Box, Placement, View
from datasets.corpora import DATASETS
from datasets.lists.entries import Entry
from datasets.records.lookup import look_on_disk, video_of
from datasets.records.manifest import read_manifest
from datasets.stores.detect import ReadOptions, open_store
from datasets.stores.store import Store
from datasets.streams import RGB
from engine.command.cli import one_line

FRAMES = 6  # of a strip, spread over the video
HEIGHT, GAP = 96, 3  # pixels
QUALITY = 80  # of the JPEG


class Listed(Protocol):
    """Videos with labels, and where they were from, such as `Scores`."""

    @property
    def video(self) -> Sequence[str]: ...
    @property
    def label(self) -> Tensor: ...
    @property
    def about(self) -> Mapping[str, Any]: ...


class Strip(NamedTuple):
    """Frames of a video side by side, or the reason why there are none."""

    uri: str = ""  # the picture, a JPEG, as a data URI; "" if there is none
    width: int = 0  # pixels
    height: int = HEIGHT  # pixels
    frames: Sequence[int] = ()  # numbers of the frames, from 1
    problem: str = ""  # why there is no picture


def strips_of(scores: Listed, frame_dir: str) -> Callable[[int], Strip]:
    """Return what draws frames of a video, by its position among the scores.

    They are in `frame_dir`, or where the scores say that they were. Raises FileNotFoundError if they are not there;
    ValueError if nothing says where they are, or they are stored in no way that is known.
    """
    options = scores.about.get("options", {})
    place = frame_dir or str(options.get("frame_dir") or "")
    if not place:
        raise ValueError("the score file does not say where the frames are; --frame_dir does")
    root = Path(place)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --frame_dir says where the frames are")
    entries = entries_of(scores, options)
    layout = "auto" if frame_dir else str(options.get("layout", "auto"))
    manifest = read_manifest(root)
    layout = manifest.layout if manifest and layout == "auto" else layout
    store = open_store(layout, root, entries, ReadOptions(fps=float(options.get("video_fps", 25.0)) or None))

    def strip(position: int) -> Strip:
        try:
            return strip_of(store, entries[position])
        except (OSError, ValueError) as error:
            return Strip(problem=one_line(error))

    return strip


def entries_of(scores: Listed, options: Mapping[str, Any]) -> list[Entry]:
    """Return the annotation's entry of every video; without one that can be read a video is located by its name."""
    about, place = scores.about, str(options.get("annotation_path") or "")
    listed: dict[str, Entry] = {}
    if place and Path(place).exists() and about.get("dataset") in DATASETS:
        subset = "test" if about.get("subset") in (None, "test") else "train"  # which has the held-out videos
        with suppress(OSError, ValueError):
            listing = DATASETS[about["dataset"]](Path(place), int(about.get("split") or 1), subset)
            listed = {entry.name: entry for entry in listing.entries}
    labels = scores.label.tolist()
    return [listed.get(name, Entry(name, label, name)) for name, label in zip(scores.video, labels, strict=True)]


def strip_of(store: Store, entry: Entry) -> Strip:
    """Draw frames spread over a video; raises FileNotFoundError or ValueError if it is absent or damaged."""
    video = video_of(entry, look_on_disk(entry, store, {RGB.name}), store, {RGB.name}, 0)
    numbers = np.unique(np.linspace(1, video.num_frames, FRAMES + 2)[1:-1].round().astype(int)).tolist()
    frames = store.read(video, RGB, numbers, Placement(small))  # (3, T, H, W)
    apart = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, GAP)), constant_values=255)
    side_by_side = np.hstack(list(apart.transpose(1, 2, 3, 0)))[:, :-GAP]
    bgr = cv2.cvtColor(np.ascontiguousarray(side_by_side), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    uri = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
    return Strip(uri, side_by_side.shape[1], HEIGHT, numbers)


def small(height: int, width: int) -> View:
    """Resize the whole frame to the height of a strip."""
    size = HEIGHT, max(1, round(width * HEIGHT / height))
    return View(Box(0, 0, height, width), size, Box(0, 0, *size))
