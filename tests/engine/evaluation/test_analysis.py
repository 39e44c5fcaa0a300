"""Analyses of scores beside an accuracy: known cases, brute force and properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import confusion, video_metrics
from engine.evaluation.analysis import (
    Outcome,
    Pair,
    Winners,
    class_hits,
    class_outcomes,
    clip_metrics,
    confused_pairs,
    outcomes,
    probabilities,
    reliability,
    winners,
    worst_errors,
)


def draw(seed: int, streams: int = 2, videos: int = 40, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(streams, videos, classes, generator=generator)
    return logits, torch.randint(classes, (videos,), generator=generator)


seeds = st.integers(0, 10**6)


def test_probabilities_are_the_softmax_of_logits():
    logits, _ = draw(0)
    assert torch.allclose(probabilities(logits[0]), logits[0].double().softmax(1))


def test_probabilities_that_are_given_stay_as_they_are():
    mean = torch.stack([part.softmax(1) for part in draw(0)[0]]).mean(0)
    assert torch.equal(probabilities(mean), mean.double())


def test_hits_by_class_add_up_to_the_accuracy():
    predicted, label = torch.tensor([0, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 2, 2])
    hits = class_hits(predicted, label, 4)
    assert hits.right.tolist() == [1, 1, 1, 0]
    assert hits.videos.tolist() == [2, 1, 2, 0]


def test_every_clip_counts_once_whichever_video_it_is_of():
    label = torch.tensor([0, 0, 2])
    found = clip_metrics(torch.tensor([1, 0, 3]), torch.tensor([2, 4, 4]), torch.tensor([2, 8, 4]), label)
    assert found == pytest.approx({"top1": 4 / 14, "top5": 10 / 14, "mean_class": (1 / 10 + 3 / 4) / 2})


def test_with_one_clip_per_video_clips_are_as_accurate_as_videos():
    logits, label = draw(3, classes=9)
    ranked = logits[0].topk(5).indices == label[:, None]
    found = clip_metrics(ranked[:, 0].long(), ranked.any(1).long(), torch.ones_like(label), label)
    assert found == pytest.approx(video_metrics(logits[0], label))


def test_pairs_are_sorted_by_videos_and_say_how_it_is_the_other_way_round():
    table = torch.tensor([[7, 3, 0], [1, 0, 1], [0, 3, 3]])
    assert confused_pairs(table) == [
        Pair(2, 1, 3, 0.5, 1),
        Pair(0, 1, 3, 0.3, 1),
        Pair(1, 0, 1, 0.5, 3),
        Pair(1, 2, 1, 0.5, 3),
    ]
    assert table.diagonal().tolist() == [7, 0, 3]


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_pairs_hold_every_error_once(seed):
    logits, label = draw(seed)
    pairs = confused_pairs(confusion(logits[0], label))
    assert sum(pair.videos for pair in pairs) == int((logits[0].argmax(1) != label).sum())
    assert all(pair.true != pair.predicted for pair in pairs)


def test_outcomes_of_two_streams_are_four_also_those_that_never_occur():
    right = torch.tensor([[True, True, False, False], [True, True, False, False]])
    assert outcomes(right, torch.tensor([True, False, True, False])) == [
        Outcome((True, True), 2, 1),
        Outcome((True, False), 0, 0),
        Outcome((False, True), 0, 0),
        Outcome((False, False), 2, 1),
    ]


@given(seeds, st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_outcomes_are_those_of_a_count_video_by_video(seed, streams):
    logits, label = draw(seed, streams)
    right, fused = logits.argmax(2) == label, logits.mean(0).argmax(1) == label
    found = outcomes(right, fused)
    for outcome in found:
        these = [i for i in range(len(label)) if tuple(right[:, i].tolist()) == outcome.right]
        assert (outcome.videos, outcome.fused) == (len(these), sum(bool(fused[i]) for i in these))
    assert sum(outcome.videos for outcome in found) == len(label)
    assert [sum(outcome.right) for outcome in found] == sorted((sum(o.right) for o in found), reverse=True)


def test_winners_count_only_where_streams_disagree():
    predicted = torch.tensor([[0, 1, 1, 2], [0, 2, 1, 0]])
    assert winners(predicted, torch.tensor([3, 2, 1, 1])) == Winners(2, [0, 1], 1)


def test_streams_that_agree_against_a_third_win_together():
    assert winners(torch.tensor([[1], [1], [2]]), torch.tensor([1])) == Winners(1, [1, 1, 0], 0)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_outcomes_by_class_of_two_streams_add_up_to_the_class(seed):
    logits, label = draw(seed)
    right = logits.argmax(2) == label
    every, alone, none = class_outcomes(right, label, 4)
    assert torch.equal(every + alone.sum(0) + none, torch.bincount(label, minlength=4))
    assert torch.equal(every + alone[0], torch.bincount(label[right[0]], minlength=4))


def test_a_bin_holds_its_upper_end():
    probability = torch.tensor([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    curve = reliability(probability, torch.tensor([0, 1, 0, 0]), bins=2)
    assert curve.videos.tolist() == [1, 3]
    assert curve.confidence.tolist() == pytest.approx([0.5, 2.6 / 3])
    assert curve.accuracy.tolist() == pytest.approx([1, 1 / 3])
    assert curve.error == pytest.approx((1 * 0.5 + 3 * (2.6 / 3 - 1 / 3)) / 4)


def test_what_is_always_sure_and_right_is_calibrated():
    curve = reliability(torch.eye(3), torch.arange(3))
    assert curve.error == 0
    assert curve.videos.tolist() == [0] * 14 + [3]


def test_worst_errors_are_the_most_confident_wrong_ones():
    probability = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
    label = torch.tensor([0, 1, 1, 0, 1])
    assert worst_errors(probability, label, 9) == [1, 4, 3, 2]
    assert worst_errors(probability, label, 2) == [1, 4]
    assert worst_errors(probability, label, 0) == []
    assert worst_errors(probability, probability.argmax(1), 3) == []
