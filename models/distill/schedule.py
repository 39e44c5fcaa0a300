"""Schedules of the weights of losses over the epochs."""

import re
from dataclasses import dataclass
from math import cos, inf, pi

SHAPES = ("linear", "cosine")
NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
SCHEDULE = re.compile(rf"({NUMBER})(?:\.\.({NUMBER})@(\d+)-(\d+)(?::(\w+))?)?")


@dataclass(frozen=True)
class Schedule:
    """Factor on the weight of a loss by epoch: `first` up to epoch `begin`, `last` from epoch `end` on.

    Attributes:
        first: >= 0.
        last: >= 0.
        begin: >= 0; epochs are counted from 1.
        end: > `begin`.
        shape: Of the way between them, one of `SHAPES`.
    """

    first: float = 1.0
    last: float = 1.0
    begin: int = 0
    end: int = 1
    shape: str = "linear"

    def __call__(self, epoch: int) -> float:
        """Return the factor of an epoch."""
        if epoch <= self.begin or epoch >= self.end:
            return self.first if epoch <= self.begin else self.last
        part = (epoch - self.begin) / (self.end - self.begin)
        if self.shape == "cosine":
            part = (1 - cos(pi * part)) / 2
        return self.first + (self.last - self.first) * part


def parse_schedule(text: str, word: str) -> Schedule:
    """Return the schedule in a text like "0.5", "0..1@0-5" or "1..0@10-40:cosine"; "" is constantly 1.

    Args:
        text: The schedule.
        word: What stands for it in errors.

    Raises:
        ValueError: If it is none.
    """
    if not text:
        return Schedule()
    if not (match := SCHEDULE.fullmatch(text)):
        raise ValueError(f"{word}: expected a factor >= 0, or FROM..TO@FIRST-LAST like 1..0@10-40, and :cosine or not")
    first, last, begin, end, shape = match.groups()
    if float(first) == inf or float(last or 0) == inf:
        raise ValueError(f"{word}: a factor must be finite")
    if last is None:
        return Schedule(float(first), float(first))
    if int(end) <= int(begin):
        raise ValueError(f"{word}: the last epoch must be after the first, got {begin}-{end}")
    if shape not in (None, *SHAPES):
        raise ValueError(f"{word}: {shape} is no shape, choose one of {', '.join(SHAPES)}")
    return Schedule(float(first), float(last), int(begin), int(end), shape or SHAPES[0])
