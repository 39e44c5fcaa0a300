"""EMA: the exponential moving average of a network's weights, which is often better than the last weights.

The step is torch's; `AveragedModel` is not used: it copies at the first step rather than average, averages counters of
batch norms, and waits for the device at every step.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    """EMA of the weights: after step t, average = d average + (1 - d) weights, d = min(decay, (1 + t) / (10 + t)).

    The smaller factor of the first steps lets the average forget the random weights that it begins with. Running
    statistics of batch norms are averaged likewise, whole numbers copied.

    Attributes:
        average: The averaged `state_dict` of the network.
        updates: Steps that are in it.

    Raises:
        ValueError: If the decay is not in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"--ema must be in [0, 1), got {decay}")
        self.network, self.decay, self.updates = network, decay, 0
        self.average: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin with the weights that the network has now."""
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Update the average after a step; does not wait for the device."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = self.network.state_dict()
        for dtype in {value.dtype for value in weights.values()}:
            names = [name for name, value in weights.items() if value.dtype == dtype]
            averages, values = [self.average[name] for name in names], [weights[name] for name in names]
            if dtype.is_floating_point:
                get_ema_multi_avg_fn(decay)(averages, values, self.updates)
            else:
                torch._foreach_copy_(averages, values)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the network within the block; afterwards its own again, to the last bit.

        The tensors of the network stay the same, so that compiled and wrapped networks see it too. Nothing may train
        within it.
        """
        weights = self.network.state_dict()
        raw = {name: value.clone() for name, value in weights.items()}
        copy_into(weights, self.average)
        try:
            yield
        finally:
            copy_into(weights, raw)

    def state(self) -> dict[str, Any]:
        """Return counters, as plain values; the average itself is the deployable part of a checkpoint."""
        return {"updates": self.updates, "decay": self.decay}

    def load(self, state: Mapping[str, Any], average: Mapping[str, Tensor]) -> None:
        """Go on from what `state` and `average` were."""
        self.updates = int(state["updates"])
        copy_into(self.average, average)


@torch.no_grad()
def copy_into(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> None:
    """Overwrite every tensor of `targets` by that of the same name."""
    for name, target in targets.items():
        target.copy_(sources[name])
