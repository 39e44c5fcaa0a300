"""Whole experiments from recipes: stages in order, nothing done twice, other options noticed, a table at the end."""

import importlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import write_film_videos

from opts import parse_opts
from opts.option import SCRIPTS
from sts_common.commands import COMMANDS
from utils1.reproduce import main, parse_args
from workflows.reproducing.estimate import V100_BANDWIDTH, V100_RATE, TrainingCost, as_text, hours
from workflows.reproducing.recipe import as_words, load_recipe
from workflows.reproducing.records import is_done, note_done
from workflows.reproducing.reproduce import check_inputs, launched, reproduce, wait_for
from workflows.reproducing.stages import Stage, plan
from workflows.reproducing.table import as_markdown, table_of

ROOT = Path(__file__).parents[2]
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
        (TINY.replace("79.5", "795"), "papers: rgb.sfs: '795' is no accuracy in percent"),
        ("base: recipe.yaml", "is its own base"),
        ("- a", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(written(tmp_path, text))


def test_an_option_that_a_training_has_not_got_is_refused_before_anything_runs(tmp_path):
    recipe = load_recipe(written(tmp_path, TINY + "rgb: {epochs: 3}\n"))
    with pytest.raises(SystemExit):
        plan(recipe, tmp_path)


def test_all_that_is_missing_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(written(tmp_path, TINY + "sfs: {pretrain_path: kinetics.pth}\n"))
    with pytest.raises(
        FileNotFoundError, match=r"videos \(videos\), labels \(annotation_path\), kinetics.pth \(pretra"
    ):
        check_inputs(recipe)
    with pytest.raises(FileNotFoundError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_flags_and_lists_become_words():
    assert as_words({"a": "true", "b": "false", "c": ["1", "2"], "d": "x"}) == ["--a", "--c", "1", "2", "--d", "x"]


def test_results_by_other_options_are_made_again_if_that_is_cheap_and_else_refused(tmp_path):
    read, left = tmp_path / "flow.pth", tmp_path / "best.pth"
    read.write_text("a")
    left.write_text("b")
    words = ("--lr", "1", "--n_workers", "2")
    stage = Stage("split1_sfs", "distill", words, (read,), (left,), dear=True)
    assert not is_done(stage, tmp_path)
    note_done(stage, tmp_path)
    assert is_done(stage, tmp_path)
    assert is_done(replace(stage, words=("--lr", "1", "--n_workers", "0")), tmp_path)
    other = replace(stage, words=("--lr", "2"))
    assert not is_done(replace(other, dear=False), tmp_path)
    with pytest.raises(ValueError, match=r"split1_sfs: its network was trained otherwise .--lr 1 -> 2.: give another"):
        is_done(other, tmp_path)
    read.write_text("c")
    with pytest.raises(ValueError, match=r"flow.pth has changed"):
        is_done(stage, tmp_path)
    left.unlink()
    assert not is_done(stage, tmp_path)


def test_a_stage_that_fails_ends_the_experiment_with_its_exit_code(tmp_path, monkeypatch):
    for name in ("videos", "labels"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(written(tmp_path))
    with pytest.raises(SystemExit) as ended:
        reproduce(recipe, tmp_path / "out", lambda stage: 5)
    assert ended.value.code == 5
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
    work = TrainingCost("rgb", epochs=10, batch=4, flops=int(V100_RATE), memory=0)
    assert hours(work, 360, V100_BANDWIDTH) == pytest.approx(1)
    assert hours(work, 360, 2 * V100_BANDWIDTH) == pytest.approx(0.5)
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
    assert launched(opt.launch)(Stage("split1_rgb", "train", ("--split", "1"), (), ())) == 0
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
