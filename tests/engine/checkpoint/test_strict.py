"""Counts of videos: a test leaves no video out unless it is asked to, and then says so wherever its result stands."""

import logging

import numpy as np
import pytest
from helpers import words_for

import test_single_stream
import train
from datasets import build_dataset
from opts import parse_opts


@pytest.fixture
def weights(own_hmdb51, tmp_path) -> str:
    words = [*words_for(own_hmdb51, tmp_path / "results"), "--only_RGB", "--val_fraction", "0"]
    train.main(parse_opts(words))
    (path,) = (tmp_path / "results").rglob("*varLR1.pth")
    return str(path)


def test_a_test_video_in_quarantine_stops_a_test_unless_it_is_left_out_and_counted(
    own_hmdb51, weights, tmp_path, caplog
):
    bad = "cartwheel/film2_cartwheel_f_cm_np1_fr_med_0"
    table = f"{bad}\tthe wrong film\t2020-05-01\ncatch/unlisted\tgone\t\n"
    (own_hmdb51 / "frames" / "quarantine.tsv").write_text(table)
    words = [*words_for(own_hmdb51, tmp_path / "tests", ()), "--only_RGB", "--resume_path1", weights]
    words += ["--scores_path", str(tmp_path / "scores.npz")]
    with pytest.raises(ValueError, match=rf"{bad}: in quarantine \(the wrong film\).*--missing skip"):
        test_single_stream.main(parse_opts(words))
    assert not (tmp_path / "scores.npz").exists()

    caplog.set_level(logging.INFO)
    test_single_stream.main(parse_opts([*words, "--missing", "skip"]))
    assert "1 of 2 listed videos, " in caplog.text
    with np.load(tmp_path / "scores.npz") as scores:
        assert (len(scores["video"]), scores["listed"].item()) == (1, 2)
    (result,) = (tmp_path / "tests").rglob("test_*.txt")
    assert result.read_text().splitlines()[-1] == "Videos = 1 of 2 listed"


def test_training_leaves_quarantined_videos_out_and_says_how_many_are_left(own_hmdb51, caplog):
    bad = "cartwheel/film0_cartwheel_f_cm_np1_fr_med_0"
    (own_hmdb51 / "frames" / "quarantine.tsv").write_text(f"{bad}\taudit: truncated\t2020-05-01\n")
    caplog.set_level(logging.INFO)
    words = [*words_for(own_hmdb51, own_hmdb51), "--val_fraction", "0"]
    dataset = build_dataset(parse_opts(words), "train")
    assert bad not in [video.name for video in dataset.videos]
    assert "3 of 4 listed videos used (1 in quarantine)" in caplog.text
