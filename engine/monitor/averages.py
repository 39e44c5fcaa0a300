"""Averages of named numbers over an epoch and all processes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..device.distributed import gather, is_main, sum_over_ranks, world


class Averages:
    """Sample-weighted means of named scalars, summed on their device: reading them waits for it once."""

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def update(self, values: Mapping[str, Tensor], n: int) -> None:
        """Add the means `values` over a batch of `n` samples."""
        for name, value in values.items():
            total = value.detach().double() * n
            self.totals[name] = self.totals[name] + total if name in self.totals else total
            self.counts[name] = self.counts.get(name, 0) + n

    def state(self) -> dict[str, list[float]]:
        """Return sum and count by name over all processes, which must all ask; plain values for a checkpoint."""
        if world() == 1 and not self.totals:
            return {}
        names = sorted({name for names in gather(sorted(self.totals)) for name in names})
        pairs = [[self.totals[n].item(), self.counts[n]] if n in self.totals else [0.0, 0] for n in names]
        # On the CPU: a process without batches, as others have, would not know where.
        sums = sum_over_ranks(torch.tensor(pairs, dtype=torch.float64))
        return {name: [total, int(count)] for name, (total, count) in zip(names, sums.tolist(), strict=True)}

    def load(self, state: Mapping[str, Sequence[float]], device: torch.device) -> None:
        """Go on from a state; only in the main process, since it is a sum over all."""
        if is_main():
            self.totals = {
                name: torch.tensor(total, dtype=torch.float64, device=device) for name, (total, _) in state.items()
            }
            self.counts = {name: int(count) for name, (_, count) in state.items()}

    def number(self) -> int:
        """Return the number of samples over all processes, which must all ask."""
        return max((int(count) for _, count in self.state().values()), default=0)

    def result(self) -> dict[str, float]:
        """Return the means so far, over all processes, which must all ask."""
        return {name: total / count for name, (total, count) in self.state().items()}
