"""utils1/make_videos.py: its files, the commands that it prints, its refusals."""

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.corpora import list_dataset
from datasets.synthetic import LEVELS
from engine.command import cli
from flow.flo import read_flo
from utils1 import extract_frames, extract_frames_flows, flow_compare, flow_convert
from utils1.make_videos import main, parse_args

SMALL = "--train_per_class 2 --test_per_class 2 --size 16 --frames 3".split()


def run(command, *words: object) -> object:
    return command.main(command.parse_args(list(map(str, words))))


def test_videos_and_lists_are_written_and_the_next_command_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands = main(parse_args(["videos", "labels", "--level", "hard", "--bias", "0.5", *SMALL]))
    assert capsys.readouterr().out.splitlines() == commands
    entries = list_dataset("HMDB51", Path("labels"), 3, "train").entries
    assert len(entries) == 2 * len(LEVELS["hard"].classes)
    assert all(Path("videos", f"{entry.path}.avi").is_file() for entry in entries)
    (words,) = map(shlex.split, commands)
    assert words[1].endswith("utils1/extract_frames_flows.py")
    assert extract_frames_flows.parse_args(words[2:]).short_side == 16


@pytest.mark.slow
def test_exact_flow_can_be_compared_with_tvl1_and_trained_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [*SMALL[:4], "--size", "32", "--frames", "4"]
    main(parse_args(["videos", "labels", *options]))
    run(extract_frames, "videos", "exact", "--short_side", 32)
    commands = main(parse_args(["videos", "labels", *options, "--exact_flow", "exact"]))
    folder = min(Path("exact", "kick").iterdir())
    assert read_flo(folder / "00003.flo").shape == (32, 32, 2)
    mask = cv2.imread(str(folder / "00003_hidden.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (32, 32)
    assert set(np.unique(mask)) <= {0, 255}
    run(flow_convert, "exact", "train", "--bound", 5, "--quant", "truncate")
    assert len(list(Path("train", "kick", folder.name).glob("*.jpg"))) == 4 + 2 * 3
    extract, compare = (shlex.split(line)[2:] for line in commands)
    run(extract_frames_flows, *extract, "--gpus", "cpu", "--workers", 1)
    report = run(flow_compare, *compare, "--workers", 1)
    assert report["problems"] == []
    assert report["total"]["median"] < 0.3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--bias", "2"], "error: bias is 2.0"),
        (["--level", "easy", "--bias", "1"], "error: level easy has no bias"),
        (["--level", "harder"], "error: argument --level: invalid choice: 'harder'"),
        (["--train_per_class", "5"], "error: train_per_class is 5"),
        (["--size", "15"], "error: size 15"),
        (["--seed", "-3"], "error: seed is -3"),
    ],
)
def test_bad_values_are_one_line_and_nothing_is_written(words, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        cli.run(main, lambda: parse_args(["videos", "labels", "--exact_flow", "flow", *words]))
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith(problem)
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
