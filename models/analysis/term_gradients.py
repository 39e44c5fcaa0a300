"""How hard each term of a distillation pulls at each stage of the student, by which its weight can be chosen."""

import copy
from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ..distill.schedule import Schedule
from ..distillation import Distill

AFTER_WARMUP = 10**9  # an epoch after any warm-up


def term_gradients(task: Distill, batch: Mapping[str, Any]) -> dict[str, list[float]]:
    """Compute the gradient norm of every term of a loss, without warm-up, on the parts of a student.

    The task stays as it is; the batch is on its device.

    Returns:
        By term, weighted: the norm over the parameters that learn of the stem, each stage, and the classifier, in the
        order of `Backbone.stage_of`. Terms without a gradient are left out.
    """
    trial, parts = trial_parts(task, batch)
    return norms_of(trial, {name: term for part in parts.values() for name, term in part.items()})


def loss_gradients(task: Distill, batch: Mapping[str, Any]) -> dict[str, float]:
    """Compute the gradient norm of every loss, all its terms together, on all that learns of a student.

    Arguments as `term_gradients`; by the label of the loss, "ce" of the cross-entropy, without those that have none.
    """
    trial, parts = trial_parts(task, batch)
    sums = {name: torch.stack(list(part.values())).sum() for name, part in parts.items()}
    return {name: whole(row) for name, row in norms_of(trial, sums).items()}


def trial_parts(task: Distill, batch: Mapping[str, Any]) -> tuple[Distill, dict[str, dict[str, Tensor]]]:
    """Return a copy of a task, and its terms by loss at their full weights; the task stays as it is."""
    trial = copy.deepcopy(task).train()  # batch statistics move, and features are dropped at random
    trial.epoch, trial.ce_schedule = AFTER_WARMUP, Schedule()
    for _, _, losses in trial.teachers_and_losses():
        for loss in losses:
            loss.schedule = Schedule()
    devices = [task.model.mean.device] if task.model.mean.is_cuda else []
    with torch.random.fork_rng(devices):
        return trial, trial.parts(batch)[1]


def norms_of(trial: Distill, terms: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Return the gradient norms of terms on the parts of a student, see `term_gradients`."""
    network = trial.model.network
    learns = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    norms = {}
    for name, term in terms.items():
        squares = [0.0] * (len(network.stages) + 2)
        if not term.requires_grad:
            continue
        gradients = torch.autograd.grad(term, [x for _, x in learns], retain_graph=True, allow_unused=True)
        for (place, _), gradient in zip(learns, gradients, strict=True):
            if gradient is not None:
                squares[network.stage_of(place)] += gradient.double().square().sum().item()
        norms[name] = [sqrt(square) for square in squares]
    return {name: row for name, row in norms.items() if any(row)}


def whole(norms: list[float]) -> float:
    """Return the norm over all parts of a network."""
    return sqrt(sum(norm * norm for norm in norms))
