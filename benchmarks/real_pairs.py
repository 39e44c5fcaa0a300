"""Real image pairs: Middlebury's, whose flow is known, and the fastest two frames of videos, whose flow is not."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.methods import REFERENCE, Solver
from benchmarks.scenes import end_point_error, grey_difference
from benchmarks.tables import Record, column, markdown
from datasets.decoding.video.reading import read_video
from flow import build_flow
from flow.flo import read_flo
from sts_common.timing import cpu_seconds

Images = NDArray[np.uint8]


class RealPair(NamedTuple):
    """Two grey images (H, W) and, if known, the flow (H, W, 2) between them, NaN where it is not."""

    name: str
    previous: Images
    following: Images
    flow: NDArray[np.float32] | None = None


def middlebury(root: Path) -> list[RealPair]:
    """Read the pairs of a folder as Middlebury's: NAME/frame10.png, NAME/frame11.png and NAME/flow10.flo.

    Raises:
        ValueError: There are none, or an image that cannot be read.
    """
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
    """Find the two neighbouring frames, as extracted, with the largest 95th percentile of displacement.

    Raises:
        ValueError: Fewer than two frames, or what is no video.
    """
    look = build_flow("dis")
    grey = [
        np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in read_video(video, allow_short=True)
    ]
    if len(grey) < 2:
        raise ValueError(f"{video}: a single frame has no flow")
    speeds = [float(np.percentile(np.linalg.norm(look(*pair), axis=-1), 95)) for pair in pairwise(grey)]
    first = int(np.argmax(speeds))
    return RealPair(f"{video.name} {first + 1}", grey[first], grey[first + 1])


def compare_real(solvers: dict[str, Solver], pair: RealPair) -> dict[str, dict[str, float]]:
    """Measure each solver's time and its distance from OpenCV's TV-L1, and from the truth where it is known."""
    timed = {name: cpu_seconds(partial(solver, pair.previous, pair.following)) for name, solver in solvers.items()}
    seconds, reference = timed[REFERENCE]
    rows = {}
    for name, (spent, flow) in timed.items():
        levels, within = grey_difference(flow, reference)
        rows[name] = {"cpu_s": spent, "ratio": seconds / spent, "px": end_point_error(flow, reference)}
        rows[name] |= {"levels": levels, "within_1": within, "speed": speed(reference)}
        if pair.flow is not None:
            known: NDArray[np.bool_] = np.asarray(np.isfinite(pair.flow).all(-1))
            rows[name]["epe"] = end_point_error(flow, pair.flow, known)
            rows[name]["epe_change"] = rows[name]["epe"] / end_point_error(reference, pair.flow, known) - 1
    return rows


def speed(flow: NDArray[np.float32]) -> float:
    """Return the 95th percentile of the displacement, pixels per frame."""
    return float(np.percentile(np.linalg.norm(flow, axis=-1), 95))


def truth_table(record: Record) -> str:
    """Tabulate for each solver and pair: pixels to OpenCV's flow, EPE, and the EPE relative to OpenCV's."""
    rows = []
    for name, entry in record["cpu"].items():
        cells = [f"{row['px']:.3f}; {row['epe']:.3f} ({100 * row['epe_change']:+.1f} %)" for row in entry["pairs"]]
        rows.append([name, *timing(entry["pairs"]), *cells])
    return markdown(["px to cv2; EPE", "ms per pair", "times as fast", *record["pairs"]], rows)


def video_table(record: Record) -> str:
    """Tabulate for each solver the distance to OpenCV's flow in pixels and levels: mean and worst pair."""
    rows = []
    for name, entry in record["cpu"].items():
        pairs = entry["pairs"]
        px, levels, within = (column(pairs, key) for key in ("px", "levels", "within_1"))
        cells = [f"{median(px):.3f}", f"{mean(px):.3f}", f"{max(px):.3f}", f"{mean(levels):.3f}", f"{max(levels):.3f}"]
        rows.append([name, *timing(pairs), *cells, f"{100 * mean(within):.1f} %"])
    header = ["px: median pair", "mean", "worst", "levels: mean", "worst", "within 1"]
    return markdown(["to cv2 tvl1", "ms per pair", "times as fast", *header], rows)


def timing(pairs: Sequence[dict[str, float]]) -> list[str]:
    """Return CPU time, and its ratio to OpenCV's."""
    ratios = column(list(pairs), "ratio")
    return [
        f"{1000 * median(column(list(pairs), 'cpu_s')):.0f}",
        f"{median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
    ]


def measure_real(solvers: dict[str, Solver], pairs: Iterable[RealPair]) -> dict[str, Any]:
    """Return the numbers of every solver and pair, by the names of both."""
    rows: dict[str, Any] = {name: {"description": solver.description, "pairs": []} for name, solver in solvers.items()}
    names = []
    for pair in pairs:
        names.append(pair.name)
        for name, row in compare_real(solvers, pair).items():
            rows[name]["pairs"].append(row)
    return {"pairs": names, "cpu": rows}
