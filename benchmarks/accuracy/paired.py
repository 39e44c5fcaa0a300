"""Paired comparison of systems over videos, splits and seeds: the bootstrap draws source films, not clips."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common.report import Record
from engine.evaluation.statistics import mcnemar

from .runs import Bench
from .tables import by_test

RESAMPLES, LEVEL = 10_000, 0.95


class Hits(NamedTuple):
    """Videos of one test that a system names right.

    Attributes:
        right: Shape (N,), bool.
        films: Source of each, N names.
    """

    right: np.ndarray
    films: Sequence[str]


def compare_systems(opt: Namespace, record: Record, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Compare systems of a record, the first of each pair with the second, on the splits and seeds that both have."""
    films = {int(split): films_of(opt, int(split)) for split in record["data"]["videos"]}
    tests = by_test(record["rows"], "right")

    def hits(name: str, test: tuple[int, int]) -> Hits:
        return Hits(np.array(list(tests[name][test])) == "1", films[test[0]])

    comparisons = []
    for first, second in pairs:
        if common := sorted(tests.get(first, {}).keys() & tests.get(second, {}).keys()):
            result = compare_pairs([(hits(first, test), hits(second, test)) for test in common])
            comparisons.append({"first": first, "second": second, "tests": len(common)} | result)
    return comparisons


def films_of(opt: Namespace, split: int) -> list[str]:
    """Return the source of each video that is tested, in the order of their names."""
    return [films for _, films in sorted((entry.path, entry.group) for entry in Bench.of(opt, {}, split).tested)]


def compare_pairs(pairs: Sequence[tuple[Hits, Hits]], resamples: int = RESAMPLES, seed: int = 1) -> dict[str, Any]:
    """Compare a system with another one on the same tests, one pair for each split and seed.

    Clips of one film look alike, and the tests of several seeds are of the same videos: a resample draws films with
    replacement, each with all of its clips in all tests (a cluster bootstrap; Davison and Hinkley, 1997, 3.8).

    Args:
        pairs: Of each test the hits of the first and of the second system, of the same videos in the same order.
        resamples: Of the films.
        seed: Of the draws.

    Returns:
        "difference", first less second, in points of top-1, the mean over all tests' videos; "interval", its 95 %
        percentile interval; "films"; "mcnemar", the exact p of each test.
    """
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for first, second in pairs:
        for film, gain in zip(first.films, first.right.astype(int) - second.right, strict=True):
            sums[film] += gain, 1
    gains = np.stack(list(sums.values()))
    times = np.random.default_rng(seed).multinomial(len(gains), np.full(len(gains), 1 / len(gains)), resamples)
    sampled = times @ gains
    tail = 100 * (1 - LEVEL) / 2
    interval = np.percentile(sampled[:, 0] / sampled[:, 1], [tail, 100 - tail])
    return {
        "difference": 100 * float(gains[:, 0].sum() / gains[:, 1].sum()),
        "interval": (100 * interval).tolist(),
        "films": len(gains),
        "mcnemar": [mcnemar(*map(int, ((a.right & ~b.right).sum(), (~a.right & b.right).sum()))) for a, b in pairs],
    }
