"""Difference of two folders of stored flow: in pixels, and in the grey levels of a network's input."""

import csv
import io
import logging
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.stores.provenance import differences, show
from flow.encoding import encode
from sts_common import counted
from sts_common.files import write_text
from sts_common.json_text import as_json

from ..shared.processes import Worker
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
    """Statistics of the difference of some pairs of flows; pixels unknown to either side are only counted.

    Attributes:
        flows: Number of pairs.
        total: Sum of end-point differences, pixels.
        lengths: Number of pixels by the upper half of their end-point difference as a float32, shape (32768,). That has
            7 bits of mantissa: a bin is less than a percent wide, however small the difference.
        levels: Number of grey values, two per pixel, by their difference, shape (256,).
        unknown: Number of pixels.
    """

    flows: int
    total: float
    lengths: NDArray[np.int64]
    levels: NDArray[np.int64]
    unknown: int

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


def no_differences() -> FlowDifferences:
    """Return the statistics of no flows."""
    return FlowDifferences(0, 0.0, np.zeros(1 << 15, np.int64), np.zeros(256, np.int64), 0)


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
    result, problem = no_differences(), ""
    try:
        a, b = (flow_files(folder) for folder in job.folders)
        if len(a) != len(b):
            problem = f"{len(a)} flows in A, {len(b)} in B"
        for here, there in zip(a, b, strict=False):
            result += measure(read_flow(here, job.encodings[0]), read_flow(there, job.encodings[1]), job.grey)
    except (ValueError, FileNotFoundError) as error:
        return job.name, no_differences(), str(error)
    return job.name, result, problem


def find_jobs(opt: Namespace) -> tuple[list[Job], list[str]]:
    """Find the videos on both sides, and describe in a line each that one side lacks."""
    folders, encodings = {}, []
    for side, root in (("A", opt.a), ("B", opt.b)):
        found, is_flo = flow_folders(root)
        folders[side] = {str(folder.relative_to(root)): folder for folder in found}
        record = find_record(root)
        bound = None if "bound" in record else opt.bound
        quantisation = None if "quantisation" in record else opt.quant
        encodings.append(None if is_flo else find_encoding(root, bound, quantisation, "--bound --quant"))
    a, b = folders["A"], folders["B"]
    if not a.keys() & b.keys():
        raise ValueError(f"{opt.a}: has no video with {opt.b} in common, the first are {min(a)} and {min(b)}")
    # Where neither side has levels, those of the published tools.
    grey = encodings[0] or encodings[1] or Encoding(opt.bound or 20.0, opt.quant or "truncate")
    both = (encodings[0], encodings[1])
    jobs = [Job(name, (a[name], b[name]), both, grey) for name in sorted(a.keys() & b.keys())]
    return jobs, [f"{name}: only in {'A' if name in a else 'B'}" for name in sorted(a.keys() ^ b.keys())]


def compare(opt: Namespace) -> dict[str, Any]:
    """Compare two folders; return plain types, as --json writes them."""
    jobs, problems = find_jobs(opt)
    a, b = find_record(opt.a), find_record(opt.b)
    unlike = [f"{key}: {show(x)} | {show(y)}" for key, x, y in differences(a, b, sorted(a | b)) if a and b]
    videos, total = {}, no_differences()
    for name, result, problem in in_parallel(compare_video, jobs, opt.workers):
        problems += [f"{name}: {problem}"] if problem else []
        videos[name] = result.summary()
        total += result
    return {
        "a": str(opt.a),
        "b": str(opt.b),
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
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"flow.json, A | B: {line}" for line in report["flow_json"]]
    lines += [f"problem: {line}" for line in report["problems"][:SHOWN]]
    if (more := len(report["problems"]) - SHOWN) > 0:
        lines.append(f"{more} more problems; --json has all")
    lines.append("{}; grey levels of {bound:g} pixels, {quantisation}".format(title, **report["grey"]))
    lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]
    return "\n".join(lines)


def write_reports(opt: Namespace, report: dict[str, Any]) -> None:
    """Write the files of --json and --csv."""
    if opt.json:
        write_text(opt.json, as_json(report, indent=2) + "\n")
    if opt.csv:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["video", *COLUMNS], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"video": name} | row for name, row in {**report["videos"], "total": report["total"]}.items())
        write_text(opt.csv, text.getvalue())


def main(opt: Namespace) -> dict[str, Any]:
    """Print and write the comparison; return it."""
    report = compare(opt)
    write_reports(opt, report)
    print(as_text(report))  # noqa: T201 - the result
    broken = sum(not row["flows"] for row in report["videos"].values())
    if broken:
        raise ValueError(f"{broken} of {counted(len(report['videos']), 'video')} could not be compared (named above)")
    mean = report["total"].get("mean", np.inf)  # infinite if no pixel is known to both
    if opt.max_epe is not None and not mean <= opt.max_epe:
        raise ValueError(f"the mean end-point difference, {mean:.4g} pixels, exceeds --max_epe {opt.max_epe:g}")
    return report
