"""Linear CKA: reference values, what it must not depend on, and the tool that compares student and teacher."""

import csv
import importlib.util
import itertools
import json
import logging
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from answering import write_weights
from helpers import words_for, write_hmdb51
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from datasets import FLOW, RGB
from engine.command import cli
from models import LEVELS
from models.analysis import similarity
from models.analysis.similarity import FEATURES, FOLDS, LinearCKA, linear_cka, standard_error
from opts import SINGLE
from utils1 import layer_similarity as tool
from workflows.shared import plots
from workflows.understanding import layer_similarity


def hsic(x: Tensor, y: Tensor) -> float:
    """The U-statistic of HSIC over all four different clips (Song et al., JMLR 2012, eq. 4)."""
    k, m = (x @ x.T).double(), (y @ y.T).double()
    fours = [*itertools.permutations(range(len(x)), 4)]
    return sum(float(k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])) for i, j, q, r in fours) / len(fours)


def song(x: Tensor, y: Tensor) -> float:
    """The same by Song's formula in matrices (eq. 5)."""
    k, m = ((z @ z.T).double().fill_diagonal_(0) for z in (x, y))
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)
    total = (
        (k @ m).trace() + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 * (one @ k @ m @ one) / (n - 2)
    )
    return float(total) / (n * (n - 3))


def related(n: int, *widths: int) -> list[Tensor]:
    """Features of some widths that share what they are made of."""
    common = torch.randn(n, 3, dtype=torch.float64)
    return [common @ torch.randn(3, w, dtype=torch.float64) + torch.randn(n, w, dtype=torch.float64) for w in widths]


@pytest.mark.parametrize("n", [4, 5, 7])
def test_it_is_the_ratio_of_unbiased_hsic(n):
    x, y = related(n, 5, 3)
    assert hsic(x, y) == pytest.approx(song(x, y))
    expected = hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_batches_are_averaged_before_the_division():
    pairs = [related(n, 4, 6) for n in (5, 5, 7)]
    alike = LinearCKA(2)
    for pair in pairs:
        alike.update(pair)

    def mean(a, b):
        return sum(len(pair[a]) * song(pair[a], pair[b]) for pair in pairs)

    assert alike.clips == 17
    assert float(alike.matrix()[1, 0]) == pytest.approx(mean(0, 1) / math.sqrt(mean(0, 0) * mean(1, 1)), rel=1e-9)


@settings(max_examples=10)
@given(st.integers(4, 20), st.integers(1, 40), st.floats(1e-3, 1e3), st.floats(-50, 50), st.integers(0, 999))
def test_it_does_not_change_with_rotation_scale_and_shift(n, width, scale, shift, seed):
    torch.manual_seed(seed)
    x, y = related(n, width, 5)
    rotation = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))[0]
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, scale * (x @ rotation) + shift) == pytest.approx(1, abs=1e-6)
    assert linear_cka(scale * (x @ rotation) + shift, y) == pytest.approx(linear_cka(x, y), abs=1e-6)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x), abs=1e-12)
    assert -1 <= linear_cka(x, y) <= 1


def test_a_stretch_of_some_directions_does_change_it():
    (x,) = related(40, 6)
    assert linear_cka(x, x * torch.tensor([9.0, 1, 1, 1, 1, 1])) < 0.95


@pytest.mark.slow
def test_the_standard_error_is_the_scatter_over_other_clips():
    generator = torch.Generator().manual_seed(1)
    values, errors = [], []
    for _ in range(60):
        shared = torch.randn(50, 4, generator=generator)
        alike = LinearCKA(2)
        alike.update([torch.cat([shared, torch.randn(50, 4, generator=generator)], 1) for _ in range(2)])
        values.append(float(alike.matrix()[0, 1]))
        errors.append(float(standard_error(alike.replicates())[0, 1]))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)


def test_a_fold_is_the_estimate_without_its_clips():
    generator = torch.Generator().manual_seed(2)
    left, right = (torch.randn(30, 5, generator=generator) for _ in range(2))
    alike = LinearCKA(2)
    alike.update([left, right])
    kept = torch.arange(30) % FOLDS != 3
    assert float(alike.replicates()[3, 0, 1]) == pytest.approx(linear_cka(left[kept], right[kept]))


def test_four_clips_are_too_few_for_an_error_and_what_is_equal_has_none():
    for count, error in ((4, None), (5, 0.0), (19, 0.0), (45, 0.0)):
        alike = LinearCKA(2)
        alike.update([torch.randn(count, 3, generator=torch.Generator().manual_seed(3))] * 2)
        found = float(standard_error(alike.replicates())[0, 1])
        assert math.isnan(found) if error is None else found == pytest.approx(error, abs=1e-9)


def test_what_is_unrelated_is_near_zero_also_with_more_channels_than_clips():
    found = [linear_cka(torch.randn(16, 400), torch.randn(16, 400)) for _ in range(40)]
    assert abs(sum(found) / len(found)) < 0.05
    assert min(found) < 0  # unbiased, so on either side
    x, y = (z - z.mean(0) for z in torch.randn(2, 16, 400))
    biased = (x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    assert biased > 0.9  # what the usual estimate says of noise


def test_many_columns_are_compared_in_parts(monkeypatch):
    x, y = related(9, 50, 31)
    whole = linear_cka(x, y)
    monkeypatch.setattr(similarity, "COLUMNS", 7)
    assert linear_cka(x, y) == pytest.approx(whole, rel=1e-9)


def test_features_that_are_the_same_for_all_clips_have_no_similarity():
    alike = LinearCKA(3)
    alike.update([torch.full((8, 5), 0.1), torch.randn(8, 4), torch.randn(8, 4)])
    matrix = alike.matrix()
    assert matrix[0].isnan().all()
    assert matrix[:, 0].isnan().all()
    assert matrix[1:, 1:].isfinite().all()


def test_large_offsets_do_not_drown_the_differences():
    (x,) = related(12, 4)
    assert linear_cka(x, x + 1e6) == pytest.approx(1, abs=1e-6)


def test_pooled_features_forget_the_place_and_flattened_ones_do_not():
    x = torch.randn(12, 5, 2, 3, 3)
    moved = x.roll(1, -1)
    assert FEATURES["pooled"](x).shape == (12, 5)
    assert FEATURES["flattened"](x).shape == (12, 90)
    assert linear_cka(FEATURES["pooled"](x), FEATURES["pooled"](moved)) == pytest.approx(1, abs=1e-5)
    assert torch.equal(FEATURES["pooled"](x[:, :, 0, 0, 0]), x[:, :, 0, 0, 0])
    other = torch.randn(12, 5, 2, 3, 3)
    other[6:], once = x[6:], x
    assert linear_cka(FEATURES["flattened"](once), FEATURES["flattened"](other)) < 0.9


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([torch.randn(3, 2), torch.randn(3, 2)], "a batch of 3 clips: similarity needs at least 4"),
        ([torch.randn(5, 2), torch.randn(6, 2)], "2 features of the same clips are compared"),
        ([torch.randn(5, 2)], "2 features of the same clips are compared, not 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(features, message):
    with pytest.raises(ValueError, match=message):
        LinearCKA(2).update(features)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("weights")
    kinds = {"sfs": RGB, "rgb": RGB, "flow": FLOW}
    return {name: write_weights(root / f"{name}.pth", stream, provenance={}) for name, stream in kinds.items()}


def parsed(hmdb51, out, weights, roles, *words):
    named = [word for role, name in roles.items() for word in (f"--{role}", weights[name])]
    # With all of the test list to validate on there are six videos.
    return tool.parse_args([*named, *words_for(hmdb51, out, network=(), script=SINGLE), "--val_fraction", "0", *words])


ALL = {"student": "sfs", "teacher": "flow", "baseline": "rgb"}


def test_the_table_has_a_row_for_each_layer_and_says_what_distillation_gave(hmdb51, tmp_path, weights, capsys):
    report = tool.main(parsed(hmdb51, tmp_path, weights, ALL))
    lines = capsys.readouterr().out.splitlines()
    assert report["clips"] == 6
    header = next(line for line in lines if line.startswith("| layer"))
    assert header == "| layer | student, teacher | baseline, teacher | student, baseline | student nearer by |"
    rows = [line.strip("| ").split(" | ") for line in lines[lines.index(header) + 2 :] if line.startswith("|")]
    assert lines[-1].startswith("These are few clips: ")
    assert [row[0] for row in rows] == list(LEVELS)
    for row in rows:
        pairs = report["pairs"]
        value, error = row[1].split(" ± ")
        assert float(error) == pytest.approx(1.96 * report["errors"]["student, teacher"][row[0]], abs=6e-4)
        assert float(value) == pytest.approx(pairs["student, teacher"][row[0]], abs=6e-4)
        nearer = pairs["student, teacher"][row[0]] - pairs["baseline, teacher"][row[0]]
        assert float(row[4].split(" ± ")[0]) == pytest.approx(nearer, abs=6e-4)
        assert report["nearer"][row[0]] == pytest.approx(nearer)


@pytest.fixture
def without_flow(tmp_path) -> Path:
    """A tree of frames alone."""
    root = write_hmdb51(tmp_path / "hmdb51", train=1, test=2)
    for image in root.rglob("TVL1*"):
        image.unlink()
    for done in root.rglob("done"):
        done.write_text(done.read_text().splitlines()[0] + "\n")
    return root


def test_a_network_is_like_itself_and_then_flow_need_not_be_there(without_flow, tmp_path, weights, capsys):
    roles = {"student": "sfs", "teacher": "copy", "baseline": "rgb"}
    known = weights | {"copy": str(shutil.copy(weights["sfs"], tmp_path / "copy.pth"))}
    report = tool.main(parsed(without_flow, tmp_path, known, roles, "--only_RGB", "--json"))
    assert json.loads(capsys.readouterr().out) == report
    assert [*report["pairs"]["student, teacher"].values()] == pytest.approx([1.0] * len(LEVELS))
    assert all(value < 1 for value in report["pairs"]["baseline, teacher"].values())


@pytest.mark.parametrize("features", FEATURES)
def test_every_layer_against_every_other_is_written(features, hmdb51, tmp_path, weights, monkeypatch):
    report = tool.main(parsed(hmdb51, tmp_path, weights, ALL, "--features", features, "--out", str(tmp_path / "new")))
    with (tmp_path / "new" / "similarity.csv").open() as file:
        head, *rows = csv.reader(file)
    names = [f"{role} {level}" for role in ALL for level in LEVELS]
    assert head == ["", *names]
    assert [row[0] for row in rows] == names
    values = torch.tensor([[float(value) for value in row[1:]] for row in rows])
    assert torch.equal(values, values.T)
    assert torch.equal(values.diagonal(), torch.ones(len(names)))
    assert float(values[0, 5]) == pytest.approx(report["pairs"]["student, teacher"]["layer1"], abs=1e-6)
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "new" / "similarity.png").read_bytes()[:4] == b"\x89PNG"


def test_pooled_similarity_does_not_depend_on_the_batch_size(hmdb51, tmp_path, weights, capsys):
    made = [
        tool.main(parsed(hmdb51, tmp_path, weights, ALL, "--batch_size", size))["matrix"] for size in ("2", "4", "6")
    ]
    torch.testing.assert_close(torch.tensor(made[0]), torch.tensor(made[2]), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.tensor(made[1]), torch.tensor(made[2]), atol=1e-4, rtol=0)


def test_clips_that_do_not_fill_a_batch_are_left_out_aloud(hmdb51, tmp_path, weights, caplog):
    caplog.set_level(logging.WARNING)
    words = ["--features", "flattened", "--batch_size", "4"]
    assert tool.main(parsed(hmdb51, tmp_path, weights, ALL, *words))["clips"] == 4
    assert "the last 2 clips are too few to compare, and left out" in caplog.text


def test_fewer_clips_are_spread_over_the_classes(hmdb51, tmp_path, weights, monkeypatch):
    seen = []
    monkeypatch.setattr(layer_similarity, "compare", lambda networks, loader, *_: seen.append(loader) or LinearCKA(15))
    tool.main(parsed(hmdb51, tmp_path, weights, ALL, "--clips", "4"))
    assert [video.label for video in seen[0].dataset.videos] == [0, 0, 1, 2]
    assert sum(len(batch["label"]) for batch in seen[0]) == 4


def test_flow_may_be_computed_in_place_of_read(without_flow, tmp_path, weights):
    words = ["--flow_source", "online", "--clips", "4"]
    assert tool.main(parsed(without_flow, tmp_path, weights, ALL, *words))["clips"] == 4


def test_without_matplotlib_there_is_no_picture_and_it_is_said(hmdb51, tmp_path, weights, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    tool.main(parsed(hmdb51, tmp_path, weights, ALL, "--out", str(tmp_path / "new")))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["similarity.csv"]
    assert plots.__name__ in {record.name for record in caplog.records}


@pytest.mark.parametrize(
    ("roles", "words", "message"),
    [
        (ALL, ["--clips", "3"], "--clips 3: similarity needs at least 4"),
        (ALL, ["--features", "flattened", "--batch_size", "3"], "--batch_size 3: similarity of maps needs at least 4"),
        (ALL, ["--frame_dir", "nowhere"], "nowhere: no such folder"),
        ({"student": "none", "teacher": "flow"}, [], "none.pth: no such checkpoint file"),
        ({"student": "sfs", "teacher": "sfs"}, [], "sfs.pth: named twice; a network is like itself"),
        (ALL | {"baseline": "sfs"}, [], "sfs.pth: named twice; a network is like itself"),
    ],
)
def test_what_cannot_be_measured_is_one_line(roles, words, message, hmdb51, tmp_path, weights, capsys):
    known = weights | {"none": str(tmp_path / "none.pth")}
    with pytest.raises(SystemExit) as stopped:
        cli.run(tool.main, lambda: parsed(hmdb51, tmp_path, known, roles, *words))
    assert stopped.value.code == cli.INPUT
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
