"""Intervals, McNemar's test and means over splits, against enumeration, known values and each other's properties."""

import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.statistics import compare, mcnemar, mean_and_deviation, percentile_interval, resampled_means


def test_resampled_means_have_the_distribution_of_all_possible_resamples():
    values = [0.0, 1.0, 1.0, 5.0]
    exact = torch.tensor([sum(drawn) / 4 for drawn in itertools.product(values, repeat=4)], dtype=torch.float64)
    means = resampled_means(torch.tensor([values]), resamples=40_000)[:, 0]
    assert means.mean().item() == pytest.approx(exact.mean().item(), abs=0.02)
    assert means.var().item() == pytest.approx(exact.var(correction=0).item(), rel=0.03)
    for level in (0.5, 0.8, 0.95):
        ends = percentile_interval(means[:, None], level)[0]
        torch.testing.assert_close(
            ends, torch.quantile(exact, torch.tensor([(1 - level) / 2, (1 + level) / 2]).double())
        )


def test_resampled_means_are_those_of_the_videos_that_were_drawn():
    values = torch.rand(3, 7, dtype=torch.float64)
    drawn = torch.randint(7, (20, 7), generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(resampled_means(values, 20, seed=5), values[:, drawn].mean(2).T)


def test_more_videos_than_are_held_at_once_change_nothing(monkeypatch):
    values = (torch.rand(2, 50) < 0.5).float()
    whole = resampled_means(values, 100)
    monkeypatch.setattr("engine.evaluation.statistics.DRAWS", 170)
    assert torch.equal(resampled_means(values, 100), whole)


def test_a_system_has_the_same_resamples_whatever_else_is_measured():
    values = torch.rand(4, 30)
    assert torch.equal(resampled_means(values, 50)[:, 2], resampled_means(values[2:3], 50)[:, 0])


def test_a_seed_repeats_and_another_differs():
    values = torch.rand(1, 30)
    assert torch.equal(resampled_means(values, 50, seed=3), resampled_means(values, 50, seed=3))
    assert not torch.equal(resampled_means(values, 50, seed=3), resampled_means(values, 50, seed=4))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(0, 1000))
def test_the_interval_of_a_symmetric_sample_contains_its_mean(half, seed):
    values = torch.tensor([half + [-x for x in half]], dtype=torch.float64)
    low, high = percentile_interval(resampled_means(values, 400, seed))[0].tolist()
    assert low <= 1e-12
    assert high >= -1e-12


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 1000), st.data())
def test_an_interval_contains_the_accuracy_and_stays_in_its_range(videos, seed, data):
    right = data.draw(st.integers(0, videos))
    hits = (torch.arange(videos) < right).double()[None]
    low, high = percentile_interval(resampled_means(hits, 400, seed))[0].tolist()
    assert 0 <= low <= right / videos <= high <= 1
    assert (low == high) == (right in (0, videos))


def test_95_per_cent_of_the_intervals_contain_the_truth():
    generator = torch.Generator().manual_seed(0)
    samples = (torch.rand(400, 150, generator=generator) < 0.7).double()
    covered = 0
    for sample in samples:
        low, high = percentile_interval(resampled_means(sample[None], 300))[0].tolist()
        covered += low <= 0.7 <= high
    assert 0.91 <= covered / 400 <= 0.98


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resampled_means(torch.zeros(2, 0)), "0 videos"),
        (lambda: resampled_means(torch.zeros(2, 3), 0), "0 resamples"),
        (lambda: percentile_interval(torch.zeros(3, 1), 95), "level 95"),
        (lambda: percentile_interval(torch.zeros(3, 1), 0), "level 0"),
        (lambda: mean_and_deviation([0.5]), "1 values"),
    ],
)
def test_what_has_no_statistics_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (3, 3, 1.0),
        (5, 0, 2 / 32),
        (0, 6, 2 / 64),
        (1, 9, 2 * (1 + 10) / 1024),
        (10, 3, 2 * (1 + 13 + 78 + 286) / 8192),
    ],
)
def test_mcnemar_has_the_values_computed_by_hand(first, second, p):
    assert mcnemar(first, second) == p


@given(st.integers(0, 16), st.integers(0, 16))
def test_mcnemar_counts_the_coin_tosses_at_least_as_uneven(first, second):
    n = first + second
    as_uneven = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(first - second))
    assert mcnemar(first, second) == pytest.approx(as_uneven / 2**n)


@pytest.mark.parametrize(("first", "second"), [(900, 1000), (480, 520), (5000, 5300)])
def test_many_videos_agree_with_edwards_corrected_chi_square(first, second):
    chi_square = (abs(first - second) - 1) ** 2 / (first + second)
    assert mcnemar(first, second) == pytest.approx(math.erfc(math.sqrt(chi_square / 2)), rel=0.01)


def test_a_p_below_the_least_number_is_zero():
    assert mcnemar(0, 5000) == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_two_systems_are_compared_video_by_video(pairs):
    first, second = torch.tensor(pairs).T
    paired = compare(first, second)
    counts = [pairs.count(case) for case in ((True, True), (True, False), (False, True), (False, False))]
    assert [paired.both, paired.first, paired.second, paired.neither] == counts
    assert paired.p == mcnemar(counts[1], counts[2])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_the_deviation_over_splits_is_that_of_a_sample(values):
    mean, deviation = mean_and_deviation(values)
    assert mean == pytest.approx(statistics.mean(values))
    assert deviation == pytest.approx(statistics.stdev(values), abs=1e-9)
