"""One's own videos become a data set: every class on both sides, no source on both."""

import csv
import io
import logging
import os
import shlex
import tempfile
from functools import cache, partial
from pathlib import Path

import pytest
from films import write_film
from helpers import quick
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from source_files import ROOT

import predict
import STS_train
import test_two_stream
import train
from datasets.corpora import DATASETS
from datasets.lists.class_folders import find_tree
from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.stores.detect import open_store
from engine.command.naming import distillation_files, single_stream_files
from opts import parse_opts
from utils1 import audit, extract_frames_flows, report
from utils1.init_dataset import main, parse_args
from workflows.listing.properties import VideoProperties
from workflows.listing.recommended import choose_network, next_commands, shown
from workflows.listing.sources import split_groups
from workflows.predicting.predict_options import build_parser

PROPERTIES = VideoProperties("files", Path("v.mp4"), 240, False)
ODD = ["a b", "it's", 'say "hi"', "a,b;c", "-dash", "ünï", "[x]#1", "a:b", "tab\there", "line\nbreak", "%d"]


def run(*words: str | Path) -> list[str]:
    return main(parse_args([str(word) for word in words]))


@cache
def content(image: bool) -> bytes:
    """A picture, or a film of two frames; 240 pixels high."""
    if image:
        Image.new("RGB", (320, 240)).save(data := io.BytesIO(), "JPEG")
        return data.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        return write_film(Path(folder) / "v.mp4", count=2, size=(320, 240)).read_bytes()


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content(name.endswith(".jpg")))
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
    videos = [(f"{c}/{w}", c, "") for c in "ab" for w in ("run", "walk")]
    assert [(v.path, v.folder, v.suffix) for v in find_tree(root).videos] == videos
    audited, train, test, *_ = commands = run(root, "--out", tmp_path / "own")
    scripts = "utils1/audit.py train.py test_single_stream.py utils1/report.py predict.py"
    assert [line.split()[1] for line in commands] == scripts.split()
    assert all(f"--frame_dir {root}" in line for line in (audited, train, test))


@pytest.mark.parametrize("form", ["{}.mp4", "{}/00001.jpg"])
def test_videos_of_which_none_can_be_opened_are_refused(form, tmp_path):
    names = [form.format(f"{c}/{who}") for c in "ab" for who in "pq"]
    root = touch(tmp_path / "videos", *names)
    for name in names:
        (root / name).write_text("text")
    with pytest.raises(ValueError, match=rf"{root}/a/.*, or damaged at the start; of 4 videos looked at none can be"):
        run(root, "--out", tmp_path / "own")
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("form", ["{}.mp4", "{}/00001.jpg"])
def test_videos_that_cannot_be_opened_are_counted_and_the_audit_that_names_them_reads_its_options(
    form, tmp_path, caplog
):
    root = touch(tmp_path / "videos", *(form.format(f"{c}/{who}") for c in "ab" for who in "pqrs"))
    damaged = root / form.format("b/p")
    damaged.write_text("text")
    run(root, "--out", tmp_path / "own")
    (line,) = [text for text in caplog.messages if "cannot be opened" in text]
    assert line.startswith(f"{damaged}: is not ")
    assert "; 1 of the 8 videos looked at cannot be opened; name all of them with: python utils1/audit.py " in line
    audit_options = audit.parse_args(shlex.split(line.partition("python ")[2])[1:])
    assert (audit_options.frame_dir, audit_options.annotation_path) == (str(root), str(tmp_path / "own" / "labels"))


def test_commands_are_those_of_the_folder_that_one_stands_in(tmp_path, capsys, monkeypatch, caplog):
    names = [f"{c}/{'anna berta carl dora'.split()[i // 2]}_{c}{'xy'[i % 2]}.avi" for c in "ab" for i in range(8)]
    root = touch(tmp_path / "videos", *names)
    monkeypatch.chdir(tmp_path)
    commands = run(root.name, "--out", "own")
    again = next(text for text in caplog.messages if "would make" in text).partition(": ")[2]
    for line in (*commands, again):
        assert Path(shlex.split(line)[1]).resolve().is_relative_to(ROOT)
        assert Path(shlex.split(line)[1]).is_file()
    monkeypatch.setattr("sys.argv", ["sts init"])
    assert [line.split()[:2] for line in run(root.name, "--out", "own", "--force")] == [
        ["sts", name] for name in ("train", "extract", "train", "distill", "fuse", "report", "predict")
    ]


@pytest.mark.parametrize("names", [["wave/p.mp4", "wave/q.mp4"], ["all/wave/p.mp4", "all/clap/p.mp4"]])
def test_videos_of_one_class_are_refused(names, tmp_path):
    root = touch(tmp_path / "videos", *names)
    folder = names[0].split("/")[0]
    with pytest.raises(ValueError, match=rf"{root}: .* one class, '{folder}'; make one folder .* {root / folder} if"):
        run(root, "--out", tmp_path / "own")
    (tmp_path / "one.csv").write_text("p,wave,train\nq,wave,test\n")
    with pytest.raises(ValueError, match=r"one\.csv: all videos have the label 'wave'; list videos of two labels"):
        run(tmp_path / "one.csv", "--videos", root, "--out", tmp_path / "own")
    assert not (tmp_path / "own").exists()


SCRIPTS = {
    "train.py": (train.main, partial(parse_opts, script="train.py")),
    "STS_train.py": (STS_train.main, partial(parse_opts, script="STS_train.py")),
    "test_two_stream.py": (test_two_stream.main, partial(parse_opts, script="test_two_stream.py")),
    "utils1/extract_frames_flows.py": (extract_frames_flows.main, extract_frames_flows.parse_args),
    "utils1/report.py": (report.main, report.parse_args),
    "predict.py": (predict.main, build_parser().parse_args),
}


def test_the_commands_lead_from_video_files_to_the_fused_result(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("-my videos"), *(f"{c}/{w}.mp4" for c in "ab" for w in ("walk", "run")))
    commands = main(parse_args(["--out", "it's", "--", "-my videos"]))
    assert capsys.readouterr().out.splitlines() == commands
    words = [shlex.split(line)[1:] for line in commands]
    rgb, extraction, flow, sfs, test, page, answer = (
        SCRIPTS[os.path.relpath(name, ROOT)][1](options) for name, *options in words
    )
    assert (extraction.source, extraction.start, extraction.end) == (Path("./-my videos"), None, None)
    assert (rgb.frame_dir, rgb.layout, rgb.modality, rgb.only_RGB) == ("./-my videos", "video", "RGB", True)
    assert flow.frame_dir == sfs.frame_dir == str(extraction.target)
    assert (flow.modality, sfs.modality) == ("Flow", "RGB_Flow")
    assert [opt.run_name for opt in (rgb, flow, sfs)] == ["rgb", "flow", "flow_sfs"]
    best = [str(single_stream_files(rgb).best), str(distillation_files(sfs).best)]
    assert sfs.resume_path1 == str(single_stream_files(flow).best)
    assert [test.resume_path1, test.resume_path2] == answer.weights == best
    assert test.frame_dir == "./-my videos"
    assert page.scores == [Path(test.result_path)]
    assert Path(answer.video).suffix == ".mp4"
    assert (rgb.model_depth, rgb.sample_size, rgb.batch_size) == (10, 96, 2)


@pytest.mark.parametrize(
    ("videos", "side", "expected"),
    [
        (3, 160, ("depth: 10", "size: 64", "batch_size: 2")),
        (999, 240, ("depth: 10", "size: 96", "batch_size: 16")),
        (1000, 1080, ("depth: 18", "size: 112", "batch_size: 16")),
        (20, 48, ("depth: 10", "size: 32", "batch_size: 4")),
    ],
)
def test_a_small_network_suits_the_number_and_the_size_of_the_videos(videos, side, expected):
    text, reason = choose_network(videos, PROPERTIES._replace(side=side))
    assert all(f"{line}\n" in text for line in expected)
    assert reason in text
    assert "learn so few by heart" in reason


def test_thousands_of_videos_are_for_the_published_network():
    text, reason = choose_network(3000, PROPERTIES)
    assert text == ""
    assert "ResNeXt-101" in reason
    commands = [shown(command) for command in next_commands(Path("v"), Path("o"), PROPERTIES, 3000)]
    assert not [line for line in commands if "--config" in line]
    assert "--short_side 240" in commands[1]


def test_streams_are_weighed_on_held_out_videos_where_there_are_enough():
    for videos, fits in ((499, False), (500, True), (2999, True), (3000, False)):
        commands = [shown(command) for command in next_commands(Path("v"), Path("o"), PROPERTIES, videos)]
        tests = [parse_opts(shlex.split(line)[2:], "test_two_stream.py") for line in commands if "two_stream" in line]
        assert len(tests) == (3 if fits else 1)
        if fits:
            test, held_out, fitted = tests
            assert (test.test_subset, held_out.test_subset) == ("test", "val")
            assert (fitted.scores, fitted.fit) == ([test.scores_path], [held_out.scores_path])


def test_videos_of_one_rate_that_25_does_not_divide_are_read_at_theirs(tmp_path):
    for c, rate in (("a", 30), ("b", 30)):
        (tmp_path / "videos" / c).mkdir(parents=True)
        for who in "pqr":
            write_film(tmp_path / "videos" / c / f"{who}.mp4", rate=rate, count=30)
    commands = run(tmp_path / "videos", "--out", tmp_path / "own")
    scripts = ["train.py", "utils1/extract_frames_flows.py", "test_two_stream.py"]
    assert [line.split()[1] for line in commands if "fps source" in line] == scripts
    write_film(tmp_path / "videos" / "a" / "p.mp4", rate=50, count=30)
    again = run(tmp_path / "videos", "--out", tmp_path / "own", "--force")
    assert not [line for line in again if "fps source" in line]


NAMED = {  # names by class, and how many sources they are of
    "HMDB51": (lambda c, i: f"{c}/film{i // 2}_{c}_f_cm_np1_fr_med_{i % 2}", 6),
    "NTU": (lambda c, i: f"{c}/S001C00{1 + i % 2}P00{i // 2}R001A00{1 + 'ab'.index(c)}", 6),
    "UCF101": (lambda c, i: f"{c}/v_{c}_g{i // 2:02d}_c{i % 2:02d}", 12),
    "UT-Interaction": (lambda c, i: f"{c}/set{1 + i // 6}_seq{i // 2:02d}_{i % 2}_{c}", 6),
    "KTH": (lambda c, i: f"{c}/person{i // 2:02d}_{c}_d{i % 2}", 6),
    "people": (lambda c, i: f"{c}/{c}_Subject{i // 2}_take{i % 2}", 6),
}


@pytest.mark.parametrize("form", NAMED)
def test_names_of_a_known_form_say_their_sources(form, tmp_path, caplog):
    name, sources = NAMED[form]
    videos = [name(c, i) for c in "ab" for i in range(12)]
    with caplog.at_level("INFO"):
        run(touch(tmp_path / "videos", *(f"{video}.avi" for video in videos)), "--out", tmp_path / "own")
    assert f"24 videos of {sources} sources" in caplog.text
    assert form in caplog.text or form == "people"
    rows = list(csv.DictReader((tmp_path / "own" / "labels" / "videos.csv").read_text().splitlines()))
    sides = [{row["group"] for row in rows if row["split"] == side} for side in ("train", "test")]
    assert not sides[0] & sides[1]
    line = next(message for message in caplog.messages if "--group_by" in message)
    expression = shlex.split(line[line.index("(--group_by") + 1 : -1])[1]
    before = (tmp_path / "own" / "labels" / "videos.csv").read_bytes()
    run(tmp_path / "videos", "--out", tmp_path / "own", "--group_by", expression)  # nothing differs
    assert (tmp_path / "own" / "labels" / "videos.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        (lambda c, i: f"{c}/{'anna berta carl dora emil fred'.split()[i // 2]}_{c}{'xy'[i % 2]}", 6),
        (lambda c, i: f"{c}/day{i // 2}/{'pq'[i % 2]}{i}z", 6),
        (lambda c, i: f"{c}/{'pq'[i % 2]}{i}z_scene{i // 2}_x", 6),
    ],
)
def test_videos_that_all_count_alone_are_warned_of_with_the_pattern_that_groups_them(name, sources, tmp_path, caplog):
    root = touch(tmp_path / "videos", *(f"{name(c, i)}.avi" for c in "ab" for i in range(12)))
    run(root, "--out", tmp_path / "own")
    assert "every video counts as a source of its own" in caplog.text
    line = next(text for text in caplog.messages if f"would make {sources} sources, {sources} of each class" in text)
    command = shlex.split(line.partition(": ")[2])
    caplog.clear()
    with caplog.at_level("INFO"):
        main(parse_args(command[2:]))
    assert f"24 videos of {sources} sources, by --group_by" in caplog.messages


def test_sources_of_a_known_form_on_both_sides_are_counted_whatever_grouped_the_videos(tmp_path, caplog):
    names = [f"{c}/film{i // 4}_{c}_f_cm_np1_fr_med_{i % 4}" for c in ("golf", "run") for i in range(16)]
    root = touch(tmp_path / "videos", *(f"{name}.avi" for name in names))
    run(root, "--out", tmp_path / "own", "--group_by", r"\d_([a-z]+_f_cm_np1_fr_med_\d)")
    train, test = sides(tmp_path / "own")
    films = [{path.split("/")[1].split("_")[0] for path in side} for side in (train, test)]
    (line,) = [text for text in caplog.messages if "trained on as well" in text]
    expected = f"{len(films[0] & films[1])} of the {len(films[1])} sources tested on are trained on as well, with "
    assert line.startswith(f"{expected}{len(test)} of {len(test)} test videos: ")
    caplog.clear()
    run(root, "--out", tmp_path / "own", "--force")
    assert "trained on as well" not in caplog.text


def test_a_split_that_is_given_is_checked_for_sources_on_both_sides(tmp_path, caplog):
    sides = ((1, "train"), (2, "test"))
    rows = [f"{c}/{who}_{i},{c},{side}\n" for c in "ab" for who in "pq" for i, side in sides]
    (tmp_path / "own.csv").write_text("".join(rows))
    run(tmp_path / "own.csv", "--videos", tmp_path, "--out", tmp_path / "own")
    assert "4 sources on both sides of the split, as far as names tell ('a/p')" in caplog.text


def test_links_out_of_the_folder_are_named_and_then_followed_by_training(tmp_path, caplog):
    for c in "ab":
        (tmp_path / "disk" / c).mkdir(parents=True)
        for who in "pqrs":
            write_film(tmp_path / "disk" / c / f"{who}.mp4", count=12)
    root = tmp_path / "videos"
    (root / "b").mkdir(parents=True)
    (root / "a").symlink_to(tmp_path / "disk" / "a")
    for who in "pqrs":
        (root / "b" / f"{who}.mp4").symlink_to(tmp_path / "disk" / "b" / f"{who}.mp4")
    entries = [Entry(f"{c}/{who}", 0, "") for c in "ab" for who in "pqrs"]
    store = open_store("video", root, entries)
    for entry in (entries[0], entries[-1]):
        with pytest.raises(ValueError, match=rf"a symbolic link leads out of .*, to .*line .* in {root}/links\.txt"):
            store.locate(entry.path)
    with caplog.at_level("INFO"):
        run(root, "--out", tmp_path / "own")
    assert f"{root}/links.txt: 5 links out of the folder, which training follows" in caplog.text
    assert (root / "links.txt").read_text().split() == ["a", "b/p.mp4", "b/q.mp4", "b/r.mp4", "b/s.mp4"]
    assert {video.num_frames for video in find_videos(entries, store, needs={"rgb"})} == {12}
    before = (root / "links.txt").stat().st_mtime_ns
    run(root, "--out", tmp_path / "own")
    assert not [line for line in caplog.messages if "left out" in line]
    assert store.locate("a/p").name == "p.mp4"
    assert (root / "links.txt").stat().st_mtime_ns >= before
    (root / "links.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"b/p\.mp4: a symbolic link leads out"):
        store.locate("b/p")
    for path in ("../disk/a/p", "a/../../disk/a/p", str(tmp_path / "disk/a/p")):
        with pytest.raises(ValueError, match="leads out of"):
            store.locate(path)


QUICK = "--n_epochs 1 --device cpu --n_workers 0 --width 0.0625 --review_mid 4 --clips_per_batch 4".split()


@pytest.mark.slow
def test_every_printed_command_runs_in_the_printed_order(tmp_path, capsys):
    root = tmp_path / "videos"
    for c in ("golf", "swim"):
        (root / c).mkdir(parents=True)
        for i in range(6):
            name = f"film{i // 2}_{c}_f_cm_np1_fr_med_{i % 2}.avi"
            write_film(root / c / name, codec="mpeg4", count=18)
    for command in run(root, "--out", tmp_path / "own"):
        _, script, *words = shlex.split(command)
        assert (ROOT / script).is_file()
        main_of, parse = SCRIPTS[script]
        capsys.readouterr()
        main_of(parse([*words, *(quick(script, QUICK) if "train" in script else [])]))
    assert (tmp_path / "own" / "report" / "index.html").is_file()
    said = capsys.readouterr().out
    assert "golf" in said or "swim" in said


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
