"""Lists converted from form to form say the same."""

import csv
import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import write_frames, write_hmdb51

from datasets.corpora import DATASETS
from datasets.lists.entries import Entry, Segment
from engine.command import cli
from utils1 import make_lists
from utils1.make_lists import main, parse_args
from workflows.listing.list_writers import WRITERS, Lists, as_lines
from workflows.listing.make_lists import SUBSETS, compare, convert, write_files

ENTRIES = {
    "train": [
        Entry(f"{name}/{name}_g0{g}_c01", i, f"{name}/{name}_g0{g}") for i, name in enumerate("ab") for g in (1, 2)
    ],
    "test": [Entry("a/a_g03_c01", 0, "a/a_g03"), Entry("b/b_g03_c01", 1, "b/b_g03")],
}


def lists_of(entries: dict[str, list[Entry]] = ENTRIES, names: tuple[str, ...] = ("a", "b"), split: int = 2) -> Lists:
    return Lists(entries, list(names), split, lambda entry, stream: 30 - (stream == "flow"), ("rgb", "flow"))


def run(*words: str | Path) -> None:
    main(parse_args([str(word) for word in words]))


def write(form: str, lists: Lists, folder: Path) -> Path:
    files = convert(lists, form)
    write_files(files, folder, force=False)
    return folder


@pytest.mark.parametrize("form", WRITERS)
def test_what_is_written_reads_the_same(form, tmp_path):
    write(form, lists_of(), tmp_path)
    for subset in SUBSETS:
        entries, names = DATASETS[WRITERS[form][1]](tmp_path, 2, subset)
        assert [entry[:2] for entry in entries] == [entry[:2] for entry in ENTRIES[subset]]
        assert {entry.segment for entry in entries} == {Segment(1, 30, "frames") if form == "ibm" else None}
        assert names == ["a", "b"]


@pytest.mark.parametrize("form", WRITERS)
def test_lists_are_recognised_by_their_files(form, tmp_path):
    write(form, lists_of(), tmp_path / "first")
    run(tmp_path / "first", tmp_path / "again", "--to", "csv", "--split", "2")
    read = DATASETS["List"](tmp_path / "again", 1, "train")
    assert [entry[:2] for entry in read.entries] == [entry[:2] for entry in ENTRIES["train"]]


PARTS = {
    "train": [
        Entry("v_x", 0, "x", Segment(1.5, 4.25, "seconds")),
        Entry("v_x", 1, "x", Segment(8, 9, "seconds")),
        Entry("v_y", 1, "y", Segment(0, 1e-3, "seconds")),
        Entry("v_x", 0, "x", Segment(30, 40, "seconds")),
    ],
    "test": [Entry("b/z", 1, "b/z", Segment(3, 7, "frames")), Entry("b/z", 1, "b/z", Segment(8, 8, "frames"))],
}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_segments_survive(form, tmp_path):
    write(form, lists_of(PARTS), tmp_path)
    for subset in SUBSETS:
        read = DATASETS[WRITERS[form][1]](tmp_path, 2, subset).entries
        assert [entry[:2] + entry[3:] for entry in read] == [entry[:2] + entry[3:] for entry in PARTS[subset]]


@pytest.mark.parametrize("form", sorted(set(WRITERS) - {"csv", "json"}))
def test_forms_that_cannot_hold_segments_say_which_can(form, tmp_path):
    with pytest.raises(ValueError, match=r"v_x.*(a folder of its class|this form|cannot hold).*; use csv"):
        write(form, lists_of(PARTS), tmp_path)
    assert not list(tmp_path.iterdir())


ODD = ["a b", "it's", 'say "hi"', "a,b;c", "-dash", "ünï", "[x]#1", "a:b", "tab\there", "line\nbreak", " pad ", "x.mp3"]


LINES = {"line\nbreak", " pad "}  # what a list of lines cannot hold
CANNOT = {"settings": LINES, "ibm": LINES, "kinetics": LINES, "ucf": LINES | {"a b", 'say "hi"', "tab\there"}}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive_or_are_refused_by_name(form, name, tmp_path):
    odd = {subset: [Entry(f"{name}/{name}{i}", 0, "g") for i in (1, 2)] for subset in SUBSETS}
    lists = lists_of(odd, (name,))
    if name in CANNOT.get(form, ()):
        with pytest.raises(ValueError, match="csv"):
            write(form, lists, tmp_path)
        assert not list(tmp_path.iterdir())
        return
    write(form, lists, tmp_path)
    listing = DATASETS[WRITERS[form][1]](tmp_path, 2, "train")
    assert [e.path for e in listing.entries] == [e.path for e in odd["train"]]
    assert listing.class_names == [name]


def test_json_is_as_the_3d_resnets_read_it(tmp_path):
    write("json", lists_of(), tmp_path)
    data = json.loads((tmp_path / "videos_02.json").read_text())
    assert data["labels"] == ["a", "b"]
    assert data["database"]["b_g03_c01"] == {"subset": "validation", "annotations": {"label": "b"}}


def test_settings_hold_the_counts_of_their_stream(tmp_path):
    root = write_hmdb51(tmp_path, classes=("catch",), train=2, test=1)
    options = ("--frame_dir", root / "frames", "--layout", "sts", "--split", "3")
    run(root / "labels", tmp_path / "out", "--to", "settings", "--streams", "rgb", "flow", *options)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["classes.csv", *(f"{s}_{m}_split3.txt" for s in ("train", "val") for m in ("flow", "rgb"))]
    assert (tmp_path / "out" / "train_rgb_split3.txt").read_text() == as_lines(
        f"catch/film{i}_catch_f_cm_np1_fr_med_0 {20 - i} 0" for i in (0, 1)
    )
    assert " 17 0\n" in (tmp_path / "out" / "val_flow_split3.txt").read_text()


def test_every_split_is_written_and_labels_are_those_of_the_classes(tmp_path):
    root = write_hmdb51(tmp_path)
    (root / "labels" / "classInd.txt").write_text("")  # what hmdb51_concat leaves there is no class
    run(root / "labels", tmp_path / "out", "--from", "HMDB51", "--to", "ucf")
    lists = {path.name for path in (tmp_path / "out").iterdir()}
    assert lists == {"classInd.txt", *(f"{word}list0{i}.txt" for word in ("train", "test") for i in (1, 2, 3))}
    assert (tmp_path / "out" / "classInd.txt").read_text() == "1 brush_hair\n2 cartwheel\n3 catch\n"


def test_files_are_kept_unless_forced(tmp_path):
    source = write("csv", lists_of(), tmp_path / "source")
    out = tmp_path / "out"
    run(source, out)
    (out / "videos.csv").write_text("mine")
    with pytest.raises(
        ValueError, match=r"videos\.csv: is there already, and says something else; replace it with --f"
    ):
        run(source, out)
    assert (out / "videos.csv").read_text() == "mine"
    run(source, out, "--force")
    assert (out / "videos.csv").read_bytes() == (source / "videos.csv").read_bytes()


def test_counts_need_the_frames(tmp_path):
    source = write("csv", lists_of(), tmp_path / "source")
    with pytest.raises(ValueError, match="give --frame_dir"):
        run(source, tmp_path / "out", "--to", "ibm")


def test_absolute_paths_and_labels_from_one_become_ours(tmp_path):
    (tmp_path / "train.txt").write_text("/home/me/v_A 1\r\n/home/me/v_B 2\r\n")
    run(tmp_path, tmp_path / "out", "--strip", "/home/me/", "--first_label", "1")
    with (tmp_path / "out" / "videos.csv").open() as file:
        assert [row[:2] for row in csv.reader(file)][1:] == [["v_A", "class 0"], ["v_B", "class 1"]]


def test_a_folder_of_frames_is_a_training_list(tmp_path):
    for name in ("b/2", "a/1"):
        write_frames(tmp_path / "frames" / name, seed=0, frames=3)
    run(tmp_path / "frames", tmp_path / "out", "--from", "frames", "--to", "ibm", "--frame_dir", tmp_path / "frames")
    assert (tmp_path / "out" / "train.txt").read_text() == "a/1 1 3 0\nb/2 1 3 1\n"


def test_markers_say_frames_and_rate(tmp_path):
    frames = tmp_path / "frames" / "a" / "walk"
    frames.mkdir(parents=True)
    (tmp_path / "videos" / "a").mkdir(parents=True)
    video = cv2.VideoWriter(str(tmp_path / "videos" / "a" / "walk.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    for i in range(1, 21):
        video.write(np.zeros((32, 32, 3), np.uint8))
        if i % 2:
            cv2.imwrite(str(frames / f"image_{(i + 1) // 2:05d}.jpg"), np.zeros((8, 8, 3), np.uint8))
    video.release()
    options = ("--from", "frames", "--frame_dir", tmp_path / "frames", "--layout", "resnet3d")
    run(tmp_path / "frames", "--to", "n_frames", *options)
    run(tmp_path / "frames", "--to", "fps", "--video_dir", tmp_path / "videos", *options)
    assert (frames / "n_frames").read_bytes() == b"10"
    assert (frames / "fps").read_bytes() == b"5.0\n"
    run(tmp_path / "frames", "--to", "n_frames", *options)  # again: nothing to change
    (frames / "n_frames").write_text("7")
    with pytest.raises(ValueError, match=r"n_frames: says something else than 10; replace it with --force"):
        run(tmp_path / "frames", "--to", "n_frames", *options)
    run(tmp_path / "frames", "--to", "n_frames", *options, "--force")
    assert (frames / "n_frames").read_bytes() == b"10"


def test_what_does_not_read_as_it_was_meant_is_refused(tmp_path):
    write("csv", lists_of(), tmp_path)
    swapped = {subset: entries[::-1] for subset, entries in ENTRIES.items()}
    with pytest.raises(ValueError, match=r"cannot hold 'b/b_g02_c01'; use --to csv"):
        compare("csv", lists_of(swapped), "train", DATASETS["List"], tmp_path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["missing", "out"], "error: missing: no list of a known data set; name it by --from"),
        (["missing"], "error: --to csv needs OUT (see --help)"),
        (["missing", "out", "--to", "fps"], "error: --to fps needs no OUT: it writes into --frame_dir (see --help)"),
        (["missing", "--to", "fps", "--from", "frames"], "error: missing: no such folder; it must hold one folder of"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, problem, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        cli.run(main, lambda: parse_args(words))
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith(problem)
    assert said.count("\n") == 1


def test_the_script_runs_by_its_path_from_anywhere(tmp_path, monkeypatch):
    write("csv", lists_of(), tmp_path / "source")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [make_lists.__file__, "source", "out", "--to", "ucf"])
    runpy.run_path(make_lists.__file__, run_name="__main__")
    assert (tmp_path / "out" / "classInd.txt").read_text() == "1 a\n2 b\n"
