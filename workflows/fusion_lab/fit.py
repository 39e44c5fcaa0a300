"""Weights of streams and temperatures, fitted on held-out training videos and applied to the test videos."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from datasets.stores.provenance import NOT_STATED, differences, show
from engine import Scores
from engine.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)
from models import FUSIONS, fuse
from opts import PROTOCOL

from .systems import Bootstrap, Row, measure, top1

STEPS = {1: 1, 2: 20, 3: 10, 4: 5}  # of a weight from 0 to 1, by number of streams; 4 for more of them
HOW = "score the held-out training videos: test_two_stream.py --test_subset val --scores_path held.npz ..."


def check_held_out(parts: Sequence[tuple[str, Scores]], test: Scores) -> None:
    """Refuse score files, given for fitting with their names, on which nothing may be fitted.

    Raises ValueError if a file is not of held-out videos, or of some that are tested on, or of other data or classes.
    """
    tested = set(test.video)
    for path, scores in parts:
        subset = scores.about.get("subset")
        if subset != "val":
            what = f"is of the subset {subset!r}" if subset else "does not say what it was made of"
            raise ValueError(f"{path}: {what}; nothing is fitted on a test list: {HOW}")
        shared = [name for name in scores.video if name in tested]
        if shared:
            raise ValueError(f"{path}: {len(shared):,} of its videos are tested on, {shared[0]} among them; {HOW}")
        if scores.class_names != test.class_names:
            raise ValueError(f"{path}: its classes are not those of the test")
        for name, stated, tested_on in differences(scores.about, test.about, ("dataset", "split")):
            if NOT_STATED not in (stated, tested_on):
                raise ValueError(f"{path}: of {name} {stated}, but the test is of {name} {tested_on}")


def same_streams(held_out: Scores, test: Scores) -> Scores:
    """Return the held-out scores of the tested streams, in their order.

    Raises ValueError if one is missing, or came from another checkpoint.
    """
    missing = [name for name in test.streams if name not in held_out.streams]
    if missing:
        raise ValueError(f"--fit: no stream {missing[0]} in its files, only {', '.join(held_out.streams)}")
    for name in test.streams:
        digests = [scores.about.get("checkpoints", {}).get(name, {}).get("sha256") for scores in (held_out, test)]
        if None not in digests and digests[0] != digests[1]:
            raise ValueError(f"--fit: stream {name} was scored with another checkpoint than in the test")
    return held_out.only(test.streams)


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


def temperatures(named: Mapping[str, Tensor], label: Tensor) -> tuple[dict[str, float | None], list[str]]:
    """Fit the temperature of each system's held-out logits (N, K), None where there is no optimum, with the reasons."""
    fitted: dict[str, float | None] = {}
    notes = []
    for name, logits in named.items():
        try:
            fitted[name] = fit_temperature(logits, label)
        except ValueError as error:
            fitted[name] = None
            notes.append(f"{name} has no temperature and is left at 1: {error}")
    return fitted, notes


def unlike(held_out: Scores, test: Scores) -> list[str]:
    """Describe differences in how the two were scored, where both state it: a fit may then not carry over."""
    return [
        f"{name} {show(stated)} of the held-out scores, {show(tested_on)} of the test: the fit may not carry over"
        for name, stated, tested_on in differences(
            held_out.about.get("options", {}), test.about.get("options", {}), PROTOCOL
        )
        if NOT_STATED not in (stated, tested_on)
    ]


def with_fused(scores: Scores) -> dict[str, Tensor]:
    """Return logits (N, K) of each stream and, of several, of ActivNo, whose scores are logits too."""
    named = dict(zip(scores.streams, scores.logits, strict=True))
    return named | ({"activno": fuse(scores.logits)} if len(named) > 1 else {})


def calibration(scores: Scores, fitted: Mapping[str, float | None]) -> list[Row]:
    """Compute ECE, NLL and Brier score of each system before and, where there is one, after its temperature."""
    rows = []
    for name, logits in with_fused(scores).items():
        heat = fitted.get(name)
        after = None if heat is None else how_calibrated(logits / heat, scores.label)
        rows.append(
            {"system": name, "temperature": heat, "before": how_calibrated(logits, scores.label), "after": after}
        )
    return rows


def how_calibrated(logits: Tensor, label: Tensor) -> Row:
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
    fitted, notes = temperatures(with_fused(held_out), held_out.label)
    heat = torch.tensor([fitted[name] or 1.0 for name in test.streams])[:, None, None]
    swept = {method: sweep(held_out, method) for method in FUSIONS}

    def systems() -> Iterator[tuple[Row, Tensor]]:
        for method, rows in swept.items():
            for kind, weights, divisor in (
                ("equal weights", None, torch.ones_like(heat)),
                ("fitted weights", best_weights(rows), torch.ones_like(heat)),
                ("fitted temperatures", None, heat),
            ):
                held_out_top1 = top1(fuse(held_out.logits / divisor, method, weights), held_out.label)
                row = {"fusion": method, "fitted": kind, "weights": weights, "held_out_top1": held_out_top1}
                yield row, fuse(test.logits / divisor, method, weights)

    return {
        "videos": len(held_out.video),
        "temperatures": fitted,
        "notes": [*unlike(held_out, test), *notes],
        "held_out_calibration": calibration(held_out, fitted),
        "calibration": calibration(test, fitted),
        "sweep": swept,
        "systems": measure(systems(), test.label, fuse(test.logits), bootstrap),
    }
