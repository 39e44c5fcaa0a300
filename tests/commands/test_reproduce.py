"""Whole experiments from recipes: stages in order, nothing done twice, other options noticed, a table at the end."""

import importlib
import json
import os
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import write_film_videos
from source_files import ROOT

from opts import parse_opts
from opts.option import SCRIPTS
from sts_common.commands import COMMANDS
from utils1.reproduce import main, parse_args
from workflows.reproducing import reproduce as experiment
from workflows.reproducing.estimate import V100_BANDWIDTH, V100_RATE, TrainingCost, as_text, hours
from workflows.reproducing.inputs import list_files
from workflows.reproducing.recipe import load_recipe
from workflows.reproducing.records import is_done, note_done, record_of
from workflows.reproducing.reproduce import build_runner, check_inputs, reproduce, wait_for
from workflows.reproducing.stages import Stage, as_words, plan
from workflows.reproducing.table import as_markdown, table_of

RECIPES = sorted((ROOT / "configs").glob("*/[16][64]f.yaml"))
TINY = """
videos: videos
extract: {short_side: 32, workers: 1, gpus: cpu}
splits: [1, 2]
training_videos: 8
options:
  dataset: HMDB51
  frame_dir: frames
  annotation_path: labels
  model: resnet
  model_depth: 10
  width: 0.0625
  sample_size: 32
  sample_duration: 8
  batch_size: 2
  n_epochs: 2
  val_fraction: 0.5
  n_workers: 0
  device: cpu
  review_mid: 8
test: {n_workers: 0, device: cpu}
papers: {rgb+sfs: 79.5}
"""


def written(folder: Path, text: str = TINY) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_there_is_a_recipe_for_each_data_set_and_length():
    names = {"hmdb51", "ucf101", "kinetics400", "something"}
    assert {(path.parent.name, path.stem) for path in RECIPES} == {
        (n, length) for n in names for length in ("16f", "64f")
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_recipe_plans_three_trainings_and_a_test_a_split(path, tmp_path):
    recipe = load_recipe(path)
    stages = plan(replace(recipe, splits=recipe.splits[:1]), tmp_path)
    names = [stage.name for stage in stages]
    start = ["extract", "audit"] if recipe.videos else ["audit"]
    assert names == [*start, "split1_rgb", "split1_flow", "split1_sfs", "split1_test", "report"]
    assert recipe.training_videos
    assert all(Path(recipe.streams[stream]["config"]).is_file() for stream in recipe.streams)
    assert f"--sample_duration {path.stem[:-1]} " in f"{' '.join(stages[names.index('split1_sfs')].words)} "


@pytest.mark.parametrize("folder", sorted({path.parent for path in RECIPES}), ids=lambda folder: folder.name)
def test_recipes_of_64_frames_differ_in_frames_weights_and_papers_alone(folder):
    short, long = (load_recipe(folder / f"{length}f.yaml") for length in (16, 64))
    assert long.options == {**short.options, "sample_duration": "64"}
    for stream, options in long.streams.items():
        assert {name: str(value).replace("64f", "16f") for name, value in options.items()} == short.streams[stream]
    assert replace(long, path=short.path, options={}, streams={}, papers={}) == replace(
        short, options={}, streams={}, papers={}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split: [1]", "unknown key 'split'; did you mean splits"),
        ("options: {dataset: HMDB51}", "options lacks frame_dir, annotation_path"),
        ("options: 3", "options: expected name: value"),
        (TINY.replace("[1, 2]", "[0]"), "splits: '0' is no number from 1"),
        (TINY.replace("[1, 2]", "[]"), "splits: names none; expected some of 1, 2, 3"),
        (TINY.replace("[1, 2]", "[1, 1]"), "splits: 1, 1 names one twice"),
        (TINY.replace("[1, 2]", "[1, 4]"), "splits: 4 is none of 1, 2, 3"),
        (TINY.replace("[1, 2]", "1"), r"splits: expected a list of numbers, such as .1, 2, 3."),
        (TINY.replace("[1, 2]", "[[1]]"), "splits: expected a list of numbers"),
        (TINY.replace("79.5", "795"), "papers: rgb.sfs: '795' is no accuracy in percent"),
        (TINY.replace("79.5", "[1]"), "papers: rgb.sfs: expected one value"),
        (
            TINY.replace("rgb+sfs", "sfs+rgb"),
            r"papers: 'sfs.rgb' is no system of the table.*; there are rgb, flow, sfs",
        ),
        (TINY + "rgb: {config: [a]}", "rgb: config: expected one value"),
        (TINY + "sfs: {pretrain_path: {a: b}}", "sfs: pretrain_path: expected one value"),
        (
            TINY.replace("test: {n_workers: 0", "test: {num_clips: {a: b}"),
            "test: num_clips: expected one value or a list of values",
        ),
        (TINY.replace("n_epochs: 2", "n_epochs: [[1]]"), "options: n_epochs: expected one value or a list"),
        (TINY.replace("dataset: HMDB51", "dataset: [HMDB51]"), "options: dataset: expected one value"),
        (TINY.replace("frame_dir: frames", "frame_dir:"), "options lacks frame_dir"),
        (TINY.replace("videos: videos", ""), "extract: there are no videos to extract"),
        (TINY + "quarantine: maybe", "quarantine: 'maybe' is neither true nor false"),
        (TINY + "quarantine:", "quarantine: '' is neither true nor false"),
        ("base: [a]", "base: expected one value"),
        ("[" * 2000, "nested too deeply"),
        ("base: recipe.yaml", "is its own base"),
        (TINY + "splits: [1]", r"line \d+: splits is set twice"),
        (TINY + "rgb: {width: 1, width: 2}", r"line \d+: width is set twice"),
        ("- a", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{message}"):
        main(parse_args([str(path), "--dry"]))


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "Yes", "on", "y", "false", "False", "no", "Off", "N"])
def test_quarantine_takes_all_booleans_of_yaml(tmp_path, word):
    recipe = load_recipe(written(tmp_path, TINY + f"quarantine: {word}\n"))
    assert recipe.quarantine == (word[0].lower() in "ty" or word == "on")
    audit = next(stage for stage in plan(recipe, tmp_path) if stage.name == "audit")
    assert ("--quarantine" in audit.words, audit.may_fail) == (recipe.quarantine, recipe.quarantine)


def test_frames_can_take_the_place_of_the_videos_of_a_base(tmp_path):
    written(tmp_path).rename(tmp_path / "base.yaml")
    recipe = load_recipe(written(tmp_path, "base: base.yaml\nvideos:\n"))
    assert (recipe.videos, recipe.extract) == (None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY + "rgb: {epochs: 3}", "rgb: unrecognized arguments: --epochs; did you mean --n_epochs.$"),
        (TINY + "flow: {n_epochs: [1, b]}", "flow: unrecognized arguments: b$"),
        (TINY + "sfs: {help: true}", "sfs: help is no option of a recipe$"),
        (TINY.replace("n_epochs: 2", "n_epochs: x"), "options: argument --n_epochs: invalid int value: 'x'$"),
        (TINY.replace("n_epochs: 2", "epochs: 2"), "options: unrecognized arguments: --epochs; did"),
        (TINY.replace("n_epochs: 2", "a: 2") + "rgb: {b: 2}", "options and rgb: unrecognized arguments: --a --b"),
        (TINY.replace("test: {", "test: {clips: 3, "), "test: unrecognized arguments: --clips"),
    ],
)
def test_an_option_that_a_stage_has_not_got_is_refused_by_file_and_section(tmp_path, text, message):
    path = written(tmp_path, text)
    for mode in ["--dry", "--estimate"][: 1 if message.startswith("test") else 2]:  # an estimate is of trainings
        with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: {message}"):
            main(parse_args([str(path), mode]))


def test_all_that_is_missing_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(written(tmp_path, TINY + "sfs: {pretrain_path: kinetics.pth}\n"))
    with pytest.raises(
        FileNotFoundError, match=r"videos \(videos\), labels \(annotation_path\), kinetics.pth \(pretra"
    ):
        check_inputs(recipe)
    everywhere = load_recipe(written(tmp_path, TINY.replace("model: resnet", "pretrain_path: kinetics.pth")))
    with pytest.raises(FileNotFoundError, match=r"kinetics.pth \(pretrain_path of rgb\), kinetics.pth \(pretrain"):
        check_inputs(everywhere)
    with pytest.raises(FileNotFoundError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_flags_and_lists_become_words():
    assert as_words({"a": "true", "b": "false", "c": ["1", "2"], "d": "x"}) == ["--a", "--c", "1", "2", "--d", "x"]
    assert as_words({"a": "True", "b": "FALSE", "amp": "off"}) == ["--a", "--amp", "off"]


def test_results_by_other_options_are_made_again_if_that_is_cheap_and_else_refused(tmp_path):
    read, left = tmp_path / "flow.pth", tmp_path / "best.pth"
    read.write_text("a")
    left.write_text("b")
    words = ("--lr", "1", "--n_workers", "2")
    stage = Stage("split1_sfs", "distill", words, (read,), (left,), costly=True)
    assert not is_done(stage, tmp_path)
    note_done(stage, tmp_path, record_of(stage))
    assert is_done(stage, tmp_path)
    assert is_done(replace(stage, words=("--lr", "1", "--n_workers", "0")), tmp_path)
    other = replace(stage, words=("--lr", "2"))
    assert not is_done(replace(other, costly=False), tmp_path)
    with pytest.raises(ValueError, match=r"split1_sfs: its network was trained otherwise .--lr 1 -> 2.: give another"):
        is_done(other, tmp_path)
    read.write_text("c")
    with pytest.raises(ValueError, match=r"flow.pth has changed"):
        is_done(stage, tmp_path)
    read.unlink()
    with pytest.raises(ValueError, match=r"flow.pth is gone.*delete .*split1_sfs.json and the checkpoints .*best.pth"):
        is_done(stage, tmp_path)
    left.unlink()
    assert not is_done(stage, tmp_path)


@pytest.mark.parametrize(
    "text", ["{}", "[]", "", '{"words": ["--lr', '{"words": "a", "reads": {}, "leaves": {}}', "\xff", "[" * 100_000]
)
def test_a_damaged_record_is_refused_by_name(tmp_path, text):
    stage = Stage("split1_rgb", "train", (), (), (), costly=True)
    (tmp_path / "split1_rgb.json").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=r"split1_rgb.json: damaged, no record of a stage; delete it"):
        is_done(stage, tmp_path)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A recipe in a folder of its own, of which all stages are done; the files they leave hold their names."""
    monkeypatch.chdir(tmp_path)
    for name in ("videos", "labels"):
        Path(name).mkdir()
    for split in (1, 2):
        Path(f"labels/run_test_split{split}.txt").write_text("a_run.avi 1\nb_run.avi 2\n")
    Path("kinetics.pth").write_text("weights of a network")
    recipe = load_recipe(written(tmp_path, TINY.replace("model: resnet", "pretrain_path: kinetics.pth")))
    monkeypatch.setattr(experiment, "table_of", lambda *_: {})
    monkeypatch.setattr(experiment, "as_markdown", lambda _: "")
    reproduce(recipe, Path("out"), leaving)
    assert states(recipe) == {}
    return recipe


def leaving(stage: Stage) -> int:
    """Write what a stage leaves; the audit a manifest of a video, the extraction a table of no video left out."""
    for path in stage.leaves:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made yesterday\na film\n" if path.suffix == ".jsonl" else path.name)
    Path("frames/quarantine.tsv").write_text("path\treason\tdate\n")
    return 0


def states(recipe) -> dict[str, str]:
    """What becomes of the stages that are not done."""
    found = {}
    for stage in plan(recipe, Path("out")):
        try:
            found |= {} if is_done(stage, Path("out/stages")) else {stage.name: "again"}
        except ValueError as error:
            found[stage.name] = str(error)
    return found


TRAININGS = [f"split{split}_{stream}" for split in (1, 2) for stream in ("rgb", "flow", "sfs")]


@pytest.mark.parametrize(
    ("file", "refused", "again"),
    [
        ("labels/run_test_split1.txt", TRAININGS[:3], ["audit", "split1_test"]),
        ("labels/jump_test_split1.txt", TRAININGS[:3], ["audit", "split1_test"]),
        ("labels/classes.txt", TRAININGS, ["audit", "split1_test", "split2_test"]),
        ("frames/manifest.jsonl", TRAININGS, ["split1_test", "split2_test"]),
        ("frames/quarantine.tsv", TRAININGS, ["split1_test", "split2_test"]),
        ("kinetics.pth", TRAININGS, []),
    ],
)
def test_a_stage_is_not_done_when_a_file_that_it_reads_has_changed(finished, file, refused, again):
    path = Path(file)
    before = path.read_text() if path.exists() else ""
    path.write_text(before.replace("a", "A"))  # of the same size
    wrong = states(finished)
    assert set(wrong) == {*refused, *again}
    assert {wrong[name] for name in again} <= {"again"}
    change = "has changed" if before else "was not read"
    assert all(f"trained otherwise ({file} {change}): give another --out" in wrong[name] for name in refused)


def test_how_frames_were_made_is_read_too_and_the_date_of_an_audit_is_not(finished):
    manifest = Path("frames/manifest.jsonl")
    manifest.write_text(manifest.read_text().replace("yesterday", "just now!"))
    assert states(finished) == {}
    Path("frames/flow.json").write_text("WOLF.json")
    assert set(states(finished)) == {"audit", *TRAININGS, "split1_test", "split2_test"}


def test_what_is_changed_while_a_stage_runs_has_not_been_read(finished):
    Path("out/stages/split1_rgb.json").unlink()

    def disturbed(stage: Stage) -> int:
        Path("labels/run_test_split1.txt").write_text("a_run.avi 2\nb_run.avi 1\n")
        return leaving(stage)

    with pytest.raises(ValueError, match="split1_flow: its network was trained otherwise"):
        reproduce(finished, Path("out"), disturbed)
    with pytest.raises(ValueError, match=r"split1_rgb: .*\(labels/run_test_split1.txt has changed\)"):
        reproduce(finished, Path("out"), leaving)


def test_of_many_changed_files_a_few_are_named(finished):
    for name in "abcde":
        Path(f"labels/{name}_test_split1.txt").write_text("")
    assert "c_test_split1.txt was not read; 2 more files, too): give" in states(finished)["split1_rgb"]


def test_lists_are_found_without_those_of_other_splits(tmp_path):
    names = ["classInd.txt", "own_split2.csv", "testlist01.txt", "testlist02.txt", "trainlist01.txt", "trainlist02.txt"]
    for name in (*names, "manifest.jsonl", "audit.tsv", "frames.json", "film.avi"):
        (tmp_path / name).write_text("")
    found = [path.name for path in list_files(tmp_path, [1])]
    assert found == ["classInd.txt", "own_split2.csv", "testlist01.txt", "trainlist01.txt"]
    assert {path.name for path in list_files(tmp_path, [1, 2, 3])} == set(names)
    assert list_files(tmp_path / "none", [1]) == []


def test_beside_one_list_those_that_belong_to_it_are_read(tmp_path):
    for name in ("my_train.csv", "my_val.csv", "classes.txt", "other.csv"):
        (tmp_path / name).write_text("")
    assert {path.name for path in list_files(tmp_path / "my_train.csv", [1])} == {
        "my_train.csv",
        "my_val.csv",
        "classes.txt",
    }


def test_a_stage_that_fails_ends_the_experiment_with_its_exit_code(tmp_path, monkeypatch, caplog):
    for name in ("videos", "labels"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(written(tmp_path))
    with pytest.raises(SystemExit) as ended:
        reproduce(recipe, tmp_path / "out", lambda stage: 5)
    assert ended.value.code == 5
    assert "stage extract (its options: " in caplog.text
    assert "recipe.yaml: extract) ended with exit code 5" in caplog.text
    with pytest.raises(ValueError, match=r"stage extract left no frames/flow.json, frames/frames.json"):
        reproduce(recipe, tmp_path / "out", lambda stage: 0)


def test_a_program_is_stopped_as_this_one_is_asked_to():
    assert wait_for([sys.executable, "-c", "import sys; sys.exit(3)"]) == 3
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    started = time.monotonic()
    assert wait_for(["sleep", "60"]) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 50
    timer.join()


def test_hours_follow_from_operations_and_bandwidth(tmp_path):
    cost = TrainingCost("rgb", epochs=10, batch=4, flops=int(V100_RATE), memory=0)
    assert hours(cost, 360, V100_BANDWIDTH) == pytest.approx(1)
    assert hours(cost, 360, 2 * V100_BANDWIDTH) == pytest.approx(0.5)
    lines = as_text(load_recipe(written(tmp_path))).splitlines()
    assert lines[0].startswith("estimated, no GPU has run it")
    assert [line.split()[0] for line in lines[2:]] == ["rgb", "flow", "sfs"]


def test_the_commands_of_an_experiment_can_be_seen_before(tmp_path, capsys):
    main(parse_args([str(written(tmp_path)), "--out", str(tmp_path / "out"), "--dry"]))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "# extract"
    assert printed[1] == "python utils1/extract_frames_flows.py videos frames --short_side 32 --workers 1 --gpus cpu"
    assert not (tmp_path / "out").exists()


def test_trainings_are_started_by_other_words_and_data_by_python(capfd):
    opt = parse_args(["recipe.yaml", "--launch", "echo --nproc_per_node 8"])
    assert build_runner(opt.launch)(Stage("split1_rgb", "train", ("--split", "1"), (), ())) == 0
    assert capfd.readouterr().out == "--nproc_per_node 8 -m sts_common.commands train --split 1\n"


def in_this_process(stage: Stage) -> int:
    """Run a stage here, where torch is imported already."""
    script = COMMANDS[stage.command].script
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    words = list(stage.words)
    module.main(parse_opts(words, script=script) if script in SCRIPTS else module.parse_args(words))
    return 0


@pytest.mark.slow
def test_an_interrupted_experiment_goes_on_to_its_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film_videos()
    recipe, out, ran = load_recipe(written(tmp_path)), Path("out"), []

    def stopped(stage: Stage) -> int:
        ran.append(stage.name)
        if stage.name != "split1_flow":
            return in_this_process(stage)
        words = list(stage.words)
        words[words.index("--n_epochs") + 1] = "1"
        in_this_process(replace(stage, words=(*words, "--checkpoint", "1")))
        return 143

    with pytest.raises(SystemExit):
        reproduce(recipe, out, stopped)
    assert ran == ["extract", "audit", "split1_rgb", "split1_flow"]

    def watched(stage: Stage) -> int:
        ran.append(stage.name)
        return in_this_process(stage)

    ran.clear()
    table = reproduce(recipe, out, watched)
    rest = [f"split2_{stream}" for stream in ("rgb", "flow", "sfs", "test")]
    assert ran == ["split1_flow", "split1_sfs", "split1_test", *rest, "report"]
    log = Path("out/split1/HMDB51/flow/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]  # the second by the second run
    systems = {row["system"]: row for row in table["systems"]}
    assert list(systems) == ["rgb", "flow", "sfs", "rgb+flow", "rgb+sfs", "flow+sfs", "rgb+flow+sfs"]
    assert (systems["rgb+sfs"]["papers"], systems["rgb"]["papers"]) == (79.5, None)
    text = Path("out/table.md").read_text()
    assert "top-1 over test videos (4, 4 of the splits), chance 50.0 %" in text
    assert "not measured here" in text
    assert Path("out/report/index.html").is_file()

    ran.clear()
    assert reproduce(recipe, out, watched) == table
    assert ran == []
    with pytest.raises(ValueError, match=r"split1_rgb: its network was trained otherwise .--n_epochs 2 -> 3"):
        reproduce(load_recipe(written(tmp_path, TINY.replace("n_epochs: 2", "n_epochs: 3"))), out, watched)
    single = table_of([out / "split1.npz"], {})
    assert single["systems"][0]["top1"]["sd"] is None
    assert "±" not in as_markdown(single).partition("| ---")[2]
