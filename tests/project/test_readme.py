"""Trainings, tests and extractions of README.md and docs/commands.md, on a tiny tree with invented checkpoints."""

import importlib
import shlex
from pathlib import Path

import pytest
import torch
from corpora import make_kinetics, make_ucf101
from extraction import make_video
from helpers import write_hmdb51
from pages import code, commands
from source_files import ROOT

from models import FUSIONS, build_model
from models.backbones import resnext
from opts import parse_opts

LINES = dict.fromkeys(line for page in ("README.md", "docs/commands.md") for line in commands(page))
COMMANDS = [shlex.split(line, comments=True)[1:] for line in LINES if line.startswith("python ")]
RUNS = [words for words in COMMANDS if words[0].startswith(("train", "STS", "test_"))]
EXTRACTIONS = [words for words in COMMANDS if words[0].startswith("utils1/extract")]
CLASSES = {"Kinetics": 400, "HMDB51": 51, "UCF101": 2}
SMALLER = "--width 0.25 --sample_size 32 --n_workers 0 --clips_per_batch 4 --review_mid 8 --device cpu".split()


def test_the_published_commands_are_all_there():
    scripts = [words[0] for words in COMMANDS]
    assert scripts.count("test_single_stream.py") == 3
    assert scripts.count("test_two_stream.py") == 6
    assert scripts.count("train.py") == 8
    assert scripts.count("STS_train.py") == 8
    assert {"utils1/extract_frames.py", "utils1/extract_frames_flows.py", "predict.py"} <= set(scripts)


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """ResNeXt-101 by its name, with one block a stage: its true depth is held against published weights elsewhere."""
    monkeypatch.setitem(resnext.DEPTHS, 101, (1, 1, 1, 1))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("readme")
    makers = {"HMDB51": write_hmdb51, "UCF101": make_ucf101, "Kinetics": make_kinetics}
    (root / "dataset").mkdir()
    for name, make in makers.items():
        made = make(root / name)
        (made / "frames").rename(root / "dataset" / name)
        (made / "labels").rename(root / "dataset" / f"{name}_labels")
    (root / "dataset" / "HMDB51" / "HMDB51_frames").symlink_to(root / "dataset" / "HMDB51")
    (root / "configs").symlink_to(ROOT / "configs")
    return root


def make_checkpoint(path: Path) -> None:
    """Weights in the dialect of the published files, of the data set and stream that the path names."""
    dataset = next((name for name in CLASSES if name in path.parts), "HMDB51")
    channels = 2 if "flow" in path.name.lower() else 3
    opt = parse_opts(SMALLER)
    state = build_model(opt, channels, CLASSES[dataset]).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 2, "arch": "resnext-101", "state_dict": weights, "optimizer": {}}, path)


def resumes(words: list[str]) -> bool:
    return "--SFS_resume_path" in words or ("--resume_path1" in words and words[0] == "train.py")


def run(words: list[str]) -> dict[str, float]:
    for path in (Path(word.split("=")[-1]) for word in words):
        if path.suffix == ".pth" and not path.exists():
            make_checkpoint(path)
    script = importlib.import_module(words[0].removesuffix(".py"))
    return script.main(parse_opts([*words[1:], *SMALLER, "--n_epochs", "2" if resumes(words) else "1"]))


@pytest.mark.parametrize("words", RUNS, ids=lambda words: f"{words[0]} {' '.join(words[1:])[:60]}")
def test_a_command_runs(words, tree, monkeypatch):
    monkeypatch.chdir(tree)
    if "--scores" in words and not Path("test.npz").exists():
        run(next(words for words in RUNS if "--stream" in words))
    assert all(0 <= value <= 1 for value in run(words).values())
    if "train" in words[0]:
        assert list((tree / "results" / parse_opts(words[1:]).dataset).glob(f"*{2 if resumes(words) else 1}.pth"))


@pytest.mark.parametrize("words", EXTRACTIONS, ids=" ".join)
def test_an_extraction_command_runs(words, tmp_path):
    tool = importlib.import_module(words[0].removesuffix(".py").replace("/", "."))
    make_video(tmp_path / "v" / "run" / "a.avi")
    numbers = {"start_class": "0", "end_class": "1", "gpu_id": "0"}
    folders = [str(tmp_path / "v"), str(tmp_path / "out")]
    arguments = [*folders, *(numbers.get(word, word) for word in words[3:])]
    tool.main(tool.parse_args([*arguments, "--workers", "1", "--short_side", "40"]))
    assert (tmp_path / "out" / "run" / "a" / "done").exists()


def test_the_python_example_runs_on_the_scores_that_the_commands_leave(tree, monkeypatch, capsys):
    (example,) = code("README.md")
    monkeypatch.chdir(tree)
    if not Path(scores := "results/HMDB51/sts_net.npz").exists():
        run(next(words for words in RUNS if scores in words))
    capsys.readouterr()
    exec(example, {})
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(shown) == list(FUSIONS)
    assert all(0 <= float(value) <= 1 for value in shown.values())
