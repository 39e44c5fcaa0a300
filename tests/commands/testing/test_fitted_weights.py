"""Weights of a fusion by temperatures on held-out videos: --fit of test_two_stream.py."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import words_for

import test_two_stream
import train
from datasets import build_annotation
from engine import Scores
from engine.evaluation.calibration import fit_temperature
from engine.evaluation.scores import load
from models import fuse
from opts import parse_opts

LOUD = {"rgb": 4.0, "flow": 0.5}  # how much surer than its accuracy a stream is


@pytest.fixture(scope="module")
def streams(hmdb51, tmp_path_factory) -> list[str]:
    words = []
    for name, modality in {"rgb": "RGB", "flow": "Flow"}.items():
        results = tmp_path_factory.mktemp(name)
        train.main(parse_opts([*words_for(hmdb51, results), "--modality", modality]))
        words += ["--stream", f"{name}={next(results.rglob('*varLR1.pth'))}"]
    return words


@pytest.fixture
def data(hmdb51, tmp_path) -> list[str]:
    return words_for(hmdb51, tmp_path / "results", network=())


def run(words: list[str], path: Path) -> Scores:
    test_two_stream.main(parse_opts([*words, "--scores_path", str(path)]))
    return load(path)


def fused(path: Path) -> torch.Tensor:
    with np.load(path) as file:
        return torch.from_numpy(file["fused"])


@pytest.fixture
def held(data, streams, tmp_path) -> Path:
    """Scores of the held-out videos, with logits that know most labels and are of unlike sizes."""
    scores = run([*data, *streams, "--test_subset", "val"], tmp_path / "raw.npz")
    videos = [f"held_{i}" for i in range(40)]
    label = torch.arange(40) % len(scores.class_names)
    logits = torch.randn(2, 40, len(scores.class_names), generator=torch.Generator().manual_seed(1))
    logits[:, torch.arange(40), label] += 1
    logits *= torch.tensor([*LOUD.values()])[:, None, None]
    path = tmp_path / "held.npz"
    many = {"video": videos, "label": label, "logits": logits, "clips": torch.ones(2, 40, dtype=torch.int64)}
    nothing = dict.fromkeys(("clip_top1", "clip_top5", "activated", "fused_hits"))
    replace(scores, **many, **nothing, listed=40).save(path, fuse(logits))
    return path


def test_streams_are_divided_by_their_temperatures(data, streams, held, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scores = run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
    fitted = load(held)
    temperature = [fit_temperature(logits, fitted.label) for logits in fitted.logits]
    assert temperature[0] == pytest.approx(8 * temperature[1], rel=0.5)
    divided = scores.logits / torch.tensor(temperature, dtype=torch.float32)[:, None, None]
    share = torch.tensor(temperature).reciprocal().sum().item()
    torch.testing.assert_close(fused(tmp_path / "test.npz"), divided.sum(0) / share, rtol=0, atol=1e-6)
    assert scores.about["fusion_weights"] == pytest.approx([1 / temperature[0] / share, 1 / temperature[1] / share])
    shown = "; ".join(
        f"{name} has temperature {T:.2f} and weight {1 / T / share:.3f}"
        for name, T in zip(LOUD, temperature, strict=True)
    )
    assert f"on 40 held-out videos: {shown}" in caplog.text


def test_score_files_are_fused_as_their_networks(data, streams, held, tmp_path):
    direct = run([*data, *streams, "--fit", str(held)], tmp_path / "direct.npz")
    run([*data, *streams], tmp_path / "plain.npz")
    words = ["--scores", str(tmp_path / "plain.npz"), "--fit", str(held), "--log", "0"]
    again = run(words, tmp_path / "again.npz")
    assert torch.equal(fused(tmp_path / "direct.npz"), fused(tmp_path / "again.npz"))
    assert again.about["fusion_weights"] == direct.about["fusion_weights"]


def test_a_stream_that_is_no_better_than_a_guess_counts_for_nothing(data, streams, held, tmp_path, caplog):
    known = load(held)
    known.logits[0] *= -1
    known.save(held, fuse(known.logits))
    scores = run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
    assert scores.about["fusion_weights"] == [0, 1]
    assert torch.equal(fused(tmp_path / "test.npz"), scores.logits[1])
    assert "rgb counts for nothing: the held-out logits are no better than a guess" in caplog.text


def test_streams_that_are_all_no_better_than_a_guess_have_no_weights(data, streams, held, tmp_path, monkeypatch):
    monkeypatch.setattr("workflows.testing.evaluation.score", None)  # refused before a clip is read
    known = load(held)
    known.logits *= -1
    known.save(held, fuse(known.logits))
    with pytest.raises(ValueError, match=r"--fit: no stream is better than a guess .* leave out --fit"):
        run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")


@pytest.mark.parametrize(("wrong", "said"), [(0, "all 40 held-out videos are right"), (1, "39 of 40 .* are right")])
def test_videos_on_which_a_stream_is_all_but_always_right_cannot_weigh_it(
    data, streams, held, tmp_path, monkeypatch, wrong, said
):
    monkeypatch.setattr("workflows.testing.evaluation.score", None)
    known = load(held)
    known.logits[0, torch.arange(40), known.label] += 100
    known.logits[0, :wrong] *= -1
    known.save(held, fuse(known.logits))
    with pytest.raises(
        ValueError, match=rf"--fit: these held-out videos cannot weigh rgb: {said}.*--val_fraction"
    ) as e:
        run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("spelt", ["held.npz", "../{}/held.npz"])
def test_held_out_scores_are_not_written_over(data, streams, held, tmp_path, spelt, caplog):
    before, path = held.read_bytes(), str(tmp_path / spelt.format(tmp_path.name))
    with pytest.raises(ValueError, match=r"--scores_path .*held\.npz: would overwrite what is read"):
        run([*data, *streams, "--fit", str(held)], Path(path))
    run([*data, *streams], tmp_path / "plain.npz")
    run(["--scores", str(tmp_path / "plain.npz"), "--fit", str(held), "--log", "0"], Path(path))
    assert "held.npz: not written, for it was read" in caplog.text
    assert held.read_bytes() == before


def test_a_checkpoint_is_not_written_over_by_its_scores(data, streams):
    path = Path(streams[1].removeprefix("rgb="))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"--scores_path .*\.pth: would overwrite what is read"):
        run([*data, *streams], path)
    assert path.read_bytes() == before


REFUSED = {
    "two weightings": (["--fusion_weights", "1", "2"], "--fit and --fusion_weights both weigh the streams"),
    "no logits": (["--fusion", "softmax"], "temperatures weigh logits, and --fusion softmax changes them"),
    "no file": (["--fit", "nowhere.npz"], r"nowhere\.npz: no such score file"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_what_excludes_a_fit_is_refused(words, said, data, streams, held, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        run([*data, *streams, "--fit", str(held), *words], tmp_path / "test.npz")


def test_what_is_not_of_these_networks_and_held_out_is_refused_before_a_clip_is_read(
    data, streams, held, tmp_path, monkeypatch
):
    monkeypatch.setattr("workflows.testing.evaluation.score", None)
    known = load(held)
    tested = build_annotation(parse_opts(data)).list_subset("test", scored=True).entries[0]
    for change, said in (
        ({"video": [*known.video[:-1], tested.path]}, "1 of its videos are tested on"),
        ({"about": known.about | {"subset": "test"}}, "nothing is fitted on a test list"),
        ({"about": known.about | {"split": 2}}, "of split 2, but the test is of split 1"),
        ({"streams": ["rgb", "sfs"]}, "no stream flow in its files"),
        ({"about": known.about | {"checkpoints": {"rgb": {"sha256": "0"}}}}, "another checkpoint"),
    ):
        replace(known, **change).save(held, fuse(known.logits))
        with pytest.raises(ValueError, match=said):
            run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
