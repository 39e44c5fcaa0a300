"""The fusion laboratory: what it measures, what it refuses to fit on, and properties of every fusion."""

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from source_files import ROOT

from engine import Scores, video_metrics
from engine.evaluation.calibration import expected_calibration_error, fit_temperature
from engine.evaluation.scores import load
from engine.evaluation.statistics import mcnemar
from models import FUSIONS, fuse
from opts import parse_opts
from utils1 import fusion_lab
from workflows.fusion_lab.fit import best_weights, simplex
from workflows.fusion_lab.markdown import as_text
from workflows.fusion_lab.systems import Bootstrap, measure, right_on

DOCUMENT = (ROOT / "docs" / "fusion.md").read_text()
CLASSES = 6


def scored(streams=("rgb", "sfs"), videos=60, seed=0, scales=(1.0, 4.0, 2.0), **about) -> Scores:
    """Streams that are right now and then, of unlike scales: a later one more often."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(videos) % CLASSES
    logits = torch.randn(len(streams), videos, CLASSES, generator=generator)
    for s in range(len(streams)):
        logits[s, torch.arange(videos), label] += 1 + 0.5 * s
        logits[s] *= scales[s]
    sources = {name: {"file": f"{name}.pth", "sha256": name * 4} for name in streams}
    stated = {"subset": "test", "dataset": "HMDB51", "split": 1, "options": {"num_crops": "1"}, "checkpoints": sources}
    return Scores(
        video=[f"{stated['subset']}{seed}_{i}" for i in range(videos)],
        label=label,
        class_names=[f"class {i}" for i in range(CLASSES)],
        streams=list(streams),
        logits=logits,
        clips=torch.full((len(streams), videos), 3),
        listed=videos,
        about=stated | about,
    )


def written(path: Path, scores: Scores) -> str:
    scores.save(path, fuse(scores.logits))
    return str(path)


@pytest.fixture
def test_file(tmp_path) -> str:
    return written(tmp_path / "test.npz", scored())


@pytest.fixture
def held_file(tmp_path) -> str:
    return written(tmp_path / "held.npz", scored(videos=90, seed=1, subset="val"))


def run(*words: str) -> dict:
    return fusion_lab.main(fusion_lab.parse_args(["--resamples", "200", *words]))


# Properties of every fusion.

streams_of_logits = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 7), st.integers(0, 999)).map(
    lambda shape: 3 * torch.randn(*shape[:3], generator=torch.Generator().manual_seed(shape[3]), dtype=torch.float64)
)


@pytest.mark.parametrize("method", FUSIONS)
@given(logits=streams_of_logits, data=st.data())
def test_streams_that_change_places_with_their_weights_change_nothing(method, logits, data):
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(logits), max_size=len(logits)))
    order = data.draw(st.permutations(range(len(logits))))
    changed = fuse(logits[list(order)], method, [weights[i] for i in order])
    torch.testing.assert_close(changed, fuse(logits, method, weights))


@given(logits=streams_of_logits)
def test_log_softmax_ranks_as_activno_does(logits):
    assert torch.equal(fuse(logits, "log_softmax").argmax(1), fuse(logits).argmax(1))


@given(logits=streams_of_logits, data=st.data())
def test_activno_of_divided_logits_is_activno_with_weights_by_1_over_t(logits, data):
    heats = data.draw(st.lists(st.floats(0.1, 10), min_size=len(logits), max_size=len(logits)))
    divided = fuse(logits / torch.tensor(heats, dtype=torch.float64)[:, None, None])
    weighted = fuse(logits, weights=[1 / heat for heat in heats])
    factor = sum(1 / heat for heat in heats) / len(heats)
    torch.testing.assert_close(divided, weighted * factor)


# What is measured.


def test_every_fusion_and_weighting_is_in_the_table_with_its_accuracy(test_file):
    report, scores = run(test_file, "--fusion_weights", "3", "1"), load(test_file)
    assert {row["fusion"] for row in report["fusions"]} == set(FUSIONS)
    assert [3, 1] in [row["weights"] for row in report["fusions"]]
    for row in report["fusions"]:
        expected = video_metrics(fuse(scores.logits, row["fusion"], row["weights"]), scores.label)
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        assert row["top1_interval"][0] <= row["top1"] <= row["top1_interval"][1]


def test_streams_alone_and_the_oracle(test_file):
    scores = load(test_file)
    alone = {row["system"]: row for row in run(test_file)["alone"]}
    right = torch.stack([logits.argmax(1) == scores.label for logits in scores.logits])
    assert alone["rgb"]["top1"] == pytest.approx(right[0].double().mean().item())
    assert alone["sfs"]["top1"] == pytest.approx(right[1].double().mean().item())
    assert alone["oracle"]["top1"] == pytest.approx(right.any(0).double().mean().item())
    assert alone["activno"]["difference"] == 0
    assert alone["activno"]["difference_interval"] == [0, 0]


def test_differences_are_to_activno_of_equal_weights_and_paired(test_file):
    scores = load(test_file)
    activno = right_on(fuse(scores.logits), scores.label).double()
    row = next(row for row in run(test_file)["fusions"] if row["fusion"] == "softmax")
    own = right_on(fuse(scores.logits, "softmax", row["weights"]), scores.label).double()
    assert row["difference"] == pytest.approx((own - activno).mean().item())
    low, high = row["difference_interval"]
    assert low <= row["difference"] <= high
    assert high - low <= 2 / len(own) * (own != activno).sum()  # unpaired it would not know where they agree


def test_agreement_counts_every_video_once(test_file):
    scores = load(test_file)
    (row,) = run(test_file)["agreement"]
    triples = list(zip(scores.label.tolist(), *scores.logits.argmax(2).tolist(), strict=True))
    assert row == {
        "first": "rgb",
        "second": "sfs",
        "both_right": sum(one == other == label for label, one, other in triples),
        "only_first": sum(one == label != other for label, one, other in triples),
        "only_second": sum(other == label != one for label, one, other in triples),
        "same_error": sum(one == other != label for label, one, other in triples),
        "other_errors": sum(len({label, one, other}) == 3 for label, one, other in triples),
    }
    assert sum(value for value in row.values() if isinstance(value, int)) == 60


def test_scores_that_tie_count_as_the_accuracy_counts_them():
    logits = torch.full((1, 30, 7), -1.0)  # relu makes them all equal
    label = torch.arange(30) % 7
    fused = fuse(logits, "relu")
    (row,) = measure([({}, fused)], label, fused, Bootstrap(resamples=10))
    assert row["top1"] == pytest.approx(video_metrics(fused, label)["top1"])


def test_two_systems_are_compared(tmp_path):
    scores = scored(("rgb", "sfs", "flow"))
    path = written(tmp_path / "s.npz", scores)
    (row,) = run(path, "--use", "rgb", "sfs", "--compare", "rgb+sfs", "flow+rgb@softmax")["compare"]
    first = fuse(scores.logits[:2]).argmax(1) == scores.label
    second = fuse(scores.logits[[2, 0]], "softmax").argmax(1) == scores.label
    assert row["both"] + row["first"] == first.sum()
    assert row["both"] + row["second"] == second.sum()
    assert row["neither"] == (~first & ~second).sum()
    assert row["p"] == mcnemar(row["first"], row["second"])
    assert row["difference"] == pytest.approx(row["top1"] - row["second_top1"])


def test_a_comparison_in_the_other_order_is_its_mirror_image(test_file):
    one, other = run(test_file, "--compare", "rgb", "sfs", "--compare", "sfs", "rgb")["compare"]
    assert one["p"] == other["p"]
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["difference_interval"] == pytest.approx([-end for end in reversed(other["difference_interval"])])


def test_a_seed_gives_the_same_report_and_another_other_intervals(test_file):
    words = (test_file, "--compare", "rgb", "sfs", "--seed")
    assert run(*words, "4") == run(*words, "4")
    (one,), (other,) = run(*words, "4")["compare"], run(*words, "5")["compare"]
    assert one["difference_interval"] != other["difference_interval"]


def test_streams_of_several_files_are_one_analysis(tmp_path, test_file):
    scores = load(test_file)
    parts = [
        written(tmp_path / "rgb.npz", scores.rows(streams=[0])),
        written(tmp_path / "sfs.npz", scores.rows(streams=[1], videos=list(reversed(range(60))))),
    ]
    joined, whole = run(*parts), run(test_file)
    assert joined["fusions"] == whole["fusions"]
    assert joined["streams"] == ["rgb", "sfs"]


def test_a_single_stream_is_measured_too(test_file, held_file, capsys):
    report = run(test_file, "--use", "sfs", "--fit", held_file)
    assert report["agreement"] == []
    assert [row["system"] for row in report["alone"]] == ["sfs", "activno", "oracle"]
    assert len({row["top1"] for row in report["alone"]}) == 1
    assert "sfs, test" in capsys.readouterr().out


# What is fitted.


@pytest.mark.parametrize(("streams", "count"), [(1, 1), (2, 21), (3, 66), (4, 56), (5, 70)])
def test_the_grid_covers_the_simplex(streams, count):
    grid = simplex(streams)
    assert len(grid) == len({tuple(weights) for weights in grid}) == count
    assert all(len(weights) == streams and min(weights) >= 0 for weights in grid)
    assert all(sum(weights) == pytest.approx(1) for weights in grid)
    assert [1.0, *[0.0] * (streams - 1)] in grid


def test_the_best_weights_are_those_nearest_to_equal_ones_of_equally_good():
    rows = [{"weights": weights, "top1": 0.5} for weights in simplex(2)]
    assert best_weights(rows) == [0.5, 0.5]
    rows[3]["top1"] = 0.75
    assert best_weights(rows) == rows[3]["weights"]
    rows[5]["top1"] = 0.75
    assert best_weights(rows) == rows[5]["weights"]


def test_weights_and_temperatures_are_those_of_the_held_out_videos(test_file, held_file):
    fit, held, test = run(test_file, "--fit", held_file)["fit"], load(held_file), load(test_file)
    for name, logits in [*zip(held.streams, held.logits, strict=True), ("activno", fuse(held.logits))]:
        assert fit["temperatures"][name] == fit_temperature(logits, held.label)
    systems = {(row["fusion"], row["fitted"]): row for row in fit["systems"]}
    assert len(systems) == 3 * len(FUSIONS)
    for method in FUSIONS:
        row = systems[method, "fitted weights"]
        tried = [right_on(fuse(held.logits, method, w), held.label).double().mean().item() for w in simplex(2)]
        assert row["held_out_top1"] == max(tried)
        assert row["held_out_top1"] >= systems[method, "equal weights"]["held_out_top1"]
        own = fuse(test.logits, method, row["weights"])
        assert row["top1"] == pytest.approx(video_metrics(own, test.label)["top1"])
    heat = torch.tensor([fit["temperatures"][name] for name in test.streams])[:, None, None]
    expected = video_metrics(fuse(test.logits / heat, "softmax"), test.label)["top1"]
    assert systems["softmax", "fitted temperatures"]["top1"] == pytest.approx(expected)


def test_what_is_fitted_does_not_depend_on_the_test(tmp_path, test_file, held_file):
    other = written(tmp_path / "other.npz", scored(seed=7))
    one, two = run(test_file, "--fit", held_file)["fit"], run(other, "--fit", held_file)["fit"]
    for name in ("temperatures", "sweep", "held_out_calibration"):
        assert one[name] == two[name]
    assert [row["weights"] for row in one["systems"]] == [row["weights"] for row in two["systems"]]


def test_calibration_is_stated_before_and_after_the_temperature(test_file, held_file):
    test = load(test_file)
    assert all(row["after"] is None for row in run(test_file)["calibration"])
    rows = {row["system"]: row for row in run(test_file, "--fit", held_file)["fit"]["calibration"]}
    assert rows.keys() == {"rgb", "sfs", "activno"}
    sfs = rows["sfs"]
    assert sfs["before"]["ece"] == expected_calibration_error(test.logits[1], test.label)
    assert sfs["after"]["ece"] == expected_calibration_error(test.logits[1] / sfs["temperature"], test.label)
    assert sfs["temperature"] > 2  # its logits are four times too large
    assert sfs["after"]["nll"] < sfs["before"]["nll"]
    held = run(test_file, "--fit", held_file)["fit"]["held_out_calibration"]
    assert all(row["after"]["nll"] <= row["before"]["nll"] for row in held)


def test_a_stream_that_is_all_but_always_right_leaves_no_fusion_by_temperatures(tmp_path, test_file, capsys):
    held = scored(seed=1, subset="val")
    held.logits[1, torch.arange(60), held.label] += 100
    report = run(test_file, "--fit", written(tmp_path / "held.npz", held))
    assert report["fit"]["temperatures"]["sfs"] is None
    assert report["fit"]["calibration"][1]["after"] is None
    assert {row["fitted"] for row in report["fit"]["systems"]} == {"equal weights", "fitted weights"}
    out = capsys.readouterr().out
    assert "Note: sfs has no temperature: all 60 held-out videos are right" in out
    assert "Note: no fusion by temperatures: these held-out videos cannot weigh sfs: all 60" in out
    json.dumps(report, allow_nan=False)


def test_a_stream_that_is_no_better_than_a_guess_has_no_part_in_fusions_by_temperatures(tmp_path, test_file, capsys):
    held, test = scored(seed=1, subset="val"), load(test_file)
    held.logits[1] *= -1
    report = run(test_file, "--fit", written(tmp_path / "held.npz", held))
    assert report["fit"]["temperatures"]["sfs"] is None
    rows = {row["fusion"]: row for row in report["fit"]["systems"] if row["fitted"] == "fitted temperatures"}
    assert rows.keys() == FUSIONS.keys()
    assert rows["activno"]["top1"] == pytest.approx(video_metrics(test.logits[0], test.label)["top1"])
    out = capsys.readouterr().out
    assert "Note: sfs has no temperature: the held-out logits are no better than a guess" in out
    assert "Note: sfs: of weight 0 in fusions by temperatures" in out
    json.dumps(report, allow_nan=False)


def test_scores_of_unlike_protocols_are_fitted_but_it_is_said(tmp_path, test_file, capsys):
    held = scored(seed=1, subset="val", options={"num_crops": "10"})
    run(test_file, "--fit", written(tmp_path / "held.npz", held))
    assert "num_crops 10 of the held-out scores, 1 of the test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"subset": "test"}, "is of the subset 'test'; nothing is fitted on a test list: .*--test_subset val"),
        ({"subset": "train"}, "is of the subset 'train'"),
        ({"subset": ""}, "does not say what it was made of"),
        ({"subset": "val", "split": 2}, "of split 2, but the test is of split 1"),
        ({"subset": "val", "dataset": "UCF101"}, "of dataset UCF101, but the test is of dataset HMDB51"),
        ({"subset": "val", "checkpoints": {"rgb": {"sha256": "x"}}}, "stream rgb was scored with another checkpoint"),
    ],
)
def test_nothing_is_fitted_on_other_files(tmp_path, test_file, about, message):
    held = written(tmp_path / "held.npz", scored(seed=1, **about))
    with pytest.raises(ValueError, match=message):
        run(test_file, "--fit", held)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: held.video.__setitem__(7, "test0_3"), "1 of its videos are tested on, test0_3 among them"),
        (lambda held: held.class_names.__setitem__(0, "run"), "its classes are not those of the test"),
        (lambda held: held.streams.__setitem__(1, "flow"), "no stream sfs in its files, only rgb, flow"),
    ],
)
def test_nothing_is_fitted_on_tested_videos_or_for_other_classes_or_streams(tmp_path, test_file, change, message):
    held = scored(seed=1, subset="val")
    change(held)
    with pytest.raises(ValueError, match=message):
        run(test_file, "--fit", written(tmp_path / "held.npz", held))


# Splits.


def test_the_mean_over_splits_is_that_of_their_accuracies(tmp_path):
    parts = [scored(seed=s, split=s) for s in (3, 1, 2)]
    report = run("--splits", *(written(tmp_path / f"{i}.npz", part) for i, part in enumerate(parts)))
    assert report["splits"] == [1, 2, 3]
    systems = {row["system"]: row for row in report["systems"]}
    assert systems.keys() == {"rgb", "sfs", "rgb+sfs"} | {f"rgb+sfs@{m}" for m in FUSIONS if m != "activno"}
    ordered = sorted(parts, key=lambda own: own.about["split"])
    values = [video_metrics(fuse(own.logits, "softmax"), own.label)["top1"] for own in ordered]
    row = systems["rgb+sfs@softmax"]["top1"]
    assert row["splits"] == values
    assert row["mean"] == pytest.approx(sum(values) / 3)
    assert row["sd"] == pytest.approx((sum((x - row["mean"]) ** 2 for x in values) / 2) ** 0.5)


def test_every_combination_of_three_streams_is_averaged(tmp_path):
    names = ("rgb", "sfs", "flow")
    files = [written(tmp_path / f"{s}.npz", scored(names, seed=s, split=s)) for s in (1, 2)]
    systems = [row["system"] for row in run("--splits", *files)["systems"]]
    combined = ["+".join(own) for size in (1, 2, 3) for own in itertools.combinations(names, size)]
    assert systems[:7] == combined
    assert [row["system"] for row in run("--splits", *files, "--use", "flow")["systems"]] == ["flow"]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"split": 1}, "of split 1, as .*one.npz is"),
        ({"split": None}, "does not say of which split it is"),
        ({"split": 2, "dataset": "UCF101"}, r"two.npz: another dataset \(UCF101\) than .*one.npz"),
        ({"split": 2, "subset": "val"}, r"another subset \(val\) than"),
        ({"split": 2, "streams": ["rgb", "flow"]}, r"other streams \(rgb, flow\) than"),
    ],
)
def test_files_that_are_not_of_different_splits_have_no_mean(tmp_path, about, message):
    files = [written(tmp_path / "one.npz", scored()), written(tmp_path / "two.npz", scored(seed=2, **about))]
    with pytest.raises(ValueError, match=message):
        run("--splits", *files)


def test_splits_of_other_classes_have_no_mean(tmp_path):
    other = scored(split=2)
    other.class_names[2] = "run"
    with pytest.raises(ValueError, match="other classes than"):
        run("--splits", written(tmp_path / "one.npz", scored()), written(tmp_path / "two.npz", other))


# The command.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give score files of the same test videos"),
        (["T", "--splits", "T", "T"], "give score files of the same test videos"),
        (["--splits", "T"], "two at least"),
        (["--splits", "T", "T", "--fit", "T"], "no --fit"),
        (["T", "--use", "rgb", "rgb"], "named twice"),
        (["T", "--use", "flow"], "no stream flow; there are rgb, sfs"),
        (["T", "--fusion_weights", "1"], "2 streams need 2 weights"),
        (["T", "--compare", "rgb", "flow"], "--compare flow: no stream 'flow'; there are rgb, sfs"),
        (["T", "--compare", "rgb", "rgb+sfs@max"], "after @ comes one of activno"),
        (["T", "--compare", "rgb", "rgb+rgb"], "a stream is named twice"),
        (["nothing.npz"], "no such score file"),
        (["T", "--resamples", "0"], "--resamples 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(test_file, words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(*(test_file if word == "T" else word for word in words))


@pytest.mark.parametrize("read", [("T",), ("T", "--fit", "H"), ("--splits", "T", "H")])
def test_a_file_that_is_read_is_not_written_over(test_file, held_file, read):
    named = {"T": test_file, "H": held_file}
    words = [named.get(word, word) for word in read]
    before = [Path(path).read_bytes() for path in named.values()]
    for path in (path for path in words if path in named.values()):
        with pytest.raises(ValueError, match=r"--json .*npz: would overwrite a score file that is read"):
            run(*words, "--json", path)
    assert [Path(path).read_bytes() for path in named.values()] == before


def test_one_checkpoint_under_two_names_is_said(tmp_path, test_file, caplog):
    run(test_file, test_file)
    assert "rgb and rgb-2 are of one checkpoint" in caplog.text


def test_the_report_is_tables_and_json(tmp_path, test_file, held_file, capsys):
    target = tmp_path / "new" / "lab.json"
    words = ("--fit", held_file, "--compare", "rgb", "sfs", "--json", str(target))
    report = run(test_file, *words)
    assert json.loads(target.read_text()) == report
    text = capsys.readouterr().out
    for title in ("## Streams", "## Fusions of rgb, sfs", "## Fitted on 90", "## Calibration", "## rgb against sfs"):
        assert title in text
    assert "95 % intervals: percentile bootstrap over videos, 200 resamples, seed 1" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 5
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_of_each_fusion_the_best_weighting_is_shown_and_all_where_that_is_asked_for(test_file, capsys):
    report = run(test_file)
    few = fused_rows(capsys.readouterr().out)
    best = {method: max(row["top1"] for row in report["fusions"] if row["fusion"] == method) for method in FUSIONS}
    assert [row["fusion"] for row in few] == list(FUSIONS)
    assert [row["top1"] for row in few] == [f"{100 * best[row['fusion']]:.2f}" for row in few]
    report = run(test_file, "--all")
    assert len(fused_rows(capsys.readouterr().out)) == len(report["fusions"]) > len(few)


def test_how_many_weightings_are_not_shown_is_said_and_the_one_asked_for_is_shown(test_file, capsys):
    report = run(test_file, "--fusion_weights", "1", "7")
    text = capsys.readouterr().out
    rows = fused_rows(text)
    assert [row["fusion"] for row in rows if row["weights"] == "1 : 7"] == list(FUSIONS)
    hidden = len(report["fusions"]) - len(rows)
    assert f"--all shows the other {hidden} as well" in text


def fused_rows(text):
    """Cells of the table of fusions."""
    part = text.partition("## Fusions")[2].partition("##")[0]
    cells = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][2:]
    return [{"fusion": row[0], "weights": row[1], "top1": row[2].split(" ")[0]} for row in cells]


def test_a_stream_name_does_not_break_a_table(tmp_path):
    report = run(written(tmp_path / "s.npz", scored(["a|b", "c\nd"])))
    tables = re.findall(r"(?:^\|.*\n)+", as_text(report), re.MULTILINE)
    assert r"a\|b" in tables[0]
    assert all(len({line.replace(r"\|", "").count("|") for line in own.splitlines()}) == 1 for own in tables)


def test_the_commands_of_the_document_have_the_options_of_the_scripts():
    blocks = "\n".join(re.findall(r"```\n(.*?)```", DOCUMENT, re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line, comments=True)[1:] for line in blocks.splitlines() if line]
    assert {words[0] for words in commands} == {"utils1/fusion_lab.py", "test_two_stream.py"}
    for script, *words in commands:
        (fusion_lab.parse_args if "fusion_lab" in script else parse_opts)(words)
