"""Course of a distillation, for a report: agreement of student and teacher by class, and the curves of its losses."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..shared.run_records import Curve, find_runs, labels, read_run
from .drawings import SIDE
from .score_files import Group
from .single_and_fused import System, distinct

LOSSES = ("loss", "own_loss")  # beginnings of their names


class ClassAgreement(NamedTuple):
    """Agreement of two networks on the videos of a class, or of all classes."""

    name: str
    videos: int
    same: int  # the same class, right or wrong
    both: int  # the right class, both
    teacher: int  # the right class, the teacher alone
    student: int  # the student alone


class Agreement(NamedTuple):
    """Predictions of a system beside those of its teacher."""

    teacher: System
    student: System
    whole: ClassAgreement
    classes: list[ClassAgreement]  # that in which they agree least first, without those that have no videos


class TermCurve(NamedTuple):
    """A metric of a run by epoch."""

    name: str
    paths: list[tuple[str, str]]  # "train" or "val", and its line in a square of `SIDE`, in SVG's language
    low: float  # at the bottom of the square
    high: float  # at its top
    last: list[tuple[str, float]]  # value of each line in the last epoch


class RunCurves(NamedTuple):
    """Curves of the losses of a run."""

    name: str
    epochs: int
    curves: list[TermCurve]


def agreements_of(group: Group, by_file: Sequence[Sequence[System]], teacher: Path | None) -> list[Agreement]:
    """Compare each system of a group with the last system of the teacher's score file; none where it is not of it."""
    teachers = [
        systems[-1] for file, systems in zip(group.files, by_file, strict=True) if file.path.resolve() == teacher
    ]
    return [
        agreement(teachers[0], system, group.scores.class_names)
        for system in distinct(by_file)
        if teachers and system is not teachers[0]
    ]


def agreement(teacher: System, student: System, class_names: Sequence[str]) -> Agreement:
    """Count agreements of two systems on the same videos."""
    same = teacher.predicted == student.predicted
    masks = (
        torch.ones_like(same),
        same,
        teacher.right & student.right,
        teacher.right & ~student.right,
        student.right & ~teacher.right,
    )

    def counts(of: Tensor, name: str) -> ClassAgreement:
        return ClassAgreement(name, *(int((mask & of).sum()) for mask in masks))

    rows = [counts(teacher.label == label, name) for label, name in enumerate(class_names)]
    rows = sorted((row for row in rows if row.videos), key=lambda row: row.same / row.videos)
    return Agreement(teacher, student, counts(torch.ones_like(same), "all"), rows)


def runs_of(paths: Sequence[Path]) -> list[RunCurves]:
    """Read the curves of the runs at or below some paths; raises as `find_runs` and `read_run`."""
    if not paths:
        return []
    records = [read_run(folder) for folder in find_runs(paths)]
    courses = []
    for name, record in zip(labels(records), records, strict=True):
        terms = {term: lines for term, lines in record.metrics.items() if term.startswith(LOSSES)}
        epochs = max((max(line[0]) for lines in terms.values() for line in lines.values()), default=1)
        curves = [term_curve(term, lines, epochs) for term, lines in terms.items()]
        courses.append(RunCurves(name, epochs, [curve for curve in curves if curve.paths]))
    return courses


def term_curve(name: str, lines: dict[str, Curve], epochs: int) -> TermCurve:
    """Draw a metric over so many epochs; values that are not finite are left out."""
    points = {
        subset: [point for point in zip(*line, strict=True) if math.isfinite(point[1])]
        for subset, line in lines.items()
    }
    values = [value for line in points.values() for _, value in line]
    low, high = min([0.0, *values]), max(values, default=0.0)
    drawn = {subset: line_of(line, epochs, low, high) for subset, line in points.items() if line}
    return TermCurve(name, list(drawn.items()), low, high, [(subset, points[subset][-1][1]) for subset in drawn])


def line_of(points: Iterable[tuple[int, float]], last: int, low: float, high: float) -> str:
    """Return a line in SVG's language, epochs from 1 to `last` from left to right."""
    width, height = max(last - 1, 1), (high - low) or 1.0
    places = ((SIDE * (epoch - 1) / width, SIDE * (1 - (value - low) / height)) for epoch, value in points)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
