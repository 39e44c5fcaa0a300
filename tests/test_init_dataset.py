"""One's own videos become a data set: every class on both sides, no source on both."""

import csv
import logging
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.entries import Entry
from datasets.folders import find_tree
from datasets.listings import DATASETS
from engine.naming import single_stream_files
from opts import parse_opts
from utils1 import extract_frames_flows
from utils1.grouped_split import split_groups
from utils1.init_dataset import main, parse_args

ODD = ["a b", "it's", 'say "hi"', "a,b;c", "-dash", "ünï", "[x]#1", "a:b", "tab\there", "line\nbreak", "%d"]


def run(*words: str | Path) -> list[str]:
    return main(parse_args([str(word) for word in words]))


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def sides(out: Path) -> tuple[set[str], set[str]]:
    train, test = ({e.path for e in DATASETS["List"](out / "labels", 1, s).entries} for s in ("train", "test"))
    return train, test


def test_a_folder_per_class_becomes_lists_that_train(tmp_path):
    videos = [f"{c}/v_{c}_g{g:02d}_c{i:02d}.mp4" for c in ("Wave", "Clap") for g in range(1, 11) for i in (1, 2)]
    root = touch(tmp_path / "videos", *videos, "Wave/notes.txt", "Wave/.hidden.mp4")
    run(root, "--out", tmp_path / "own")
    train, test = sides(tmp_path / "own")
    assert train | test == {video.removesuffix(".mp4") for video in videos}
    assert len(test) == 8
    assert not {path[:-4] for path in train} & {path[:-4] for path in test}
    assert DATASETS["List"](tmp_path / "own" / "labels", 1, "train").class_names == ["Clap", "Wave"]


def test_the_split_depends_on_the_names_and_the_seed_alone(tmp_path):
    root = touch(tmp_path / "videos", *(f"{c}/{who}_{i}.avi" for c in "ab" for who in "pqrstuvw" for i in (1, 2)))
    made = []
    for seed in (0, 0, 1):
        run(root, "--out", tmp_path / "own", "--seed", str(seed), "--force")
        made.append((tmp_path / "own" / "labels" / "videos.csv").read_bytes())
    assert made[0] == made[1] != made[2]


def test_a_pattern_keeps_people_together_over_classes(tmp_path):
    root = touch(tmp_path / "videos", *(f"{c}/{i}_person{p}.avi" for c in "ab" for p in range(10) for i in (1, 2)))
    run(root, "--out", tmp_path / "own", "--group_by", r"person(\d+)")
    train, test = ({path[-1] for path in side} for side in sides(tmp_path / "own"))
    assert not train & test
    assert len(test) == 2
    with pytest.raises(ValueError, match=r"--group_by 'nobody': finds nothing in 'a/1_person0'"):
        run(root, "--out", tmp_path / "own", "--group_by", "nobody", "--force")
    with pytest.raises(ValueError, match=r"--group_by '\(': "):
        run(root, "--out", tmp_path / "own", "--group_by", "(", "--force")


def test_odd_names_survive(tmp_path):
    names = [f"{name}/{name} {who} {i}" for name in ODD for who in "pq" for i in (1, 2)]
    run(touch(tmp_path / "videos", *(f"{name}.mp4" for name in names)), "--out", tmp_path / "own")
    train, test = sides(tmp_path / "own")
    assert train | test == set(names)
    assert len(train) == len(test)
    assert set(DATASETS["List"](tmp_path / "own" / "labels", 1, "test").class_names) == set(ODD)


def test_folders_of_frames_are_videos_too(tmp_path):
    root = touch(tmp_path / "frames", *(f"{c}/{w}/{i:05d}.jpg" for c in "ab" for w in ("walk", "run") for i in (1, 2)))
    assert [(v.path, v.folder, v.suffix) for v in find_tree(root).videos] == [
        ("a/run", "a", ""),
        ("a/walk", "a", ""),
        ("b/run", "b", ""),
        ("b/walk", "b", ""),
    ]
    first, train, test = run(root, "--out", tmp_path / "own")
    assert "audit.py" in first
    assert f"--frame_dir {root}" in train
    assert f"--frame_dir {root}" in test


def test_the_commands_are_such_as_the_scripts_take(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("-my videos"), *(f"{c}/{w}.mp4" for c in "ab" for w in ("walk", "run")))
    commands = main(parse_args(["--out", "it's", "--", "-my videos"]))
    assert capsys.readouterr().out.splitlines() == commands
    first, train, test = ([w for w in shlex.split(line) if w != "python"] for line in commands)
    opt = extract_frames_flows.parse_args(first[1:])
    assert (opt.source, opt.start, opt.end) == (Path("./-my videos"), None, None)
    assert parse_opts(train[1:]).frame_dir == str(opt.target)
    assert parse_opts(test[1:]).resume_path1 == str(single_stream_files(parse_opts(train[1:])).best)
    assert train[0] == "train.py"


def test_a_csv_keeps_its_split_or_gets_one(tmp_path):
    rows = [["path", "label"], *([f"{c}/{w}.mp4", c] for c in "ab" for w in "pqrst")]
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    run(tmp_path / "own.csv", "--videos", tmp_path, "--out", tmp_path / "own")
    assert [len(side) for side in sides(tmp_path / "own")] == [8, 2]
    (tmp_path / "given.csv").write_text("x,a,train\ny,b,test\nz,a,test\nw,b,train\n")
    run(tmp_path / "given.csv", "--videos", tmp_path, "--out", tmp_path / "given")
    assert sides(tmp_path / "given") == ({"x", "w"}, {"y", "z"})
    (tmp_path / "both.csv").write_text("x,a,train\nx,a,test\n")
    with pytest.raises(ValueError, match=r"both.csv: 'x' is a training and a test video"):
        run(tmp_path / "both.csv", "--videos", tmp_path, "--out", tmp_path / "both")
    with pytest.raises(ValueError, match=r"own.csv: is a list; say where its videos are with --videos"):
        run(tmp_path / "own.csv", "--out", tmp_path / "other")


def test_a_class_of_one_source_is_split_and_said(tmp_path, caplog):
    touch(tmp_path / "videos", *(f"walk/clip{i}.mp4" for i in range(5)), "run/p1.mp4", "run/q1.mp4")
    run(tmp_path / "videos", "--out", tmp_path / "own")
    assert [r.levelno for r in caplog.records if "class 'walk'" in r.message] == [logging.WARNING]
    assert not [r for r in caplog.records if "class 'run'" in r.message]
    assert sorted(path.split("/")[0] for path in sides(tmp_path / "own")[1]) == ["run", "walk"]


def test_capitals_alone_are_said(tmp_path, caplog):
    touch(tmp_path / "videos", *(f"{c}/{w}.mp4" for c in ("wave", "Wave") for w in ("p", "q")))
    run(tmp_path / "videos", "--out", tmp_path / "own")
    assert "differ in capitals alone, which some disks take for one: 'Wave', 'wave'" in caplog.text


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a/x.mp4", "a/x.avi", "b/y.mp4"], r"a/x.avi: and x.mp4 would become the same folder"),
        (["x.mp4", "a/y.mp4"], r"x.mp4: lies in no class"),
        (["a/x.mp4", "b/y.mp4", "b/z.mp4"], r"class 'a': its 1 video cannot be on both sides"),
        (["a/x.doc"], r"no class folder holds a video"),
    ],
)
def test_what_is_no_data_set_is_said(names, problem, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        run(touch(tmp_path / "videos", *names), "--out", tmp_path / "own")
    assert not (tmp_path / "own").exists()


@given(
    sizes=st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=8), min_size=1, max_size=5),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 99),
)
def test_every_class_is_on_both_sides_and_no_group_is(sizes, fraction, seed):
    entries = [
        Entry(f"{c}/{g}/{i}", c, f"{c}/{g}")
        for c, groups in enumerate(sizes)
        for g, size in enumerate(groups)
        for i in range(size)
    ]
    held = split_groups(entries, [str(i) for i in range(len(sizes))], fraction, seed)
    for label, groups in enumerate(sizes):
        test = [entry for entry in entries if entry.label == label and entry.group in held]
        assert 0 < len(test) < sum(groups)
        assert len(test) <= max(fraction * sum(groups) + 1, *groups)
