"""How hard each term of a distillation pulls at the student before the first step, and weights that follow from it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

import torch

from engine.device.distributed import take_from_main
from engine.device.precision import autocast
from engine.device.prefetch import Batch, Feed
from engine.training.fit import Loader
from models import Distill
from models.analysis.term_gradients import loss_gradients, term_gradients, whole
from models.distill import labels_of, parse_shares

from ..shared.tables import aligned

log = logging.getLogger(__name__)

CROSS_ENTROPY = "loss_ce"


def loss_report(task: Distill, loader: Iterable[Batch], device: torch.device, amp: str) -> list[str]:
    """Return the lines of the table, for the first batch of a loader; ValueError if there is none."""
    with autocast(device, amp):
        norms = term_gradients(task, first_batch(loader, device, "--loss_report"))
    parts = ["stem", *task.model.network.stages, "classifier"]
    return [*table(norms, parts), "", *advice(norms)]


def first_batch(loader: Iterable[Batch], device: torch.device, option: str) -> Batch:
    """Return the first batch of a loader, on a device; ValueError if there is none."""
    batch = next(iter(Feed(loader, device)), None)
    if batch is None:
        raise ValueError(f"{option}: there is no training batch")
    return batch


def balance_losses(
    task: Distill, train: Loader, device: torch.device, amp: str, words: Sequence[str], state: Mapping[str, Any]
) -> dict[str, Any]:
    """Weigh the losses of `--balance` so that their gradient norms on the student are in the given shares.

    The first one keeps its weight. Norms are those of the first batch of the first epoch, of the first process, without
    warm-up and schedules. Nothing is drawn from the generators of a run.

    Args:
        task: Its weights are multiplied by the factors.
        train: Training batches.
        device: Of the task.
        amp: See `precision.autocast`.
        words: Of the option; none changes nothing.
        state: A checkpoint of this run, whose factors are used as they are, unless it was made by other words (with
            `--resume_anyway`); {} for a fresh run.

    Returns:
        {"balance": factors by loss}, for checkpoints; {} without `words`.

    Raises:
        ValueError: If a loss has no gradient, or as `parse_shares`.
    """
    if not words:
        return {}
    same = list(state.get("options", {}).get("balance", words)) == list(words)
    stored = dict(state.get("balance", {})) if same else {}
    factors = stored or measured_factors(task, train, device, amp, words)
    task.rescale(factors)
    shown = ", ".join(f"{name} x {factor!r}" for name, factor in factors.items())
    log.info("balance%s: %s", " as in the checkpoint" if stored else "", shown)
    return {"balance": factors}


def measured_factors(
    task: Distill, train: Loader, device: torch.device, amp: str, words: Sequence[str]
) -> dict[str, float]:
    """Return the factor of each loss, the first one's 1; as `balance_losses`."""
    chosen = {name: [loss.name for loss in losses] for name, _, losses in task.teachers_and_losses()}
    shares = parse_shares(words, labels_of(chosen, task.ce_weight))
    train.set_epoch(1)
    with autocast(device, amp):
        norms = loss_gradients(task, first_batch(train, device, "--balance"))
    values = torch.tensor([norms.get(name, 0.0) for name in shares], dtype=torch.float64, device=device)
    take_from_main(values)
    norm_of = dict(zip(shares, values.tolist(), strict=True))
    if bad := [name for name, norm in norm_of.items() if not 0 < norm < inf]:
        raise ValueError(
            f"--balance {bad[0]}: has no gradient on the student, or none that is finite, at the first batch, so no "
            "weight gives it a share: leave it out, or see with --loss_report what has one"
        )
    first = next(iter(shares))
    return {name: share / shares[first] * norm_of[first] / norm_of[name] for name, share in shares.items()}


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
