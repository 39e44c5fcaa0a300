"""Weights of streams and temperatures, fitted on held-out training videos and applied to the test videos."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import inf

import torch
from torch import Tensor

from engine import Scores
from engine.evaluation.calibration import brier_score, expected_calibration_error, negative_log_likelihood
from models import FUSIONS, fuse

from ..testing.held_out import temperatures, unlike, unweighable
from .systems import Bootstrap, Row, measure, top1

STEPS = {1: 1, 2: 20, 3: 10, 4: 5}  # of a weight from 0 to 1, by number of streams; 4 for more of them


def simplex(streams: int) -> list[list[float]]:
    """Return weights >= 0 that sum to 1 on a regular grid: 21 for two streams, 66 for three, 56 for four."""
    steps = STEPS.get(streams, 4)
    bars = itertools.combinations(range(steps + streams - 1), streams - 1)
    bounds = ([-1, *bar, steps + streams - 1] for bar in bars)
    return [[(after - before - 1) / steps for before, after in itertools.pairwise(bound)] for bound in bounds]


def sweep(held_out: Scores, method: str) -> list[Row]:
    """Compute the held-out top-1 under every weighting of the grid."""
    return [
        {"weights": weights, "top1": top1(fuse(held_out.logits, method, weights), held_out.label)}
        for weights in simplex(len(held_out.streams))
    ]


def best_weights(swept: Sequence[Row]) -> list[float]:
    """Return the weights of the highest held-out top-1; of several, those nearest to equal ones."""
    best = max(row["top1"] for row in swept)
    tied = [row["weights"] for row in swept if row["top1"] == best]
    return min(tied, key=lambda weights: round(sum(weight**2 for weight in weights), 9))


def with_fused(scores: Scores) -> dict[str, Tensor]:
    """Return logits (N, K) of each stream and, of several, of ActivNo, whose scores are logits too."""
    named = dict(zip(scores.streams, scores.logits, strict=True))
    return named | ({"activno": fuse(scores.logits)} if len(named) > 1 else {})


def calibration(scores: Scores, fitted: Mapping[str, float | None]) -> list[Row]:
    """Compute ECE, NLL and Brier score of each system before and, where there is one, after its temperature."""
    rows = []
    for name, logits in with_fused(scores).items():
        temperature = fitted.get(name)
        before = calibration_errors(logits, scores.label)
        after = None if temperature is None else calibration_errors(logits / temperature, scores.label)
        rows.append({"system": name, "temperature": temperature, "before": before, "after": after})
    return rows


def calibration_errors(logits: Tensor, label: Tensor) -> Row:
    """Compute ECE in 15 bins, NLL and Brier score."""
    return {
        "ece": expected_calibration_error(logits, label),
        "nll": negative_log_likelihood(logits, label),
        "brier": brier_score(logits, label),
    }


def fit(held_out: Scores, test: Scores, bootstrap: Bootstrap) -> Row:
    """Fit weights and temperatures on the held-out videos, and measure on both lists.

    Returns:
        "videos", "temperatures", "notes", "held_out_calibration", "sweep" (rows of each fusion), "calibration" and
        "systems", compared with ActivNo of equal weights, of the test.
    """
    limits, reasons = temperatures(with_fused(held_out), held_out.label)
    fitted = {name: value if 0 < value < inf else None for name, value in limits.items()}
    of_streams = {name: limits[name] for name in test.streams}
    problem = unweighable(of_streams, reasons)
    temperature = torch.tensor([*of_streams.values()])[:, None, None]  # divided by infinity a stream says nothing
    equal = torch.ones_like(temperature)
    swept = {method: sweep(held_out, method) for method in FUSIONS}

    def systems() -> Iterator[tuple[Row, Tensor]]:
        for method, rows in swept.items():
            for kind, weights, divisor in (
                ("equal weights", None, equal),
                ("fitted weights", best_weights(rows), equal),
                *(() if problem else (("fitted temperatures", None, temperature),)),
            ):
                held_out_top1 = top1(fuse(held_out.logits / divisor, method, weights), held_out.label)
                row = {"fusion": method, "fitted": kind, "weights": weights, "held_out_top1": held_out_top1}
                yield row, fuse(test.logits / divisor, method, weights)

    notes = [f"{name} has no temperature: {why}" for name, why in reasons.items()]
    if problem:
        notes.append(f"no fusion by temperatures: {problem}")
    elif idle := [name for name, value in of_streams.items() if value == inf]:
        notes.append(f"{', '.join(idle)}: of weight 0 in fusions by temperatures")
    return {
        "videos": len(held_out.video),
        "temperatures": fitted,
        "notes": [*unlike(held_out, test), *notes],
        "held_out_calibration": calibration(held_out, fitted),
        "calibration": calibration(test, fitted),
        "sweep": swept,
        "systems": measure(systems(), test.label, fuse(test.logits), bootstrap),
    }
