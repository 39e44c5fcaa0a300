"""Retrieval: nearest neighbours by hand and in bounded memory, the command, its files, its page and its refusals."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from answering import NAMES, write_weights
from helpers import write_hmdb51
from torch.utils._python_dispatch import TorchDispatchMode

import test_retrieval as command
from datasets import ClipOptions, make_loader, open_videos
from engine.evaluation import retrieval
from engine.evaluation.retrieval import VideoFeatures, load_features, nearest, retrieval_hits
from workflows.testing.loading import load_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Frames and labels of three classes, and a network that knows them."""
    root = tmp_path_factory.mktemp("data")
    write_hmdb51(root, NAMES)
    write_weights(root / "rgb.pth")
    return root


def retrieve(place, out, *more: object) -> dict[int, float]:
    words = ["--resume_path1", place / "rgb.pth", "--frame_dir", place / "frames", "--annotation_path"]
    words += [place / "labels", "--features", out / "f", *"--device cpu --n_workers 0 --only_RGB".split(), *more]
    return command.main(command.parse_args([str(word) for word in words]))


def test_neighbours_by_hand(monkeypatch):
    queries, gallery = torch.randn(7, 5, dtype=torch.float64), torch.randn(11, 5, dtype=torch.float64)
    cosines = [[float(q @ g) / math.sqrt(float(q @ q) * float(g @ g)) for g in gallery] for q in queries]
    order = [sorted(range(11), key=lambda i, row=row: -row[i]) for row in cosines]
    for block in (1, 25, 1000):  # one query at a time, some, all
        monkeypatch.setattr(retrieval, "BLOCK", block)
        values, positions = nearest(queries, gallery, 4)
        assert positions.tolist() == [row[:4] for row in order]
        assert values[2].tolist() == pytest.approx([cosines[2][i] for i in order[2][:4]], abs=1e-6)
    assert nearest(queries, gallery, 50)[1].tolist() == order
    assert (nearest(queries * 1000, gallery / 1000, 4)[1] == positions).all()


def test_hits_count_queries_and_not_neighbours():
    label, neighbours = torch.tensor([0, 1, 2]), torch.tensor([[0, 0, 0], [2, 1, 1], [0, 0, 1]])
    assert retrieval_hits(label, neighbours, (1, 2, 3, 50)) == {1: 1, 2: 2, 3: 2, 50: 2}


class Largest(TorchDispatchMode):
    """Takes note of the most numbers in a tensor that was made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else [result]:
            if isinstance(made, torch.Tensor):
                self.numbers = max(self.numbers, made.numel())
        return result


def test_memory_is_bounded_for_a_hundred_thousand_videos():
    gallery, queries = torch.randn(100_000, 8), torch.randn(400, 8)
    queries[17] = gallery[54_321] * 3
    with Largest() as largest:
        values, positions = nearest(queries, gallery, 50)
    assert retrieval.BLOCK / 2 < largest.numbers <= retrieval.BLOCK < len(gallery) * len(queries)
    assert positions.shape == (400, 50)
    assert positions[17, 0] == 54_321
    assert values[17, 0].item() == pytest.approx(1)
    assert (values[:, :-1] >= values[:, 1:]).all()


@pytest.mark.parametrize("feature", ["avgpool", "layer2"])
def test_features_are_means_over_clips_of_means_over_time_and_space(place, tmp_path, feature):
    retrieve(place, tmp_path, "--feature", feature, "--num_clips", 2, "--test_sampling", "stepped")
    found = load_features(tmp_path / "f_test.npz")
    videos = open_videos(place / "labels", place / "frames", subset="test", streams=["rgb"], only_rgb=True)
    clips = ClipOptions(size=32, length=8, num_clips=2, test_sampling="stepped")
    network = load_checkpoint(place / "rgb.pth")
    total = torch.zeros(len(videos), found.features.shape[1])
    with torch.inference_mode():
        for batch in make_loader(videos, clips, mode="test", batch_size=3):
            maps = network(batch).features[feature]
            total.index_add_(0, batch["index"], maps if feature == "avgpool" else maps.mean((2, 3, 4)))
    assert found.video == [video.name for video in videos]
    torch.testing.assert_close(found.features, total / 2, atol=1e-5, rtol=1e-5)
    assert found.about["feature"] == feature


def test_the_command_prints_writes_and_reads_again(place, tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.html"
    first = retrieve(place, tmp_path, "--ranks", 1, 5, "--page", page, "--queries", 2)
    lines = re.findall(r"Top-(\d), correct = (\S+), total = 6, acc = (\S+)", capsys.readouterr().out)
    assert {int(k): float(correct) / 6 for k, correct, _ in lines} == first
    test, train = (load_features(tmp_path / f"f_{subset}.npz") for subset in ("test", "train"))
    assert (len(test.video), len(train.video)) == (6, 9)  # all training videos, held out or not
    neighbours = train.label[nearest(test.features, train.features, 5)[1]]
    assert first == {k: hits / 6 for k, hits in retrieval_hits(test.label, neighbours, (1, 5)).items()}
    written = json.loads((tmp_path / "f.json").read_text())
    assert (written["videos"], written["gallery"], written["chance"]) == (6, 9, pytest.approx(1 / 3))
    text = page.read_text()
    assert text.count("<section>") == 2
    assert text.count("data:image/jpeg") == 12
    assert text.count('class="right"') + text.count('class="wrong"') == 10
    monkeypatch.setattr("workflows.retrieving.features.score_videos", None)  # nothing is computed again
    assert retrieve(place, tmp_path, "--ranks", 1, 5) == first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--feature", "layer2"], r"f_test\.npz: features of another stage \(--feature\): choose other --features"),
        (["--num_clips", "3", "--test_sampling", "stepped"], r"f_test\.npz: features of another --test_sampling"),
        (["--feature", "layer9"], "--feature layer9: choose among"),
        (["--ranks", "0"], "--ranks 0: must be >= 1"),
        (["--page", "page.html", "--queries", "0"], "--queries 0: must be >= 1"),
    ],
)
def test_what_does_not_fit_is_refused(place, tmp_path_factory, more, message):
    out = tmp_path_factory.getbasetemp() / "refused"
    retrieve(place, out)
    with pytest.raises(ValueError, match=message):
        retrieve(place, out, *more)


def test_features_of_another_checkpoint_are_refused(place, tmp_path):
    retrieve(place, tmp_path)
    features = load_features(tmp_path / "f_test.npz")
    about = features.about | {"checkpoints": {"features": features.about["checkpoints"]["features"] | {"sha256": "0"}}}
    replace(features, about=about).save(tmp_path / "f_test.npz")
    with pytest.raises(ValueError, match="features of another checkpoint"):
        retrieve(place, tmp_path)


def test_damaged_files_of_features_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(FileNotFoundError, match=r"f\.npz: no such file of features"):
        load_features(path)
    good = VideoFeatures(["a", "b"], torch.tensor([0, 1]), ["x", "y"], torch.randn(2, 3), {"feature": "avgpool"})
    good.save(path)
    whole = path.read_bytes()
    assert torch.equal(load_features(path).features, good.features)
    for damaged in (b"", whole[: len(whole) // 2], b"no file of numpy"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"f\.npz: damaged, or no file of features"):
            load_features(path)
    wrong = [
        replace(good, features=torch.randn(3, 3)),
        replace(good, features=torch.tensor([[1.0], [math.nan]])),
        replace(good, label=torch.tensor([0, 2])),
        replace(good, label=torch.tensor([0.0, 1.0])),
    ]
    for features in wrong:
        features.save(path)
        with pytest.raises(ValueError, match=r"f\.npz: no file of features"):
            load_features(path)
    np.savez(path, video=np.array(["a"]))
    with pytest.raises(ValueError, match=r"f\.npz: damaged, or no file of features"):
        load_features(path)


@pytest.mark.parametrize(
    ("option", "name"), [("--result_path", "file"), ("--features", "file/a"), ("--page", "file/a")]
)
def test_results_that_cannot_be_written_are_refused_before_a_checkpoint_is_read(option, name, tmp_path):
    (tmp_path / "file").touch()
    words = ["--resume_path1", "none.pth", "--result_path", str(tmp_path), option, str(tmp_path / name)]
    with pytest.raises(NotADirectoryError, match=f"file: is a file, .*; use another {option}"):
        command.main(command.parse_args(words))
