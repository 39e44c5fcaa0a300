"""Every command of the README runs as it is written, on a tiny tree with checkpoints made on the spot."""

import importlib
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from corpora import make_kinetics, make_ucf101
from helpers import write_hmdb51

from models import build_model
from opts import parse_opts
from utils1 import extract_frames, extract_frames_flows

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = [
    shlex.split(command.replace("\\\n", " "), comments=True)[1:]
    for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)
    for command in re.findall(r"^python .*?(?<!\\)$", block, re.DOTALL | re.MULTILINE)
]
RUNS = [words for words in COMMANDS if words[0].startswith(("train", "STS", "test_"))]
CLASSES = {"Kinetics": 400, "HMDB51": 51, "UCF101": 2}
SMALLER = "--width 0.25 --sample_size 32 --n_workers 0 --clips_per_batch 4 --review_mid 8 --device cpu".split()


def test_the_published_commands_are_all_there():
    scripts = [words[0] for words in COMMANDS]
    assert scripts.count("test_single_stream.py") == 3
    assert scripts.count("test_two_stream.py") == 5
    assert scripts.count("train.py") == 7
    assert scripts.count("STS_train.py") == 4
    assert {"utils1/extract_frames.py", "utils1/extract_frames_flows.py", "predict.py"} <= set(scripts)


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
        dataset = words[words.index("--dataset") + 1]
        assert list((tree / "results" / dataset).glob(f"*{2 if resumes(words) else 1}.pth"))


def write_video(path: Path) -> None:
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (48, 40))
    for i in range(4):
        writer.write(np.full((40, 48, 3), 40 * i, np.uint8))
    writer.release()


@pytest.mark.parametrize("tool", [extract_frames, extract_frames_flows], ids=lambda tool: tool.__name__)
def test_an_extraction_command_runs(tool, tmp_path):
    (words,) = (words for words in COMMANDS if words[0] == f"{tool.__name__.replace('.', '/')}.py")
    values = {"path_to_video_files": str(tmp_path / "v"), "start_class": "0", "end_class": "1", "gpu_id": "0"}
    write_video(tmp_path / "v" / "run" / "a.avi")
    arguments = [values.get(word, str(tmp_path / "out")) for word in words[1:]]
    tool.main(tool.parse_args([*arguments, "--workers", "1", "--short_side", "40"]))
    assert (tmp_path / "out" / "run" / "a" / "done").exists()


def test_the_prediction_command_has_the_arguments_of_the_script(monkeypatch):
    (words,) = (words for words in COMMANDS if words[0] == "predict.py")
    predict = importlib.import_module("predict")
    monkeypatch.setattr("sys.argv", words)
    opt = predict.parse_args()
    assert (opt.video, opt.weights, opt.fusion) == ("video.mp4", ["rgb.pth", "sfs.pth"], "activno")


TOOLS = [words for words in COMMANDS if words[0].startswith("utils1/") and "extract" not in words[0]]


@pytest.mark.parametrize("words", TOOLS, ids=lambda words: words[0])
def test_the_command_of_a_tool_has_its_arguments(words, monkeypatch):
    module = importlib.import_module(words[0].removesuffix(".py").replace("/", "."))
    monkeypatch.setattr("sys.argv", words)
    assert module.parse_args()


def test_the_export_command_has_the_arguments_of_the_script(monkeypatch):
    (words,) = (words for words in COMMANDS if words[0] == "export.py")
    monkeypatch.setattr("sys.argv", words)
    assert importlib.import_module("export").parse_args().format == "onnx"
