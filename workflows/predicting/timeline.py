"""What a network says over the course of a video."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from engine.files import write_atomically

PICTURES = (".png", ".pdf", ".svg")
KEPT = 5  # classes per window; memory for a long video
LINES = 6  # classes in a picture
# Told apart by colour-blind people too (Okabe and Ito, 2008); its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
REST = "#bbbbbb"

Named = tuple[str, float]  # class and probability


class Span(NamedTuple):
    """Part of a video.

    Attributes:
        start: In seconds.
        end: In seconds.
        top: Its likeliest classes, best first.
    """

    start: float
    end: float
    top: Sequence[Named]

    def record(self) -> dict[str, Any]:
        """As plain values, the best class alone."""
        name, probability = self.top[0]
        times = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return {**times, "class": name, "probability": round(probability, 6)}


class Timeline:
    """Probabilities of the windows of a video, in their order.

    Args:
        names: Of the classes.
        fps: Frames per second of the video as it is read.
        span: Frames from the first to the last of a window.

    Attributes:
        frames: Of the video; known at its end.
    """

    def __init__(self, names: Sequence[str], fps: float, span: int) -> None:
        self.names, self.fps, self.span, self.frames = names, fps, span, 0
        self.starts: list[int] = []
        self.tops: list[list[Named]] = []

    def add(self, start: int, probabilities: Tensor) -> None:
        """A window, by its first frame from 0 and the probabilities (K,) of its classes."""
        self.starts.append(start)
        self.tops.append(best(probabilities, self.names, KEPT))

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.frames / self.fps

    def windows(self) -> list[Span]:
        """Windows as they were seen; they may overlap, or leave gaps."""
        ends = (min(start + self.span, self.frames) for start in self.starts)
        spans = zip(self.starts, ends, self.tops, strict=True)
        return [Span(start / self.fps, end / self.fps, top) for start, end, top in spans]

    def cells(self) -> list[Span]:
        """The video shared out among its windows: each frame belongs to the one whose middle is nearest."""
        borders = [(a + b + self.span) / 2 / self.fps for a, b in pairwise(self.starts)]
        edges = [0.0, *borders, self.seconds]
        return [Span(a, b, top) for (a, b), top in zip(pairwise(edges), self.tops, strict=True)]

    def segments(self) -> list[Span]:
        """Neighbouring cells of one class, joined; with the mean of its probability, by duration."""
        joined = []
        for name, cells in groupby(self.cells(), lambda cell: cell.top[0][0]):
            run = list(cells)
            duration = run[-1].end - run[0].start
            mean = sum((cell.end - cell.start) * cell.top[0][1] for cell in run) / duration
            joined.append(Span(run[0].start, run[-1].end, [(name, mean)]))
        return joined


def best(probabilities: Tensor, names: Sequence[str], count: int) -> list[Named]:
    """The likeliest classes of probabilities (K,), best first."""
    top = probabilities.topk(min(count, len(names)))
    return [(names[i], p) for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


class Lookup:
    """What is said at any second of a video.

    Args:
        cells: As `Timeline.cells` gives them.
    """

    def __init__(self, cells: Sequence[Span]) -> None:
        self.cells, self.starts = cells, [cell.start for cell in cells]

    def __call__(self, seconds: float) -> Sequence[Named]:
        return self.cells[max(bisect_right(self.starts, seconds) - 1, 0)].top


def figure_class() -> Any:
    """Matplotlib's.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--timeline draws with matplotlib: pip install matplotlib") from None
    return Figure


def draw_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Picture of a timeline: above, who is ahead when; below, the probabilities of the classes that lead longest.

    Raises:
        ValueError: Without matplotlib.
    """
    figure = figure_class()(figsize=(11, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 5))
    cells, segments = timeline.cells(), timeline.segments()
    leading: dict[str, float] = defaultdict(float)
    for segment in segments:
        leading[segment.top[0][0]] += segment.end - segment.start
    chosen = sorted(leading, key=lambda name: -leading[name])[:LINES]
    colours = dict(zip(chosen, COLOURS, strict=False))
    for segment in segments:
        colour = colours.get(segment.top[0][0], REST)
        above.axvspan(segment.start, segment.end, facecolor=colour, edgecolor="white", linewidth=0.8)
    middles, few = [(cell.start + cell.end) / 2 for cell in cells], len(cells) < 50
    for name in chosen:
        values = [dict(cell.top).get(name, 0.0) for cell in cells]
        below.plot(middles, values, color=colours[name], linewidth=1.6, label=name, marker="." if few else None)
    above.set_title(title, loc="left", fontsize=11)
    above.set(yticks=[], xlim=(0, cells[-1].end))
    below.set(ylim=(0, 1.02), xlabel="seconds", ylabel="probability")
    below.grid(color="#dddddd", linewidth=0.6)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    if len(leading) > len(chosen):
        below.plot([], [], color=REST, linewidth=6, label=f"{len(leading) - len(chosen)} others")
    figure.legend(*below.get_legend_handles_labels(), loc="outside right upper", fontsize=9, frameon=False)
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower(), dpi=120))
