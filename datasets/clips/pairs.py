"""Pairs of successive frames, of which flow is computed and differences are taken."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pairs:
    """Pairs of frames k and k + 1 for the frames k of a clip. Each frame is read, and each pair made, once."""

    frames: list[int]  # numbers of the frames, ascending
    first: list[int]  # index in `frames` at which each pair begins; its other frame is the next one
    order: list[int]  # which pair each frame of the clip takes; a short video is looped, and takes some again

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Pairs":
        begins = sorted(set(numbers))
        frames = sorted({*begins, *(number + 1 for number in begins)})
        return cls(frames, [frames.index(k) for k in begins], [begins.index(k) for k in numbers])

    @property
    def clip(self) -> list[int]:
        """Return where the frames of the clip are in `frames`."""
        return [self.first[pair] for pair in self.order]
