"""Systems of a report: each stream alone, and the fused ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from engine.evaluation.analysis import ClassHits, Reliability, class_hits, probabilities, reliability

from .score_files import Group, ScoreFile


@dataclass
class System:
    """Classifier with one score per class for every video of a group: a stream, or all streams of a file."""

    stream: str  # its name; those of all streams of a fused system, with " + " between
    scores: Tensor  # shape (N, K)
    label: Tensor  # class indices, (N,)
    clips: Tensor  # clips of each video, (N,)
    file: ScoreFile  # the first that has it
    # Right clips of each video by the highest and the five highest logits, both (N,); None where unknown.
    hits: tuple[Tensor, Tensor] | None = None
    fusion: str = ""  # how streams were fused; "" for one alone
    numbers: list[int] = field(default_factory=list)  # of the files of the group that have it
    alone: bool = True  # whether the group has a single file

    @property
    def name(self) -> str:
        """Name for people: with the numbers of its files where the group has several."""
        return self.stream if self.alone else f"{', '.join(map(str, self.numbers))}: {self.stream}"

    @cached_property
    def predicted(self) -> Tensor:
        """Predicted class indices, (N,)."""
        return self.scores.argmax(1)

    @cached_property
    def probability(self) -> Tensor:
        """Probability of every class, (N, K) float64."""
        return probabilities(self.scores)

    @cached_property
    def right(self) -> Tensor:
        """Whether each video is, (N,)."""
        return self.predicted == self.label

    @cached_property
    def by_class(self) -> ClassHits:
        """Return the right videos and all videos of each class."""
        return class_hits(self.predicted, self.label, self.scores.shape[1])

    @cached_property
    def reliability(self) -> Reliability:
        """Return the accuracy by confidence."""
        return reliability(self.probability, self.label)


def systems_of_file(file: ScoreFile, number: int, alone: bool) -> list[System]:
    """Return each stream of a file, and after them the fused system if there are several."""
    scores = file.scores
    systems = []
    for i, (stream, logits) in enumerate(zip(scores.streams, scores.logits, strict=True)):
        hits = None
        if scores.clip_top1 is not None and scores.clip_top5 is not None:
            hits = scores.clip_top1[i], scores.clip_top5[i]
        systems.append(System(stream, logits, scores.label, scores.clips[i], file, hits, "", [number], alone))
    if len(systems) > 1:
        names = " + ".join(scores.streams)
        hits = None if scores.fused_hits is None else (scores.fused_hits[0], scores.fused_hits[1])
        systems.append(
            System(names, file.fused, scores.label, scores.clips[0], file, hits, file.fusion, [number], alone)
        )
    return systems


def systems_of(group: Group) -> list[list[System]]:
    """Return the systems of each file; a system that several files have is one and the same."""
    known: list[System] = []
    by_file = []
    for number, file in enumerate(group.files, 1):
        systems = []
        for system in systems_of_file(file, number, len(group.files) == 1):
            twin = next((other for other in known if same(other, system)), None)
            if twin is None:
                known.append(system)
            else:
                twin.numbers.append(number)
            systems.append(twin or system)
        by_file.append(systems)
    return by_file


def same(a: System, b: System) -> bool:
    """Whether two systems have the same name and scores, tested alike."""
    alike = (a.stream, a.fusion, a.file.protocol) == (b.stream, b.fusion, b.file.protocol)
    return alike and torch.equal(a.clips, b.clips) and torch.equal(a.scores, b.scores)


def distinct(by_file: Sequence[Sequence[System]]) -> list[System]:
    """Return all systems of a group, each once."""
    return list({id(system): system for systems in by_file for system in systems}.values())


def best_of(streams: Sequence[System]) -> System:
    """Return the stream with the highest top-1, the first of equals."""
    return max(streams, key=lambda system: int(system.right.sum()))


def fusion_gain(systems: Sequence[System]) -> Tensor | None:
    """Return by class the accuracy gain of a file's fused system over its best stream; None for one stream.

    The best stream is that over all classes. Classes without videos are NaN. Shape (K,).
    """
    if len(systems) < 2:
        return None
    *streams, fused = systems
    return (fused.by_class.right - best_of(streams).by_class.right) / fused.by_class.videos.double()
