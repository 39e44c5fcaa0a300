"""Every command of docs/systems.md, in order, on a tiny tree: each goes on from what those before it left."""

import importlib
import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from corpora import make_ucf101
from helpers import jpeg
from pages import commands
from source_files import ROOT

import test_retrieval
from opts import SINGLE, parse_opts
from opts.option import SCRIPTS, TRAINING
from opts.table import build_parser

COMMANDS = [shlex.split(line)[1:] for line in commands("docs/systems.md")]
MENTIONED = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").glob("*/*.yaml"))
SMALLER = {
    "i3d": "--width 0.0625",
    "s3d": "--width 0.0625",
    "googlenet": "--width 0.0625",
    "i3d_resnet": "--model_depth 18 --width 0.0625",
    "s3d_resnet": "--model_depth 18 --width 0.0625",
    "resnet2d": "--model_depth 18 --width 0.0625",
    "resnet": "--width 0.0625",
    "resnet2p1d": "--width 0.0625",
    "vgg": "--model_depth 11 --width 0.0625",
    "hidden_two_stream": "--model_depth 11 --width 0.0625 --model_args motion_width=0.0156",
}
RETRIEVAL = "test_retrieval.py"
QUICK = "--n_workers 0 --device cpu --sample_size 32 --log 0"
TRAINED = "--n_epochs 1 --batch_size 2 --iter_size 1 --init random"


def test_presets_of_these_systems_are_all_on_the_page():
    page = (ROOT / "docs" / "systems.md").read_text("utf-8")
    ours = [path for path in MENTIONED if path.split("/")[1] not in ("mars", "sts_net")]
    ours = [path for path in ours if Path(path).stem not in ("16f", "64f")]  # recipes of docs/reproduce.md
    assert [path for path in ours if path not in page] == []


def make_study(root: Path) -> None:
    """Mini-Kinetics as IBM's study keeps it: lists beside the folders, flow beside the frames."""
    rng = np.random.default_rng(0)
    for subset, videos in (("train", 4), ("val", 1)):
        lines = []
        for label in range(2):
            for v in range(videos):
                folder = root / "videos" / f"{subset}_{label}_{v}"
                folder.mkdir(parents=True)
                for i in range(1, 46):
                    (folder / f"{i:05d}.jpg").write_bytes(jpeg(rng.integers(0, 256, (40, 48, 3), np.uint8)))
                    for axis in "xy" if i < 45 else "":
                        (folder / f"{i:05d}_{axis}.jpg").write_bytes(jpeg(rng.integers(0, 256, (40, 48), np.uint8)))
                lines.append(f"videos/{folder.name};1;45;{label}\n")
        (root / f"{subset}.txt").write_text("".join(lines))


@pytest.mark.slow
def test_the_commands_run_one_after_the_other(tmp_path, monkeypatch):
    made = make_ucf101(tmp_path / "made")
    (tmp_path / "dataset").mkdir()
    (made / "frames").rename(tmp_path / "dataset" / "UCF101")
    (made / "labels").rename(tmp_path / "dataset" / "UCF101_labels")
    make_study(tmp_path / "dataset" / "mini_kinetics")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.resnet18().state_dict(), "resnet18-f37072fd.pth")
    for script, *words in COMMANDS:
        assert script in (*SCRIPTS, RETRIEVAL)
        parse = test_retrieval.parse_args if script == RETRIEVAL else partial(parse_opts, script=script)
        training = script in TRAINING
        more = f"{QUICK} {TRAINED} {SMALLER.get(parse(words).model, '')}" if training else QUICK
        known = build_parser(SINGLE if script == RETRIEVAL else script).settable()
        pairs = [part.split() for part in re.findall(r"--\w+ [^-]+", f"{more} ")]
        smaller = [word for option, *values in pairs if option in known for word in (option, *values)]
        opt = parse([*words, *with_arguments(words, smaller)])
        result = importlib.import_module(script.removesuffix(".py")).main(opt)
        assert all(0 <= value <= 1 for value in result.values()), (script, words)
        if training:
            assert (tmp_path / "results" / opt.dataset / f"{opt.run_name}_best.pth").exists()


def with_arguments(words: list[str], smaller: list[str]) -> list[str]:
    """The smaller options; --model_args of the preset stay beside those that make the network small."""
    if "--model_args" not in smaller:
        return smaller
    stated = parse_opts(words).model_args
    at = smaller.index("--model_args")
    return [*smaller[: at + 1], *stated, *smaller[at + 1 :]]
