"""Difference of two folders of stored flow: in pixels, and in the grey levels of a network's input."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.stores.provenance import differences, show
from flow.encoding import encode
from sts_common import cores, counted
from sts_common.workers import Worker

from ..shared.tables import aligned
from ..shared.tables import as_csv as write_csv
from .convert import in_parallel
from .flow_files import Encoding, find_encoding, find_record, flow_files, flow_folders, read_flow

SHOWN = 20  # videos in the table
COLUMNS = ("flows", "mean", "median", "p99", "grey", "identical", "within1", "unknown")
HEADINGS = ("flows", "mean px", "median px", "p99 px", "grey", "same %", "within 1 %", "unknown")

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """Two folders of one video, the encodings of their JPEG pairs, and the one that grey levels are compared in."""

    name: str
    folders: tuple[Path, Path]
    encodings: tuple[Encoding | None, Encoding | None]
    grey: Encoding


@dataclass
class FlowDifferences:
    """Statistics of the difference of some pairs of flows; pixels unknown to either side are only counted."""

    flows: int = 0  # number of pairs
    total: float = 0.0  # sum of end-point differences, pixels
    # Number of pixels by the upper half of their end-point difference as a float32, shape (32768,). That has 7 bits
    # of mantissa: a bin is less than a percent wide, however small the difference.
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 15, np.int64))
    # Number of grey values, two per pixel, by their difference, shape (256,).
    levels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    unknown: int = 0  # number of pixels

    def __add__(self, other: "FlowDifferences") -> "FlowDifferences":
        return FlowDifferences(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def summary(self) -> dict[str, float]:
        """Return numbers by the names in `COLUMNS`; shares are percent."""
        pixels, values = int(self.lengths.sum()), int(self.levels.sum())
        if not pixels:
            return {"flows": self.flows, "unknown": self.unknown}
        return {
            "flows": self.flows,
            "mean": self.total / pixels,
            "median": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "grey": float(self.levels @ np.arange(256)) / values,
            "identical": 100 * int(self.levels[0]) / values,
            "within1": 100 * int(self.levels[:2].sum()) / values,
            "unknown": self.unknown,
        }

    def quantile(self, share: float) -> float:
        """Return the middle of the bin in which this share of the pixels ends."""
        place = int(np.searchsorted(self.lengths.cumsum(), share * self.lengths.sum()))
        return float(np.uint32((place << 16) + 0x8000 if place else 0).view(np.float32))


def measure(a: NDArray[np.float32], b: NDArray[np.float32], grey: Encoding) -> FlowDifferences:
    """Compare two flows (H, W, 2) in pixels, NaN where unknown; `grey` is the encoding of their levels."""
    if a.shape != b.shape:
        raise ValueError(f"flow of {a.shape[1]}x{a.shape[0]} in A, of {b.shape[1]}x{b.shape[0]} in B")
    known = ~(np.isnan(a) | np.isnan(b)).any(-1)
    a, b = a[known], b[known]  # (known pixels, 2)
    lengths = np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1])
    levels = np.abs(encode(a, *grey).astype(np.int16) - encode(b, *grey))
    return FlowDifferences(
        flows=1,
        total=float(lengths.sum(dtype=np.float64)),
        lengths=np.bincount(lengths.view(np.uint32) >> 16, minlength=1 << 15),
        levels=np.bincount(levels.ravel(), minlength=256),
        unknown=known.size - len(a),
    )


def compare_video(job: Job, _: Worker) -> tuple[str, FlowDifferences, str]:
    """Return the name, the differences of the flows on both sides, and the problem of the video or ""."""
    result, problem = FlowDifferences(), ""
    try:
        a, b = (flow_files(folder) for folder in job.folders)
        if len(a) != len(b):
            problem = f"{len(a)} flows in A, {len(b)} in B"
        for here, there in zip(a, b, strict=False):
            result += measure(read_flow(here, job.encodings[0]), read_flow(there, job.encodings[1]), job.grey)
    except (ValueError, FileNotFoundError) as error:
        return job.name, FlowDifferences(), str(error)
    return job.name, result, problem


def find_jobs(first: Path, second: Path, bound: float | None, quantisation: str | None) -> tuple[list[Job], list[str]]:
    """Find the videos on both sides, and describe in a line each that one side lacks."""
    folders, encodings = {}, []
    for side, root in (("A", first), ("B", second)):
        videos, is_flo = flow_folders(root)
        folders[side] = {str(folder.relative_to(root)): folder for folder in videos}
        record = find_record(root)
        known = None if "bound" in record else bound, None if "quantisation" in record else quantisation
        encodings.append(None if is_flo else find_encoding(root, *known, "--bound --quant"))
    a, b = folders["A"], folders["B"]
    if not a.keys() & b.keys():
        raise ValueError(f"{first}: has no video with {second} in common, the first are {min(a)} and {min(b)}")
    # Where neither side has levels, those of the published tools.
    grey = encodings[0] or encodings[1] or Encoding(bound or 20.0, quantisation or "truncate")
    both = (encodings[0], encodings[1])
    jobs = [Job(name, (a[name], b[name]), both, grey) for name in sorted(a.keys() & b.keys())]
    return jobs, [f"{name}: only in {'A' if name in a else 'B'}" for name in sorted(a.keys() ^ b.keys())]


def compare_flow(
    first: str | Path,
    second: str | Path,
    *,
    bound: float | None = None,
    quantisation: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Compare two folders of stored flow, as utils1/flow_compare.py does with its options.

    Flow is JPEG pairs or .flo files; for the latter None is a `bound` of 20 pixels and the `quantisation` "truncate".
    Returns plain values: "total" and "videos" with the numbers of `COLUMNS`, "flow_json" with what the records say
    otherwise, and "problems". Raises FileNotFoundError if there is no flow; ValueError if both have no video in common,
    or nothing says a bound.
    """
    first, second = Path(first), Path(second)
    jobs, problems = find_jobs(first, second, bound, quantisation)
    a, b = find_record(first), find_record(second)
    unlike = [f"{key}: {show(x)} | {show(y)}" for key, x, y in differences(a, b, sorted(a | b)) if a and b]
    videos, total = {}, FlowDifferences()
    for name, result, problem in in_parallel(compare_video, jobs, cores() if workers is None else workers):
        problems += [f"{name}: {problem}"] if problem else []
        videos[name] = result.summary()
        total += result
    return {
        "a": str(first),
        "b": str(second),
        "grey": jobs[0].grey._asdict(),
        "flow_json": unlike,
        "problems": sorted(problems),
        "total": total.summary(),
        "videos": dict(sorted(videos.items())),
    }


def as_text(report: dict[str, Any]) -> str:
    """Format the report: differences of the records, problems, and a table with the least alike videos first."""
    rows = sorted(report["videos"].items(), key=lambda item: -item[1].get("mean", 0.0))
    title = counted(len(rows), "video") + (f", the {SHOWN} that differ most" if len(rows) > SHOWN else "")
    cells = [["video", *HEADINGS]]
    for name, row in [*rows[:SHOWN], ("total", report["total"])]:
        cells.append([name, *(f"{row[key]:.4g}" if key in row else "-" for key in COLUMNS)])
    lines = [f"flow.json, A | B: {line}" for line in report["flow_json"]]
    lines += [f"problem: {line}" for line in report["problems"][:SHOWN]]
    if (more := len(report["problems"]) - SHOWN) > 0:
        lines.append(f"{more} more problems; --json has all")
    lines.append("{}; grey levels of {bound:g} pixels, {quantisation}".format(title, **report["grey"]))
    return "\n".join([*lines, *aligned(cells, text=1)])


def as_csv(report: dict[str, Any]) -> str:
    """Format the numbers as CSV, in full, with a line for each video and the total."""
    rows = {**report["videos"], "total": report["total"]}
    lines = ([name, *(str(row.get(key, "")) for key in COLUMNS)] for name, row in rows.items())
    return write_csv([["video", *COLUMNS], *lines])


def refuse_differences(report: dict[str, Any], max_epe: float | None) -> None:
    """Raise ValueError if a video could not be compared, or the mean difference exceeds `max_epe` pixels."""
    broken = sum(not row["flows"] for row in report["videos"].values())
    if broken:
        raise ValueError(f"{broken} of {counted(len(report['videos']), 'video')} could not be compared (named above)")
    mean = report["total"].get("mean", np.inf)  # infinite if no pixel is known to both
    if max_epe is not None and not mean <= max_epe:
        raise ValueError(f"the mean end-point difference, {mean:.4g} pixels, exceeds --max_epe {max_epe:g}")
