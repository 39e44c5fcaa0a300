"""Predictions over the course of a video."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from sts_common.files import write_atomically

from ..shared.plots import COLOURS, load_figure

PICTURES = (".png", ".pdf", ".svg")
NEED = "--timeline draws with"
TOP_CLASSES = 5  # of a window; memory for a long video
MOST_LINES = 6  # classes in a picture
GREY = "#bbbbbb"  # of all other classes
ROWS = ((0.5, 1.0), (0.05, 0.42))  # of the first and the second class, from the foot of the upper plot

Named = tuple[str, float]  # class and probability


class Span(NamedTuple):
    """Part of a video."""

    start: float  # in seconds
    end: float  # in seconds
    top: Sequence[Named]  # its likeliest classes, best first; at least one

    def record(self) -> dict[str, Any]:
        """Return plain values: the best class and the runner-up, if there is one."""
        out: dict[str, Any] = {"start": round(self.start, 3), "end": round(self.end, 3)}
        for prefix, (name, probability) in zip(("", "runner_up_"), self.top, strict=False):
            out |= {f"{prefix}class": name, f"{prefix}probability": round(probability, 6)}
        return out


class Timeline:
    """Probabilities of the windows of a video, in their order; its number of `frames` is known at its end.

    `fps` is that of the video as it is read, `span` the frames from the first to the last of a window.
    """

    def __init__(self, names: Sequence[str], fps: float, span: int) -> None:
        self.names, self.fps, self.span, self.frames = names, fps, span, 0
        self.starts: list[int] = []
        self.tops: list[list[Named]] = []

    def add(self, start: int, probabilities: Tensor) -> None:
        """Add a window, by its first frame from 0 and the probabilities (K,) of its classes."""
        self.starts.append(start)
        self.tops.append(best(probabilities, self.names, TOP_CLASSES))

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.frames / self.fps

    def windows(self) -> list[Span]:
        """Return the windows in order; they may overlap, or leave gaps."""
        ends = (min(start + self.span, self.frames) for start in self.starts)
        spans = zip(self.starts, ends, self.tops, strict=True)
        return [Span(start / self.fps, end / self.fps, top) for start, end, top in spans]

    def cells(self) -> list[Span]:
        """Divide the video among its windows: each frame belongs to the one whose middle is nearest."""
        borders = [(a + b + self.span) / 2 / self.fps for a, b in pairwise(self.starts)]
        edges = [0.0, *borders, self.seconds]
        return [Span(a, b, top) for (a, b), top in zip(pairwise(edges), self.tops, strict=True)]

    def segments(self) -> list[Span]:
        """Merge neighbouring cells of one class: it and the runner-up, by the means of probabilities over time."""
        return [merge_cells([*cells]) for _, cells in groupby(self.cells(), lambda cell: cell.top[0][0])]


def merge_cells(cells: Sequence[Span]) -> Span:
    """Merge neighbouring cells, with means over time; a class that is not among the top of a cell counts as 0 there."""
    start, end = cells[0].start, cells[-1].end
    means: dict[str, float] = defaultdict(float)
    for cell in cells:
        for name, probability in cell.top:
            means[name] += (cell.end - cell.start) * probability / (end - start)
    leader = cells[0].top[0][0]
    others = sorted(means.keys() - {leader}, key=lambda name: (-means[name], name))
    return Span(start, end, [(name, means[name]) for name in (leader, *others[:1])])


def best(probabilities: Tensor, names: Sequence[str], count: int) -> list[Named]:
    """Return the likeliest classes of probabilities (K,), best first."""
    top = probabilities.topk(min(count, len(names)))
    return [(names[i], p) for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def top_at(cells: Sequence[Span], seconds: float) -> Sequence[Named]:
    """Return the likeliest classes at a second of a video, best first, by its `Timeline.cells`."""
    return cells[max(bisect_right(cells, seconds, key=lambda cell: cell.start) - 1, 0)].top


def draw_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Draw a timeline: above, the first and second class over time; below, the probabilities of these classes.

    Raises ValueError without matplotlib.
    """
    figure = load_figure(NEED)(figsize=(11, 4.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 5))
    cells = timeline.cells()
    leading, second = time_at(cells, 0), time_at(cells, 1)
    chosen = [*dict.fromkeys([*longest(leading)[:MOST_LINES], *longest(second)])][:MOST_LINES]
    colours = dict(zip(chosen, COLOURS, strict=False))
    for rank in range(len(ROWS)):
        draw_row(above, cells, rank, colours)
    middles, few = [(cell.start + cell.end) / 2 for cell in cells], len(cells) < 50
    for name in chosen:
        values = [dict(cell.top).get(name, 0.0) for cell in cells]
        style = {"linestyle": "-" if name in leading else "--", "marker": "." if few else None}
        below.plot(middles, values, color=colours[name], linewidth=1.6, label=name, **style)
    above.set_title(title, loc="left", fontsize=11)
    above.set(ylim=(0, 1), xlim=(0, cells[-1].end))
    above.set_yticks([sum(row) / 2 for row in ROWS], ["first", "second"], fontsize=8)
    above.tick_params(left=False)
    below.set(ylim=(0, 1.02), xlabel="seconds", ylabel="probability")
    below.grid(color="#dddddd", linewidth=0.6)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    if others := (leading.keys() | second.keys()) - {*chosen}:
        below.plot([], [], color=GREY, linewidth=6, label="1 other" if len(others) == 1 else f"{len(others)} others")
    figure.legend(*below.get_legend_handles_labels(), loc="outside right upper", fontsize=9, frameon=False)
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower(), dpi=120))


def draw_row(axes: Any, cells: Sequence[Span], rank: int, colours: Mapping[str, str]) -> None:
    """Draw the classes of a rank, from 0, over time."""
    low, high = ROWS[rank]
    for name, parts in groupby((cell for cell in cells if len(cell.top) > rank), lambda cell: cell.top[rank][0]):
        run = list(parts)
        place = {"ymin": low, "ymax": high, "facecolor": colours.get(name, GREY)}
        axes.axvspan(run[0].start, run[-1].end, edgecolor="white", linewidth=0.8, **place)


def time_at(cells: Sequence[Span], rank: int) -> dict[str, float]:
    """Return the seconds for which each class is at a rank, from 0."""
    seconds: dict[str, float] = defaultdict(float)
    for cell in cells:
        if len(cell.top) > rank:
            seconds[cell.top[rank][0]] += cell.end - cell.start
    return seconds


def longest(seconds: Mapping[str, float]) -> list[str]:
    """Sort classes by duration, longest first."""
    return sorted(seconds, key=lambda name: -seconds[name])
