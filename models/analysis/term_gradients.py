"""How hard each term of a distillation pulls at each stage of the student, by which its weight can be chosen."""

import copy
from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ..distillation import Distill

LATE = 10**9  # an epoch after any warm-up
TOTAL = "loss"


def term_gradients(task: Distill, batch: Mapping[str, Any]) -> dict[str, list[float]]:
    """Compute the gradient norm of every term of a loss on the parts of a student; the task stays as it is.

    Args:
        task: Its weights, and those of its terms, without warm-up.
        batch: What it learns from, on its device.

    Returns:
        By term, weighted: the norm over the parameters that learn of the stem, each stage, and the classifier, in the
        order of `Backbone.stage_of`. Terms without a gradient are left out.
    """
    trial = copy.deepcopy(task).train()  # batch statistics move, and features are dropped at random
    trial.epoch = LATE
    network = trial.model.network
    learns = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    devices = [task.model.mean.device] if task.model.mean.is_cuda else []
    with torch.random.fork_rng(devices):
        out: dict[str, Tensor] = trial(batch)
    terms = {name: term for name, term in out.items() if name.startswith(f"{TOTAL}_") and term.requires_grad}
    norms = {}
    for name, term in terms.items():
        squares = [0.0] * (len(network.stages) + 2)
        found = torch.autograd.grad(term, [x for _, x in learns], retain_graph=True, allow_unused=True)
        for (place, _), gradient in zip(learns, found, strict=True):
            if gradient is not None:
                squares[network.stage_of(place)] += gradient.double().square().sum().item()
        norms[name] = [sqrt(square) for square in squares]
    return {name: row for name, row in norms.items() if any(row)}


def whole(norms: list[float]) -> float:
    """Return the norm over all parts of a network."""
    return sqrt(sum(norm * norm for norm in norms))
