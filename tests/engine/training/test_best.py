"""The best epoch: the latest that is no worse than the highest accuracy beyond chance."""

import math

import pytest

from engine.training.best import STANDARD_ERRORS, Best


def chosen(accuracies, clips, losses=None):
    """The epochs, from 1, that took the place of the best, and the best in the end."""
    best, epochs = Best(), []
    for epoch, accuracy in enumerate(accuracies, 1):
        metrics = {"acc": accuracy, "loss": losses[epoch - 1] if losses else 1.0}
        if best.accepts(metrics, clips):
            epochs.append(epoch)
        best = best.after(metrics, clips)
    return epochs, best


def test_a_later_epoch_within_two_standard_errors_of_the_highest_is_the_best():
    chance = math.sqrt(0.5 * 0.5 / 100)  # 0.05
    within, below = 0.5 - STANDARD_ERRORS * chance + 0.01, 0.5 - STANDARD_ERRORS * chance - 0.01
    epochs, best = chosen([0.2, 0.5, below, within, below], 100)
    assert epochs == [1, 2, 4]
    assert best == Best(0.5, -1.0, within)


@pytest.mark.parametrize(("clips", "epochs"), [(100, [1, 2, 3]), (10_000, [1, 2])])
def test_the_more_videos_there_are_the_less_is_chance(clips, epochs):
    assert chosen([0.3, 0.5, 0.45], clips)[0] == epochs


def test_chance_is_of_the_highest_and_not_of_the_best_so_that_accuracy_cannot_creep_down():
    epochs, best = chosen([0.5, 0.42, 0.34, 0.26], 100)
    assert epochs == [1, 2]
    assert best.accuracy == 0.42


def test_of_equals_the_later_is_the_best_also_where_nothing_is_wrong_or_right():
    assert chosen([1.0, 0.99, 1.0], 100)[0] == [1, 3]
    assert chosen([0.0, 0.0], 100)[0] == [1, 2]


def test_without_labels_the_least_loss_decides():
    best = Best()
    for loss, better in ((3.0, True), (4.0, False), (3.0, False), (2.0, True)):
        assert best.accepts({"loss": loss}, 8) == better
        best = best.after({"loss": loss}, 8)
    assert best == Best(0.0, -2.0, 0.0)


def test_what_an_earlier_version_stored_goes_on():
    assert Best.of([0.5, -1.25]) == Best(0.5, -1.25, 0.5)
    assert Best.of([0.5, -1.25, 0.4]) == Best(0.5, -1.25, 0.4)
    assert Best.of(Best()).accepts({"acc": 0.0, "loss": 9.0}, 4)
