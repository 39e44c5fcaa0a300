"""Real image pairs: Middlebury's, whose flow is known, and the fastest two frames of videos, whose flow is not."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.solvers.methods import Flow, distance
from benchmarks.synthetic.scenes import end_point_error
from datasets.decoding.video.reading import read_video
from flow import build_flow
from flow.flo import read_flo

Images = NDArray[np.uint8]


class RealPair(NamedTuple):
    """Two grey images (H, W) and, if known, the flow (H, W, 2) between them, NaN where it is not."""

    name: str
    previous: Images
    following: Images
    flow: NDArray[np.float32] | None = None


def middlebury(root: Path) -> list[RealPair]:
    """Read the pairs of a folder as Middlebury's: NAME/frame10.png, NAME/frame11.png and NAME/flow10.flo."""
    pairs = []
    for path in sorted(root.glob("*/flow10.flo")):
        names = [path.with_name(f"frame{number}.png") for number in (10, 11)]
        previous, following = (cv2.imread(str(name), cv2.IMREAD_GRAYSCALE) for name in names)
        if previous is None or following is None:
            raise ValueError(f"{path.parent}: frame10.png or frame11.png is not there or no image")
        images = np.asarray(previous, np.uint8), np.asarray(following, np.uint8)
        pairs.append(RealPair(path.parent.name, *images, read_flo(path)))
    if not pairs:
        raise ValueError(f"{root}: no NAME/flow10.flo with frame10.png and frame11.png; unpack other-gt-flow.zip there")
    return pairs


def fastest_pair(video: Path) -> RealPair:
    """Find the two neighbouring frames, as extracted, with the largest 95th percentile of displacement."""
    look = build_flow("dis")
    grey = [
        np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in read_video(video, allow_short=True)
    ]
    if len(grey) < 2:
        raise ValueError(f"{video}: a single frame has no flow")
    speeds = [speed(look(*pair)) for pair in pairwise(grey)]
    first = int(np.argmax(speeds))
    return RealPair(f"{video.name} {first + 1}", grey[first], grey[first + 1])


def real_errors(flow: Flow, reference: Flow, pair: RealPair) -> dict[str, float]:
    """Compute the distance of a flow from OpenCV's, the speed, and the errors where the flow is known."""
    row = distance(flow, reference) | {"speed": speed(reference)}
    if pair.flow is not None:
        known: NDArray[np.bool_] = np.asarray(np.isfinite(pair.flow).all(-1))
        row["epe"] = end_point_error(flow, pair.flow, known)
        row["epe_change"] = row["epe"] / end_point_error(reference, pair.flow, known) - 1
    return row


def speed(flow: Flow) -> float:
    """Return the 95th percentile of the displacement, pixels per frame."""
    return float(np.percentile(np.linalg.norm(flow, axis=-1), 95))
