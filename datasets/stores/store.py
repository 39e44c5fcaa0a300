"""Interface of every storage form, and the videos in it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement
from ..lists.links import LINKS, followed, leading_out
from ..streams import RGB, STORED, Stream


class Video(NamedTuple):
    """A labelled video that was looked up."""

    name: str  # the identity of the video in results
    folder: Path  # path of the video: a folder of frames, or a file
    label: int  # class index, from 0
    num_frames: int  # frames 1 to `num_frames` are there in every stream that is read
    first: int = 0  # frames of the file before frame 1; not 0 for a segment


class Store(Protocol):
    """Videos below one root. Frames of a file count from 1; flow i leads from frame i to the next one.

    Attributes:
        root: Folder of all videos.
        streams: Names of the streams that can be stored at all.
        flow_lag: N frames have N - `flow_lag` flows: 1, or 0 where a tool leaves out the first frame.
    """

    root: Path
    streams: frozenset[str]
    flow_lag: int

    def locate(self, path: str) -> Path:
        """Find the video of an annotation entry.

        Raises FileNotFoundError if it is not there; ValueError if the entry leads out of the root.
        """

    def counts(self, folder: Path, needs: Collection[str]) -> Mapping[str, int]:
        """Count the images of a located video by stream; where flow is not needed it is not looked at.

        Raises FileNotFoundError if a stream that is needed has no images; ValueError if an image is missing, or the
        file is damaged.
        """

    def rate(self, folder: Path) -> float:
        """Return frames per second of a located video, to cut it at seconds; raises ValueError if nothing says so."""

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> NDArray[np.uint8]:
        """Read what a placement shows of frames, numbered from 1 in the video: uint8 (C, T, height, width).

        Raises FileNotFoundError if a frame is missing; ValueError if one cannot be decoded, or its size differs from
        the first one's.
        """

    def grey(self, video: Video, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Read whole RGB frames in grey, as the extraction of flow sees them: uint8 (T, H, W); raises as `read`."""


def inside(root: Path, path: str) -> Path:
    """Return `root / path`; raises ValueError if it leaves the root by other links than `links.followed` names."""
    parts = PurePosixPath(path).parts
    if not path or "\0" in path or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError(f"annotation lists {path!r}, which leads out of {root}")
    if (link := leading_out(root, path)) and link not in followed(root):
        raise ValueError(
            f"{root / link}: a symbolic link leads out of {root}, to {(root / link).resolve()}; if that is meant, "
            f"allow it by a line {link} in {root / LINKS}"
        )
    return root / path


def counted_streams(needs: Collection[str]) -> tuple[str, ...]:
    """Return the stored streams that are counted: the frames, and of the others those that are needed."""
    return tuple(name for name in STORED if name == RGB.name or name in needs)


def usable_frames(counts: Mapping[str, int], flow_lag: int) -> int:
    """Count the frames 1 to n that a video can be read at: those that have a flow where flow is counted.

    A surplus frame or flow at the end is a video that was not extracted to its end, or by two tools. Raises ValueError
    if the two counts do not fit each other.
    """
    if "flow" not in counts:
        return counts["rgb"]
    if counts.get("rgb") and counts["rgb"] != counts["flow"] + flow_lag:
        lag = " - 1" if flow_lag else ""
        raise ValueError(f"{counts['rgb']} frames and {counts['flow']} flow images, but N frames have N{lag} flows")
    return counts["flow"]
