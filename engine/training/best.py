"""Choice of the best epoch of a training, by its validation."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

STANDARD_ERRORS = 2.0  # by which accuracies on the same videos may differ by chance


class Best(NamedTuple):
    """Best epoch so far: the latest whose validation accuracy is the highest, or below it by chance alone.

    A few hundred held-out videos tell an accuracy to a few points. The very highest of many epochs is the luckiest of
    them, often an early one, and worse on other videos than epochs that have learnt longer; docs/evidence.md has
    numbers. Without labels the least loss decides.

    Attributes:
        highest: Highest validation accuracy, in [0, 1]; -1 before the first epoch, 0 without labels.
        negated_loss: Of that epoch.
        accuracy: Validation accuracy of the best epoch.
    """

    highest: float = -1.0
    negated_loss: float = 0.0
    accuracy: float = -1.0

    @classmethod
    def of(cls, stored: Sequence[float]) -> Self:
        """Build it from a checkpoint; where it has two numbers, the epoch of the highest accuracy is the best."""
        highest, negated_loss, *accuracy = stored
        return cls(highest, negated_loss, *accuracy or [highest])

    def accepts(self, metrics: Mapping[str, float], clips: int) -> bool:
        """Return whether a later epoch of these metrics, measured on so many clips, takes the place of the best."""
        if "acc" not in metrics:
            return (0.0, -metrics["loss"]) > (self.highest, self.negated_loss)
        chance = math.sqrt(self.highest * (1 - self.highest) / clips) if self.highest > 0 else 0.0
        return metrics["acc"] >= self.highest - STANDARD_ERRORS * chance

    def after(self, metrics: Mapping[str, float], clips: int) -> Self:
        """Return the best epoch when one of these metrics has ended; arguments as `accepts`."""
        accuracy = metrics.get("acc", 0.0)
        highest = max(self[:2], (accuracy, -metrics["loss"]))
        return type(self)(*highest, accuracy if self.accepts(metrics, clips) else self.accuracy)
