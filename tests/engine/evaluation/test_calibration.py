"""Calibration errors and the temperature, against plain loops, a grid, and what is known of synthetic logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)


def calibrated(videos=20_000, classes=8, seed=0):
    """Logits whose softmax is the distribution that the labels are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(videos, classes, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def ece_by_loops(logits, target, bins):
    bin_of = [[] for _ in range(bins)]
    for row, label in zip(logits.double().softmax(1).tolist(), target.tolist(), strict=True):
        confidence = max(row)
        i = next(i for i in range(bins) if confidence <= (i + 1) / bins or i == bins - 1)
        bin_of[i].append((confidence, row.index(confidence) == label))
    gaps = [abs(sum(c for c, _ in own) - sum(right for _, right in own)) for own in bin_of]
    return sum(gaps) / len(target)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(1, 20), st.floats(0.1, 10), st.integers(0, 999))
def test_ece_is_that_of_plain_loops(videos, classes, bins, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(videos, classes, generator=generator)
    target = torch.randint(classes, (videos,), generator=generator)
    expected = ece_by_loops(logits, target, bins)
    assert expected_calibration_error(logits, target, bins) == pytest.approx(expected, abs=1e-9)


def test_ece_of_cases_known_by_hand():
    sure = torch.tensor([[50.0, 0.0], [50.0, 0.0], [0.0, 50.0], [0.0, 50.0]])
    assert expected_calibration_error(sure, torch.tensor([0, 0, 1, 1])) == pytest.approx(0)
    assert expected_calibration_error(sure, torch.tensor([1, 1, 0, 0])) == pytest.approx(1)
    assert expected_calibration_error(sure, torch.tensor([0, 0, 1, 0])) == pytest.approx(0.25)


def test_calibrated_logits_have_a_small_error():
    assert expected_calibration_error(*calibrated()) < 0.015


def test_nll_and_brier_of_a_uniform_guess():
    logits, target = torch.zeros(6, 5), torch.arange(6) % 5
    assert negative_log_likelihood(logits, target) == pytest.approx(math.log(5))
    assert brier_score(logits, target) == pytest.approx(0.8**2 + 4 * 0.2**2)


def test_brier_reaches_from_0_to_2():
    sure = torch.tensor([[100.0, 0.0, 0.0]])
    assert brier_score(sure, torch.tensor([0])) == pytest.approx(0)
    assert brier_score(sure, torch.tensor([1])) == pytest.approx(2)


def test_the_temperature_of_calibrated_logits_is_1():
    assert fit_temperature(*calibrated()) == pytest.approx(1, abs=0.03)


@settings(deadline=None, max_examples=25)
@given(st.floats(-6, 6), st.integers(0, 50))
def test_scaled_logits_have_their_temperature_scaled_alike(exponent, seed):
    logits, target = calibrated(300, seed=seed)
    factor = 10**exponent
    assert fit_temperature(logits * factor, target) == pytest.approx(factor * fit_temperature(logits, target), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 500), st.floats(-100, 100))
def test_the_temperature_ignores_what_softmax_ignores(seed, constant):
    logits, target = calibrated(300, seed=seed)
    assert fit_temperature(logits + constant, target) == pytest.approx(fit_temperature(logits, target), rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 8), st.integers(0, 500))
def test_no_temperature_of_a_fine_grid_is_better(scale, seed):
    logits, target = calibrated(200, seed=seed)
    logits = logits * scale
    best = F.cross_entropy(logits / fit_temperature(logits, target), target).item()
    grid = torch.logspace(-3, 3, 2001, dtype=torch.float64)
    log_p = (logits / grid[:, None, None]).log_softmax(2)
    assert best <= -log_p[:, torch.arange(200), target].mean(1).max().item() + 1e-12
    assert best <= negative_log_likelihood(logits, target) + 1e-12


def test_the_temperature_is_that_of_lbfgs():
    logits, target = calibrated(500, seed=3)
    logits = 3.7 * logits
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(logits / log_t.exp(), target)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(logits, target) == pytest.approx(log_t.exp().item(), rel=1e-5)


def test_a_temperature_that_hardly_exists_is_found():
    logits = torch.tensor([[40.0, 0.0], [40.0, 0.0], [0.0, 1e-3]], dtype=torch.float64)
    target = torch.tensor([0, 0, 0])  # the third is wrong by next to nothing
    assert 0 < fit_temperature(logits, target) < 40
    nearly_a_guess = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.999]], dtype=torch.float64)
    assert fit_temperature(nearly_a_guess, target) > 100


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ([[3.0, 1.0], [0.0, 2.0]], [0, 1], "all 2 held-out videos are right"),
        ([[3.0, 1.0], [0.0, 2.0]], [1, 0], "no better than a guess"),
        ([[1.0, 1.0], [2.0, 2.0]], [0, 1], "no better than a guess"),
    ],
)
def test_where_no_temperature_is_best_it_is_said(logits, target, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(torch.tensor(logits), torch.tensor(target))
