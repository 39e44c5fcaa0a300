"""Details of one score file: confused classes, disagreement of streams, the worst errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine import confusion
from engine.command.cli import one_line
from engine.evaluation.analysis import (
    ClassOutcomes,
    Outcome,
    Pair,
    Winners,
    class_outcomes,
    confused_pairs,
    outcomes,
    winners,
    worst_errors,
)

from ..shared.frame_strips import Strip, strips_of
from .score_files import ScoreFile
from .single_and_fused import System


class SystemPrediction(NamedTuple):
    """Prediction of a system for a video: the system's name, a class and its probability."""

    system: str
    predicted: str
    probability: float


class Error(NamedTuple):
    """A misclassified video."""

    video: str
    true: str  # its class
    true_probability: float  # of that class
    predictions: list[SystemPrediction]  # that of the system, and after it that of each stream
    strip: Strip  # frames of it


class Disagreement(NamedTuple):
    """Agreement of the streams, and the fused results on it."""

    streams: list[System]
    outcomes: list[Outcome]
    winners: Winners
    by_class: ClassOutcomes


@dataclass
class Details:
    """Details of the last system of a file: the fused one, or its only stream."""

    number: int  # of the file in its group, from 1
    file: ScoreFile
    systems: list[System]  # its streams and, if there are several, the fused system
    table: Tensor  # confusion of the last one, counts (K, K) by true and predicted class
    pairs: list[Pair]  # what it confuses, most videos first
    disagreement: Disagreement | None  # of its streams; None for one alone
    errors: list[Error]  # the worst ones
    no_pictures: str  # why no error has a picture; "" if they could be looked for

    @property
    def main(self) -> System:
        """The system described."""
        return self.systems[-1]


def details_of(number: int, file: ScoreFile, systems: list[System], frame_dir: str, worst: int) -> Details:
    """Collect the details of one file."""
    main = systems[-1]
    table = confusion(main.scores, main.label)
    draw, problem = (lambda position: Strip()), ""
    try:
        draw = strips_of(file.scores, frame_dir) if worst else draw
    except (OSError, ValueError) as error:
        problem = one_line(error)
    errors = [
        error_of(file, systems, position, draw(position))
        for position in worst_errors(main.probability, main.label, worst)
    ]
    return Details(
        number,
        file,
        systems,
        table,
        confused_pairs(table),
        disagreement_of(systems) if len(systems) > 1 else None,
        errors,
        problem,
    )


def disagreement_of(systems: Sequence[System]) -> Disagreement:
    """Count the agreement of the streams of a file whose last system is their fusion."""
    *streams, fused = systems
    right = torch.stack([stream.right for stream in streams])
    return Disagreement(
        streams,
        outcomes(right, fused.right),
        winners(torch.stack([stream.predicted for stream in streams]), fused.predicted),
        class_outcomes(right, fused.label, fused.scores.shape[1]),
    )


def error_of(file: ScoreFile, systems: Sequence[System], position: int, strip: Strip) -> Error:
    """Describe a misclassified video, by its position."""
    names, label = file.scores.class_names, int(file.scores.label[position])
    predictions = []
    for system in (systems[-1], *systems[:-1]):
        top = int(system.predicted[position])
        predictions.append(SystemPrediction(system.stream, names[top], float(system.probability[position, top])))
    probability = float(systems[-1].probability[position, label])
    return Error(file.scores.video[position], names[label], probability, predictions, strip)
