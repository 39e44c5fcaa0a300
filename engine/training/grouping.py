"""Parameter groups that are alike, joined: a fused optimiser launches a kernel for each group."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from .schedules import Schedule


class Grouping:
    """Groups of an optimiser, of which those with the same settings and full rate are one while it steps.

    In fine-tuning each parameter is a group of its own, in the layout of the published checkpoints. Which group a
    parameter is in changes no bit of a step. The rates of the schedule are then those of the joined groups.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        self.join()

    def join(self) -> None:
        """Join the groups that are alike, in the order of the first of each."""
        self.groups: list[dict[str, Any]] = list(self.optimizer.param_groups)
        self.places: list[int] = []  # of the joined group that each is in
        kinds: list[tuple[dict[str, Any], float]] = []
        joined: list[dict[str, Any]] = []
        for group, rate in zip(self.groups, self.schedule.rates, strict=True):
            kind = settings_of(group), rate
            if kind not in kinds:
                kinds.append(kind)
                joined.append({**group, "params": []})
            self.places.append(kinds.index(kind))
            joined[self.places[-1]]["params"] += group["params"]
        self.optimizer.param_groups[:] = joined
        self.schedule.rates = [rate for _, rate in kinds]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Have the groups as they were given within the block, as checkpoints keep them; afterwards join them anew."""
        joined = list(self.optimizer.param_groups)
        for group, place in zip(self.groups, self.places, strict=True):
            group.update(settings_of(joined[place]))
        self.optimizer.param_groups[:] = self.groups
        self.schedule.rates = [self.schedule.rates[place] for place in self.places]
        try:
            yield
        finally:
            self.join()


def settings_of(group: dict[str, Any]) -> dict[str, Any]:
    """Return all of a group but its parameters."""
    return {name: value for name, value in group.items() if name != "params"}
