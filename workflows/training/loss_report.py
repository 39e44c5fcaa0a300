"""Table of how hard each term of a distillation pulls at the student before the first step."""

from collections.abc import Iterable, Mapping

import torch

from engine.device.precision import autocast
from engine.device.prefetch import Batch, Feed
from models import Distill
from models.analysis.term_gradients import term_gradients, whole

from ..shared.tables import aligned

CROSS_ENTROPY = "loss_ce"


def loss_report(task: Distill, loader: Iterable[Batch], device: torch.device, amp: str) -> list[str]:
    """Return the lines of the table, for the first batch of a loader.

    Raises:
        ValueError: If there is no batch.
    """
    batch = next(iter(Feed(loader, device)), None)
    if batch is None:
        raise ValueError("--loss_report: there is no training batch")
    with autocast(device, amp):
        norms = term_gradients(task, batch)
    parts = ["stem", *task.model.network.stages, "classifier"]
    return [*table(norms, parts), "", *advice(norms)]


def print_loss_report(task: Distill, loader: Iterable[Batch], device: torch.device, amp: str) -> dict[str, float]:
    """Print the table; there is no accuracy to return."""
    print("\n".join(loss_report(task, loader, device, amp)))  # noqa: T201 - the result
    return {}


def table(norms: Mapping[str, list[float]], parts: list[str]) -> list[str]:
    """Format the norms, a term a line."""
    shown = [[name, *(f"{norm:.3g}" for norm in row), f"{whole(row):.3g}"] for name, row in norms.items()]
    return aligned([["gradient norm of", *parts, "all"], *shown], 1)


def advice(norms: Mapping[str, list[float]]) -> list[str]:
    """Return the factor of each term by which it would pull as hard as the cross-entropy."""
    if CROSS_ENTROPY not in norms:
        return ["There is no cross-entropy to compare with: terms pull alike where their last column is alike."]
    reference = whole(norms[CROSS_ENTROPY])
    factors = [f"{name} x {reference / whole(row):.3g}" for name, row in norms.items() if name != CROSS_ENTROPY]
    return [f"as hard as the cross-entropy: {', '.join(factors)}"] if factors else []
