"""Weights of a fusion by temperatures on held-out videos: --fit of test_two_stream.py."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distilling import trained
from helpers import words_for

import test_two_stream
from datasets import build_annotation
from engine import Scores
from engine.evaluation.calibration import fit_temperature
from engine.evaluation.scores import load
from models import fuse
from opts import parse_opts

LOUD = {"rgb": 4.0, "flow": 0.5}  # how much surer than its accuracy a stream is


@pytest.fixture(scope="module")
def streams(hmdb51, tmp_path_factory) -> list[str]:
    runs = trained(hmdb51, tmp_path_factory.mktemp("runs"), {"rgb": "--modality RGB", "flow": "--modality Flow"})
    return [word for name, path in runs.items() for word in ("--stream", f"{name}={path}")]


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


def change_logits(path: Path, change: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
    """Change the logits of a score file in place, by its labels."""
    scores = load(path)
    change(scores.logits, scores.label)
    scores.save(path, fuse(scores.logits))


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
    change_logits(held, lambda logits, label: logits[0].neg_())
    scores = run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
    assert scores.about["fusion_weights"] == [0, 1]
    assert torch.equal(fused(tmp_path / "test.npz"), scores.logits[1])
    assert "rgb counts for nothing: the held-out logits are no better than a guess" in caplog.text


def right(logits: torch.Tensor, label: torch.Tensor) -> None:
    logits[0, torch.arange(40), label] += 100


def wrong_once(logits: torch.Tensor, label: torch.Tensor) -> None:
    right(logits, label)
    logits[0, 0] *= -1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda logits, label: logits.neg_(), "no stream is better than a guess .* leave out --fit"),
        (right, "these held-out videos cannot weigh rgb: all 40 held-out videos are right.*--val_fraction"),
        (wrong_once, "these held-out videos cannot weigh rgb: 39 of 40 .* are right.*--val_fraction"),
    ],
)
def test_streams_that_cannot_be_weighed_are_refused_before_a_clip_is_read(
    data, streams, held, tmp_path, monkeypatch, change, said
):
    monkeypatch.setattr("workflows.testing.evaluation.score", None)
    change_logits(held, change)
    with pytest.raises(ValueError, match=f"^--fit: {said}.*$"):
        run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")


@pytest.mark.parametrize("spelt", ["held.npz", "../{}/held.npz"])
def test_held_out_scores_are_not_written_over(data, streams, held, tmp_path, spelt, caplog):
    before, path = held.read_bytes(), str(tmp_path / spelt.format(tmp_path.name))
    with pytest.raises(ValueError, match=r"--scores_path .*held\.npz: would overwrite what is read"):
        run([*data, *streams, "--fit", str(held)], Path(path))
    run([*data, *streams], tmp_path / "plain.npz")
    words = ["--scores", str(tmp_path / "plain.npz"), "--fit", str(held), "--log", "0"]
    scored = (tmp_path / "plain.npz").read_bytes()
    for read in (Path(path), tmp_path / "plain.npz"):
        run(words, read)
        assert f"{read.name}: not written, for it was read" in caplog.text
    assert (held.read_bytes(), (tmp_path / "plain.npz").read_bytes()) == (before, scored)


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
        ({"about": known.about | {"checkpoints": {"rgb": {"sha256": "0"}}}}, "another checkpoint"),
    ):
        replace(known, **change).save(held, fuse(known.logits))
        with pytest.raises(ValueError, match=said):
            run([*data, *streams, "--fit", str(held)], tmp_path / "test.npz")
