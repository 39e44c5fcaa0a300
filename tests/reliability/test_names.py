"""Names that are no UTF-8, and consoles that cannot show a name: neither costs a result."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from answering import make_videos, write_weights
from helpers import write_frames
from source_files import ROOT

from datasets.corpora import DATASETS
from datasets.lists.annotations import check_path
from datasets.records.manifest import read_manifest
from engine.checkpoint import __main__ as card_command
from engine.command import cli, config
from engine.evaluation import result_file as results
from engine.evaluation import scores
from engine.evaluation.scores import Scores
from sts_common.files import encoded, write_text
from utils1 import audit, extract_frames_flows, init_dataset, make_lists
from workflows.shared.command_lines import quoted

LATIN = os.fsdecode("café".encode("latin-1"))
GBK = os.fsdecode("跑步".encode("gbk"))
NAMES = [LATIN, GBK, "naïve 跳跃", os.fsdecode(b"\xff\xfe'\\")]


def run(words: list[object], **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, env=os.environ | environment, check=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    return write_weights(tmp_path_factory.mktemp("weights") / "rgb.pth", names=("跳跃", "跑 步", "naïve"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.mark.slow
def test_a_console_that_cannot_show_a_name_costs_no_answer(videos, weights, tmp_path):
    ascii_alone = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    answer = run(["predict.py", videos / "run", "--weights", weights, "--json", tmp_path / "a.json"], **ascii_alone)
    assert answer.returncode == 0, answer.stderr
    assert b"\\u8df3\\u8dc3" in answer.stdout
    document = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert document["classes"] == ["跳跃", "跑 步", "naïve"]
    assert len(document["videos"]) == 2
    error = run(["predict.py", tmp_path / f"{LATIN} 跳", "--weights", weights], PYTHONIOENCODING="cp1252")
    assert (error.returncode, error.stderr.count(b"\n")) == (2, 1)
    assert b"caf\\udce9 \\u8df3: no such file or folder" in error.stderr


def test_a_card_is_shown_on_any_console(weights, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", console)
    cli.run(card_command.main, lambda: card_command.parse_args([weights, "--json"]))
    console.seek(0)
    assert "跳跃" in str(json.loads(console.read()))


@pytest.fixture
def frames(tmp_path) -> Path:
    for number, name in enumerate(NAMES):
        for video in range(2):
            write_frames(tmp_path / "made", seed=2 * number + video, frames=3)  # OpenCV writes to no such name
            (tmp_path / "frames" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "made").rename(tmp_path / "frames" / name / f"{name}_{video}")
    return tmp_path / "frames"


def test_folders_of_any_name_become_lists_are_audited_and_read(frames, tmp_path, caplog):
    init_dataset.main(init_dataset.parse_args([str(frames), "--out", str(tmp_path / "own")]))
    text = (tmp_path / "own" / "labels" / "videos.csv").read_text("utf-8")
    assert "caf\\udce9/caf\\udce9_" in text
    labels = tmp_path / "own" / "labels"
    listings = [DATASETS["List"](labels, 1, subset) for subset in ("train", "test")]
    listed = {entry.path for listing in listings for entry in listing.entries}
    known = {f"{name}/{name}_{i}" for name in NAMES for i in range(2)}
    assert known == listed
    words = ["--dataset", "List", "--annotation_path", str(labels), "--frame_dir", str(frames)]
    (frames / LATIN / f"{LATIN}_0" / "00002.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="errors found"):
        audit.main(audit.parse_args([*words, "--modality", "RGB", "--json", str(tmp_path / "a.json"), "--quarantine"]))
    assert known - {f"{LATIN}/{LATIN}_0"} <= read_manifest(frames).located.keys()
    for name in ("audit.tsv", "quarantine.tsv", "manifest.jsonl"):
        assert "caf\\udce9" in (frames / name).read_text("utf-8")
    problems = json.loads((tmp_path / "a.json").read_text())["problems"]
    assert f"{LATIN}/{LATIN}_0" in {problem["path"] for problem in problems}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_lists_hold_any_name(form, frames, tmp_path):
    words = [str(frames), str(tmp_path / "lists"), "--from", "frames", "--to", form]
    make_lists.main(make_lists.parse_args(words))
    listing = DATASETS["List" if form == "csv" else "JSON"](tmp_path / "lists", 1, "train")
    assert {f"{name}/{name}_{i}" for name in NAMES for i in range(2)} == {entry.path for entry in listing.entries}


def test_a_name_that_looks_like_an_escape_is_refused_where_it_would_be_another(frames, tmp_path):
    (frames / NAMES[0]).rename(frames / "caf\\udce9")
    with pytest.raises(ValueError, match="cannot hold"):
        make_lists.main(make_lists.parse_args([str(frames), str(tmp_path / "lists"), "--from", "frames"]))


def test_the_escape_of_a_byte_reads_back_and_no_other_does():
    for name in NAMES:
        assert check_path(encoded(f"a/{name}").decode()) == f"a/{name}"
    for name in ("a\\udc7f", "a\\ud800", "a\\u8df3", "a\\udcg0"):
        assert check_path(name) == name


def test_options_scores_and_results_hold_any_name(tmp_path):
    options = {"frame_dir": f"a/{LATIN}", "result_path": "跳"}
    config.write_options(tmp_path / "options.yaml", options)
    assert yaml.safe_load((tmp_path / "options.yaml").read_text("utf-8")) == options
    results.write_result(tmp_path / "results.txt", f"Namespace(frame_dir={LATIN!r}, other={GBK})", ["a"])
    assert "caf\\udce9" in (tmp_path / "results.txt").read_text("utf-8")
    write_text(tmp_path / LATIN / "x.txt", f"{GBK} 跳")
    assert (tmp_path / LATIN / "x.txt").read_text("utf-8").endswith("跳")
    logits = torch.zeros(1, 2, 2)
    given = Scores(
        video=[LATIN, GBK],
        label=torch.tensor([0, 1]),
        class_names=["跳", "b"],
        streams=["rgb"],
        logits=logits,
        clips=torch.ones(1, 2, dtype=torch.int64),
        listed=2,
        about={"dataset": LATIN},
    )
    given.save(tmp_path / "s.npz", logits[0])
    read = scores.load(tmp_path / "s.npz")
    assert (read.video, read.about) == (given.video, given.about)
    assert np.array_equal(read.logits, logits)


@pytest.mark.parametrize("word", [*NAMES, "it's", "a b", "$x"], ids=ascii)
def test_a_printed_word_is_the_same_in_a_shell(word):
    shown = quoted(word)
    assert encoded(shown).decode() == shown
    echoed = subprocess.run(["bash", "-c", f"printf %s {shown}"], capture_output=True, check=True)
    assert os.fsdecode(echoed.stdout) == word


def test_the_printed_command_extracts_every_listed_video(videos, tmp_path):
    source = tmp_path / "it's 跳跃"
    for name in ("walk", "jump"):
        (source / name / "s1").mkdir(parents=True)
        for take in "ab":
            (source / name / "s1" / f"{take}.MOV.avi").write_bytes((videos / "run" / "short.avi").read_bytes())
    (source / "_backup").mkdir()
    _, command, *_ = init_dataset.main(init_dataset.parse_args([str(source), "--out", str(tmp_path / "own")]))
    assert shlex.split(command)[:2] == ["python", "utils1/extract_frames_flows.py"]
    words = [*shlex.split(command)[2:], *"--flow dis --workers 1 --short_side 32".split()]
    extract_frames_flows.main(extract_frames_flows.parse_args(words))
    listings = [DATASETS["List"](tmp_path / "own" / "labels", 1, subset) for subset in ("train", "test")]
    listed = [entry.path for listing in listings for entry in listing.entries]
    assert sorted(listed) == [f"{name}/s1/{take}.MOV" for name in ("jump", "walk") for take in "ab"]
    assert all((tmp_path / "own" / "frames" / path / "done").is_file() for path in listed)
