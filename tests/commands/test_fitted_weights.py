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


def test_a_stream_without_a_temperature_counts_as_it_is(data, streams, held, tmp_path, caplog):
    known = load(held)
    known.logits[0, torch.arange(40), known.label] += 100
    known.save(held, fuse(known.logits))
    weights = run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz").about["fusion_weights"]
    assert weights[1] / weights[0] == pytest.approx(1 / fit_temperature(known.logits[1], known.label))
    assert "rgb has no temperature and is left at 1: all 40 held-out videos are right" in caplog.text


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
