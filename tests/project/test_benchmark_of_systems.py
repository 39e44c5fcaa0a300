"""The comparison of systems trains what its rows need, keeps what is finished, and tabulates means over seeds."""

import importlib.util
import json
import re
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import write_hmdb51

from benchmarks import distil_2d3d, evidence, study, systems
from benchmarks.accuracy import distil_rows, evidence_rows, study_rows
from benchmarks.accuracy.comparison import finished_rows, with_needed
from benchmarks.accuracy.paired import Hits, compare_pairs
from benchmarks.accuracy.rows import FUSIONS, ROWS
from benchmarks.accuracy.runs import NOTE, Bench
from benchmarks.accuracy.tables import basis, draw_accuracies, motion_table, retrieval_table, table
from benchmarks.common.report import Record, choose
from engine import checkpoint
from engine.evaluation.statistics import gap_closed
from models import create_model
from opts import FUSED, parse_opts


@pytest.mark.parametrize(
    ("rows", "chosen", "names"),
    [
        (ROWS, "TLE, ResNet-18", ["TSN RGB, ResNet-18", "TLE first, ResNet-18", "TLE, ResNet-18"]),
        (
            distil_rows.ROWS,
            "student of all three",
            ["no labels, Lite0", "fine-tuned, no labels, Lite0", "Flow teacher", "student of all three"],
        ),
    ],
    ids=["systems", "distil"],
)
def test_rows_come_after_those_whose_networks_they_begin_with(rows, chosen, names):
    assert with_needed([chosen], rows) == names
    order = list(rows)
    assert with_needed(order, rows) == order
    assert all(order.index(other) < order.index(name) for name in order for other in rows[name].rows)


def test_only_networks_that_are_tested_are_fused():
    assert {row for fusion in FUSIONS.values() for row in fusion.rows} <= {n for n, row in ROWS.items() if row.reads}


def test_tables_have_means_over_seeds():
    row = {"name": "A", "reads": "RGB", "options": "", "mean_class": 0.5}
    rows = [row | {"seed": seed, "seconds": 60.0 * seed, "top1": top} for seed, top in ((1, 0.2), (2, 0.3))]
    errors = [{"no flow": 3.0, "MotionNet": 2.0}, {"no flow": 3.0, "MotionNet": 1.0}]
    motion = [{"name": "M", "seed": i, "motion": {"photometric": x, "px": x}} for i, x in enumerate(errors, 1)]
    record = {"environment": {"cpu": "a processor", "torch": "2"}, "rows": [*rows, *motion]}
    record["data"] = {"dataset": "HMDB51", "videos": {"1": 7}}
    assert "| A | RGB | 25.0 | 20.0, 30.0 | 50.0 | 1.5 |" in table(record)
    assert "HMDB51, split 1: 7 test videos;" in table(record)
    assert "| MotionNet | 1.500 | 1.500 |" in motion_table(record)
    assert motion_table(record | {"rows": rows}) == ""


def test_a_file_of_something_else_is_not_gone_on_with(tmp_path):
    for content in ([1], {"rows": [{"name": "RGB", "options": 1}]}, {"rows": [{"name": "X", "split": 1, "seed": 1}]}):
        (tmp_path / "out.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"out\.json: is not of this script; name another file"):
            finished_rows(tmp_path / "out.json", ["RGB"])
    assert finished_rows(tmp_path / "none.json", []) == []


@pytest.fixture
def data(tmp_path) -> Path:
    """A data set whose training videos suffice to hold some out; results go beside its folders."""
    return write_hmdb51(tmp_path, train=4)


def words_of(data: Path, *words: str) -> list[str]:
    """Options of a comparison."""
    places = ["--frame_dir", str(data / "frames"), "--annotation_path", str(data / "labels")]
    return [*places, "--folder", str(data / "made"), "--out", str(data / "out.json"), *words]


def quickly(script: ModuleType, data: Path, *words: str) -> Record:
    """The record of a comparison whose trainings take an epoch of one seed."""
    return script.main(script.parse_args(words_of(data, "--quick", "--seeds", "1", *words)))


def bench_of(data: Path, *words: str) -> tuple[Bench, Namespace]:
    opt = evidence.parse_args(words_of(data, *words))
    return Bench.of(opt, evidence_rows.ROWS, 1), opt


def note_network(bench: Bench, name: str, seed: int = 1) -> None:
    """Leave what a trained and tested row leaves."""
    bench.place(name, seed).mkdir(parents=True, exist_ok=True)
    note = {"depends": bench.dependencies(name, seed), "measured": {"seconds": 1.0}}
    (bench.place(name, seed) / NOTE).write_text(json.dumps(note))
    bench.scores(name, seed).touch()


def test_a_network_is_kept_while_all_that_it_depends_on_is_the_same(data):
    bench, _ = bench_of(data)
    for name in ("Flow", "SFS"):
        assert not bench.is_finished(name, 1)
        note_network(bench, name)
        assert bench.is_finished(name, 1)
    other, _ = bench_of(data, "--training=--weight_decay 0.5")
    assert not other.is_finished("SFS", 1)
    note_network(other, "Flow")  # in the same folder
    assert not bench.is_finished("Flow", 1)
    assert not other.is_finished("SFS", 1)  # its teacher had other options
    note_network(bench, "Flow")
    val, _ = bench_of(data, "--test_subset", "val")
    assert val.measured("SFS", 1) == {"seconds": 1.0}  # the same network
    assert not val.is_finished("SFS", 1)  # and no scores of these videos
    for path in (data / "labels").glob("*_split1.txt"):
        path.write_text(path.read_text().replace(" 1", " 3").replace(" 2", " 1").replace(" 3", " 2"))
    assert not bench_of(data)[0].is_finished("SFS", 1)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--training=--learning_rat 0.1"], "unrecognized arguments: --learning_rat"),
        (["--training=--split 2"], "--training: --split is set by the comparison itself: leave it out"),
        (["--frame_dir", "nowhere"], "nowhere: no such folder; --frame_dir must hold frames and flow"),
        (["--rows", "RGB", "SFSS"], "no row's name holds SFSS; there are RGB, "),
        (["--test_subset", "val", "--training=--val_fraction 0"], "--val_fraction 0 holds no training videos out"),
    ],
)
def test_invalid_options_are_refused_before_a_network_is_removed(data, capsys, words, match):
    bench, _ = bench_of(data)
    note_network(bench, "RGB")
    _, opt = bench_of(data, "--rows", "RGB", *words)
    with pytest.raises((ValueError, FileNotFoundError, SystemExit)) as raised:
        evidence.main(opt)
    assert re.search(match, f"{raised.value} {capsys.readouterr().err}")
    assert bench.is_finished("RGB", 1)


@pytest.mark.parametrize(
    ("changes", "words", "what"),
    [
        ({"subset": "val"}, [], "subset"),
        ({}, ["--test_subset", "val"], "subset"),
        ({"lists": "0" * 12}, [], "lists"),
        ({}, ["--training=--weight_decay 0.5"], "options"),
    ],
)
def test_rows_of_other_videos_or_options_are_not_gone_on_with(data, changes, words, what):
    bench, _ = bench_of(data)
    row = {"split": 1, "seed": 1, "name": "RGB", "options": bench.options(bench.rows["RGB"])} | changes
    (data / "out.json").write_text(json.dumps({"rows": [row]}))
    _, opt = bench_of(data, "--rows", "Flow", *words)
    with pytest.raises(ValueError, match=f"its row RGB has other {what} than this call: name another file and another"):
        evidence.main(opt)


def test_a_whole_name_chooses_its_row_alone_and_a_part_of_names_all_that_hold_it():
    names = ["RGB", "Flow", "RGB, other seed", "student of RGB"]
    assert choose(names, ["RGB", "flow"], "no row's name") == ["RGB", "Flow"]
    assert choose(names, ["rgb"], "no row's name") == ["RGB", "RGB, other seed", "student of RGB"]
    assert choose(names, [], "no row's name") == names
    with pytest.raises(ValueError, match="no row's name holds SFS; there are RGB, Flow, "):
        choose(names, ["SFS"], "no row's name")


@pytest.mark.slow
def test_a_row_is_trained_once_and_fused_with_others(data, monkeypatch, capsys):
    words = ["--training=--weight_decay 0.02", "--rows", "frame, ResNet", "stack, ResNet"]
    record = quickly(systems, data, *words)
    assert "--weight_decay 0.02 --n_epochs 1" in record["rows"][0]["options"]
    assert record["rows"][0]["needs"] == []
    names = [row["name"] for row in record["rows"]]
    assert names == ["frame, ResNet-18", "stack, ResNet-18", "very deep two-stream, ResNet-18"]
    assert all(0 <= row["top1"] <= 1 for row in record["rows"])
    assert "| very deep two-stream, ResNet-18 | RGB, flow |" in capsys.readouterr().out
    monkeypatch.setattr(Bench, "run_row", lambda *_: pytest.fail("trained again"))
    assert quickly(systems, data, *words)["rows"] == record["rows"]
    assert json.loads((data / "out.json").read_text())["rows"] == record["rows"]
    monkeypatch.setattr(Bench, "run_row", lambda *_: {"seconds": 0.0, "top1": 0.0, "mean_class": 0.0})
    # Without scores, so that there is nothing to fuse; what was fused before stays.
    rows = quickly(systems, data, *words, "--seeds", "2")["rows"]
    assert [row for row in rows if row["seed"] == 1] == record["rows"]


def test_networks_of_the_study_are_the_options_of_its_rows():
    assert study_rows.options_of("resnet2d,depth=18,width=0.25,temporal=tam,blend_frames=5") == (
        "--model resnet2d --model_depth 18 --width 0.25 --model_args temporal=tam blend_frames=5"
    )
    assert study_rows.options_of("resnet,no_max_pool=on") == "--model resnet --no_max_pool"
    assert len(study_rows.NETWORKS) >= 8


@pytest.mark.parametrize(
    "rows", [study_rows.ROWS, evidence_rows.ROWS, distil_rows.ROWS], ids=["study", "evidence", "distil"]
)
def test_rows_are_options_of_their_scripts(rows):
    for row in rows.values():
        parse_opts([*row.train.split(), *row.checkpoint_words(lambda _: "x.pth")], row.script)
        parse_opts(["--stream", "a=x.pth", *row.test.split()], FUSED)


def test_retrieval_is_tabulated_by_the_number_of_neighbours():
    rows = [
        {"name": "A", "seed": seed, "retrieval": {"1": top / 2, "5": top, "10": 1.0, "20": 1.0}}
        for seed, top in ((1, 0.2), (2, 0.4))
    ]
    assert "| A | 15.0 | 30.0 | 100.0 | 20.0, 40.0 |" in retrieval_table({"rows": rows})
    assert retrieval_table({"rows": [{"name": "B", "seed": 1}]}) == ""


@pytest.mark.slow
def test_a_student_without_labels_is_judged_by_retrieval(data, monkeypatch):
    network = create_model("resnet2d", 3, 1000, depth=18, width=0.0625)

    def teacher(folder: Path) -> Path:
        about = {"arch": network.arch, "network": dict(network.origin), "stream": "rgb"}
        checkpoint.save(folder / "image.pth", about | {"state_dict": network.state_dict()})
        return folder / "image.pth"

    monkeypatch.setattr(distil_2d3d, "lite0", teacher)
    rows = {row["name"]: row for row in quickly(distil_2d3d, data, "--rows", "probe, no labels")["rows"]}
    assert list(rows) == ["no labels, Lite0", "linear probe, no labels, Lite0"]
    assert 0 <= rows["no labels, Lite0"]["retrieval"]["5"] <= 1
    assert 0 <= rows["linear probe, no labels, Lite0"]["top1"] <= 1
    assert list((data / "made" / "teacher_cache").rglob("*.pth"))


@pytest.mark.slow
def test_the_study_tabulates_accuracies_beside_costs(data, capsys):
    record = quickly(study, data, "--seconds", "0.01", "--rows", "RGB, TAM", "SFS, TAM")
    name = "TAM, ResNet-18"
    names = [f"RGB, {name}", f"Flow, {study_rows.TEACHER}", f"long RGB, {name}", f"SFS, {name}", f"RGB + SFS, {name}"]
    assert [row["name"] for row in record["rows"]] == names
    assert list(record["costs"]) == [name]
    assert [(pair["first"], pair["second"]) for pair in record["pairs"]] == [(f"SFS, {name}", f"long RGB, {name}")]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"| {name} |")]
    assert len([cell for cell in line.split("|") if cell.strip()]) == 8  # no flow network of this family
    assert (data / "out.png").exists() == (importlib.util.find_spec("matplotlib") is not None)


def test_a_paired_comparison_draws_films_and_not_clips():
    right = np.arange(12) % 2 == 0
    better = Hits(right | (np.arange(12) == 1), [f"film {i // 2}" for i in range(12)])
    result = compare_pairs([(better, Hits(right, better.films))] * 2)
    assert result["difference"] == pytest.approx(100 / 12)
    assert result["films"] == 6
    assert result["mcnemar"] == [1.0, 1.0]
    # One of six films has the gain: a resample of films is without it in (5/6)^6 = 33 % of the draws.
    assert result["interval"][0] == 0
    assert result["interval"][1] == pytest.approx(3 * 100 / 12, abs=100 / 12)
    clips = compare_pairs([(Hits(better.right, list(map(str, range(12)))), Hits(right, list(map(str, range(12)))))])
    assert clips["films"] == 12
    assert compare_pairs([(better, better)])["interval"] == [0, 0]


def test_the_share_of_a_gap_is_of_what_flow_adds_on_the_tests_that_all_have():
    assert gap_closed(0.2, 0.4, 0.35) == pytest.approx(0.75)
    assert gap_closed(0.4, 0.2, 0.35) is None
    tops = {"RGB": (0.2, 0.9), "RGB + Flow": (0.4, 0.9), "RGB + SFS": (0.35,)}
    rows = [
        {"name": name, "split": 1, "seed": seed, "top1": top} for name, t in tops.items() for seed, top in enumerate(t)
    ]
    assert evidence.gap({"rows": rows}).endswith("that is closed: 75%.")
    assert evidence.gap({"rows": rows[:2]}) == ""


@pytest.mark.slow
def test_the_evidence_has_its_control_and_its_pairs(data, capsys, caplog):
    record = quickly(evidence, data, "--rows", "student of RGB", "from RGB", "flow of other")
    names = {row["name"] for row in record["rows"]}
    assert {"RGB + RGB, other seed", "RGB + Flow", "RGB + student of RGB"} <= names
    fitted = f"{evidence_rows.CONTROL}, {evidence_rows.FITTED}"  # which needs networks that have learnt something
    assert (fitted in names) != (f"{fitted}, split 1, seed 1: left out: --fit: " in caplog.text)
    assert {path.parent.name for path in data.rglob("held_out.npz")} >= {"rgb", "rgb_other_seed", "flow"}
    assert not record["pairs"]  # they are of the student, which was not asked for
    assert all(row["right"].count("1") == round(row["top1"] * row["videos"]) for row in record["rows"])
    printed = capsys.readouterr().out
    assert (data / "out.png").is_file()
    assert "RGB + RGB, other seed, share of the gap between RGB and RGB + Flow that is closed: " in printed


@pytest.mark.slow
def test_settings_are_chosen_on_held_out_videos(data, capsys):
    held_out = ["--test_subset", "val", "--training=--val_fraction 0.5", "--rows", "RGB", "RGB, other seed", "SFS"]
    record = quickly(evidence, data, *held_out)
    rows = {row["name"]: row for row in record["rows"]}
    assert {row["videos"] for row in rows.values()} == {6}  # half of twelve
    assert {"RGB + SFS", evidence_rows.CONTROL} <= set(rows)
    assert not any(evidence_rows.FITTED in name for name in rows)  # of what is fitted there nothing is learnt there
    assert ("SFS", "Flow") in [(pair["first"], pair["second"]) for pair in record["pairs"]]
    assert "split 1: 6 held-out training videos" in capsys.readouterr().out
    assert record["data"]["subset"] == rows["SFS"]["subset"] == "val"


def test_a_picture_compares_systems_on_the_tests_that_all_have(tmp_path, monkeypatch):
    axes_of = pytest.importorskip("matplotlib.axes").Axes
    bars, draw = [], axes_of.barh

    def noted(axes: object, place: int, width: float, **style: object) -> object:
        bars.append(width)
        return draw(axes, place, width, **style)

    monkeypatch.setattr(axes_of, "barh", noted)
    tests = {"RGB": {1: (0.2, 0.4), 2: (0.9,)}, "SFS": {1: (0.3, 0.5)}, "not drawn": {2: (0.1,)}}
    rows = [
        {"name": name, "split": split, "seed": seed, "reads": "RGB", "top1": top1}
        for name, splits in tests.items()
        for split, tops in splits.items()
        for seed, top1 in enumerate(tops)
    ]
    record = {"rows": rows, "data": {"dataset": "HMDB51", "videos": {"1": 7, "2": 8}}}
    draw_accuracies(record, tmp_path / "drawn.png", ["RGB", "SFS"], ["SFS"])
    assert bars == [pytest.approx(30), pytest.approx(40)]
    assert basis(record, [1, 1]) == "HMDB51, 7 test videos of split 1 x 2 seeds"
    draw_accuracies(record, tmp_path / "nothing.png", ["SFS", "not drawn"])
    assert [path.name for path in tmp_path.iterdir()] == ["drawn.png"]
