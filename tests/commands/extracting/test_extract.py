"""The extraction scripts: the tree they make, what they skip, and what a crash leaves behind."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from extraction import FRAMES, MOTION, expected_names, flows, frames, make_video, names, tree
from films import write_film
from helpers import fill_disk
from source_files import ROOT

from datasets.decoding.video.reading import read_video
from datasets.stores.frames import FrameFolders
from datasets.synthetic import write_avi
from flow import decode
from sts_common import processes as parallel
from utils1 import extract_frames, extract_frames_flows


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "frames"


def test_frames_and_flow_are_laid_out_as_published(source, target):
    flows(source, target)
    videos = ("run/a", "run/b", "walk/c")
    images = {f"{video}/{name}" for video in videos for name in expected_names(FRAMES, flow=True)}
    assert set(tree(target)) == images | {"flow.json", "frames.json"}
    assert (target / "run" / "a" / "done").read_text() == "rgb 6\nflow 5\n"


def test_flow_images_are_grey_and_hold_the_motion(source, target):
    flows(source, target, "--flow=tvl1", "--quant=round", "--bound=15")
    for axis, motion in zip("xy", MOTION, strict=True):
        for i in range(1, FRAMES):
            image = cv2.imread(str(target / "walk" / "c" / f"TVL1jpg_{axis}_{i:05d}.jpg"), cv2.IMREAD_UNCHANGED)
            assert image.shape == (40, 48)
            assert abs(np.median(decode(image, 15.0)) - motion) < 0.15


def test_frames_are_those_of_the_video(source, target):
    frames(source, target)
    for i, frame in enumerate(read_video(source / "run" / "a.avi", short_side=None), start=1):
        image = cv2.imread(str(target / "run" / "a" / f"{i:05d}.jpg"))[..., ::-1]
        assert np.abs(image.astype(int) - frame).mean() < 2


def test_rate_and_size_are_25_and_256_unless_asked_otherwise(source, target):
    extract_frames.main(extract_frames.parse_args([str(source), str(target), "0", "1", "--workers=1"]))
    assert cv2.imread(str(target / "run" / "a" / "00006.jpg")).shape == (256, 307, 3)
    frames(source, target / "slow", "--fps=12.5", classes=(1, 2))
    assert names(target / "slow" / "walk" / "c") == expected_names(3, flow=False)


@pytest.mark.parametrize("backend", ["native", "opencv"])
def test_the_records_say_how_it_was_made(source, target, backend):
    av = pytest.importorskip("av")
    flows(source, target, "--flow=tvl1", f"--backend={backend}", "--preset=fast", "--fps=source", "--quality=90")
    assert json.loads((target / "frames.json").read_text()) == {
        "fps": "source",
        "short_side": "source",
        "quality": 90,
        "decoder": f"pyav {av.__version__}",
    }
    record = json.loads((target / "flow.json").read_text())
    assert record.pop("parameters")["warps"] == 3
    assert record == {
        "algorithm": "tvl1",
        "library": f"opencv {cv2.__version__}" if backend == "opencv" else "sts_net 0.1",
        "bound": 20.0,
        "quantisation": "truncate",
        "fps": "source",
        "short_side": "source",
        "quality": 95,
    }


def test_start_and_end_are_a_slice_of_the_sorted_classes(source, target):
    frames(source, target, classes=(1, 2))
    assert {path.name for path in target.iterdir()} == {"walk", "frames.json"}


def test_a_folder_of_videos_without_classes_becomes_one_of_their_frames(tmp_path, target):
    make_video(tmp_path / "flat" / "74225.avi")
    frames(tmp_path / "flat", target)
    assert [folder.name for folder in target.iterdir() if folder.is_dir()] == ["74225"]
    assert names(target / "74225") == expected_names(FRAMES, flow=False)


def test_a_second_run_touches_nothing(source, target, caplog):
    flows(source, target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    with caplog.at_level("INFO"):
        flows(source, target)
        frames(source, target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == times
    assert caplog.messages == ["extracted 0 videos (no images), 3 were already complete, 0 failed"] * 2


def test_frames_can_be_completed_with_flow(source, target, tmp_path):
    frames(source, target)
    flows(source, target)
    flows(source, tmp_path / "at_once")
    assert tree(target) == tree(tmp_path / "at_once")


@pytest.mark.parametrize(("removed", "redone"), [([], False), (["TVL1jpg_x_00003.jpg"], True), (["00006.jpg"], True)])
def test_an_empty_done_of_another_tool_is_believed_if_the_files_agree(source, target, removed, redone):
    flows(source, target)
    folder = target / "run" / "a"
    (folder / "done").write_text("")
    for name in removed:
        (folder / name).unlink()
    flows(source, target)
    assert ((folder / "done").read_text() != "") == redone
    assert names(folder) == expected_names(FRAMES, flow=True)


def test_other_options_on_the_same_folder_are_refused(source, target):
    flows(source, target)
    before = tree(target)
    with pytest.raises(ValueError, match=r"flow\.json: bound 20\.0 there, 15\.0 now; use another output folder"):
        flows(source, target, "--bound=15")
    with pytest.raises(ValueError, match=r"frames\.json: fps 25\.0 there, source now"):
        frames(source, target, "--fps=0")
    assert tree(target) == before


def test_bad_videos_are_named_and_the_others_are_complete(source, target, capfd):
    (source / "run" / "text.avi").write_text("no video")
    whole = make_video(source / "walk" / "cut.avi", 20).read_bytes()
    (source / "walk" / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (source / "walk" / "notes.txt").touch()
    (source / "walk" / "._c.avi").touch()
    with pytest.raises(ValueError, match=r"2 of 5 videos could not be extracted \(named above\); the rest"):
        flows(source, target)
    lines = capfd.readouterr().err.splitlines()
    bad = [["bad video", str(source / name)] for name in ("run/text.avi", "walk/cut.avi")]
    assert [line.split(": ")[:2] for line in lines] == bad
    assert names(target / "run") == {"a", "b"}
    assert names(target / "walk") == {"c"}
    with pytest.raises(ValueError, match="1 of 5 videos"):
        flows(source, target, "--allow_short")
    assert names(target / "walk") == {"c", "cut"}


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda source: source.rename(source.with_name("elsewhere")), "videos: no such folder; it must hold"),
        (lambda source: [p.unlink() for p in source.rglob("*.avi")], "videos: no class folder holds a video"),
        (lambda source: make_video(source / "run" / "a.mp4.avi").rename(source / "run" / "a.mp4"), "a.avi: and a.mp4"),
    ],
)
def test_nothing_starts_with_a_source_that_is_wrong(source, target, prepare, message):
    prepare(source)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        frames(source, target)
    assert not target.exists()


def test_wrong_arguments_are_named_before_anything_is_written(source, target):
    with pytest.raises(ValueError, match="START END = 5 9 chooses none of its 2 class folders"):
        frames(source, target, classes=(5, 9))
    with pytest.raises(ValueError, match="START 1 without END: give both, or neither for all classes"):
        extract_frames.main(extract_frames.parse_args([str(source), str(target), "1"]))
    with pytest.raises(ValueError, match="--quality 101 is not between 1 and 100"):
        frames(source, target, "--quality=101")
    with pytest.raises(ValueError, match="bound must be a positive number"):
        flows(source, target, "--bound=-1")
    with pytest.raises(ValueError, match="lies inside the video folder"):
        frames(source, source / "frames")
    assert not target.exists()


NAMES = ["a b", "quote'\"", "[x](y)#&!+", "-dash", "\u00e9\u4e2d", "100%d", "%05d", "a.b.c", "new\nline", "x:y"]


def test_any_name_works(target, tmp_path):
    source = tmp_path / "videos"
    for i, name in enumerate(NAMES):
        folder = source / (name if i % 2 else "class")
        folder.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "plain.avi", 2).rename(folder / f"{name}.AVI")
    flows(source, target)
    for i, name in enumerate(NAMES):
        assert names(target / (name if i % 2 else "class") / name) == expected_names(2, flow=True)


def test_a_full_disk_leaves_only_complete_videos(source, target, monkeypatch):
    fill_disk(monkeypatch, 20)  # the first video has 16 images and `done`
    with pytest.raises(OSError, match=r"No space left on device: '.*/run/\.part-b/00004\.jpg'"):
        flows(source, target)
    monkeypatch.undo()
    assert names(target / "run") == {"a"}
    assert names(target / "run" / "a") == expected_names(FRAMES, flow=True)
    flows(source, target)
    assert len(list(target.rglob("done"))) == 3


@pytest.mark.parametrize("writes", range(0, 16, 3))
def test_a_full_disk_is_one_error_with_threads_too(source, target, monkeypatch, writes):
    fill_disk(monkeypatch, writes)
    with pytest.raises(OSError, match=r"No space left on device: '.*/run/\.part-b/.*\.jpg'"):
        flows(source, target, *THREADS)
    assert [path.name for path in target.iterdir() if path.is_dir()] == ["run"]
    assert names(target / "run") == set()


# Runs in a fork of a server that has imported everything, which saves seconds per kill. The process kills itself
# before or after its n-th call that changes the disk.
KILLED_RUN = """
import itertools, os, signal
from pathlib import Path
from utils1 import extract_frames_flows; from workflows.extracting import image_folder as images, video_folder
calls = itertools.count(1)
def hurt(owner, name):
    original = getattr(owner, name)
    def call(*arguments, **options):
        now = next(calls) == {when}
        if now and not {after}:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, call)
hurt(images, "write")
video_folder.write = images.write
for name in ("mkdir", "rename", "hardlink_to"):
    hurt(Path, name)
extract_frames_flows.main(extract_frames_flows.parse_args({arguments}))
"""
# Calls: DST, flow.json, then per video folder, 16 images, done, old folder away, new folder in place.
# After a call is before the next one, but where an old folder is removed behind the new one, and at the end.
BEFORE, AFTER = (1, 2, 3, 4, 12, 19, 20, 21, 22, 23, 30, 41, 42, 62), (22, 42, 62)
KILLS = [*((when, False) for when in BEFORE), *((when, True) for when in AFTER)]
THREADS = ["--workers=3", "--shard=1/3"]  # one video, whose images three threads write


@pytest.mark.slow
def test_killed_anywhere_and_started_again_it_makes_the_same_tree(source, target, tmp_path):
    flows(source, tmp_path / "whole")
    whole = tree(tmp_path / "whole")
    frames(source, tmp_path / "before")  # so that folders are replaced, too
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["utils1.extract_frames_flows"])
    arguments = [str(source), str(target), "0", "9", "0", "--workers=1", "--short_side=0", "--flow=dis"]
    for when, after, options in [*((*kill, []) for kill in KILLS), *((*kill, THREADS) for kill in KILLS[2:6])]:
        shutil.copytree(tmp_path / "before", target)
        run = KILLED_RUN.format(when=when, after=after, arguments=[*arguments, *options])
        process = server.Process(target=exec, args=(run, {}))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, (when, after, options)
        for done in target.rglob("[!.]*/done"):
            assert names(done.parent) == expected_names(FRAMES, flow="flow" in done.read_text())
        flows(source, target)
        assert {name: digest for name, digest in tree(target).items() if ".flow.json." not in name} == whole
        shutil.rmtree(target)


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(source, target):
    for name in ("a.avi", "b.avi"):
        write_avi(source / "run" / name, np.zeros((1500, 40, 48, 3), np.uint8))  # longer than a kill takes
    words = (ROOT / "utils1" / "extract_frames_flows.py", source, target, "--workers=2", "--backend=opencv")
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 300
        while not list(target.rglob("00002.jpg")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    while process_group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process_group_lives(process.pid)
    assert process.returncode == -signal.SIGKILL
    assert not [name for name in "ab" if (target / "run" / name / "done").exists()]
    assert list(target.rglob(".part-*"))


def process_group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def abort(counters) -> None:
    os.abort()


def test_a_dead_worker_is_one_error(source, target, monkeypatch):
    monkeypatch.setattr(parallel, "start_worker", abort)
    with pytest.raises(ValueError, match="a worker process died"):
        frames(source, target, "--workers=2")


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_the_server_of_workers_finds_the_packages_from_any_folder(before, monkeypatch):
    seen = []
    monkeypatch.setattr(parallel.forkserver, "ensure_running", lambda: seen.append(os.environ["PYTHONPATH"]))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONPATH", before)
    parallel.worker_context("utils1.extract_frames")
    assert seen == [os.pathsep.join([str(ROOT), *filter(None, [before])])]
    assert os.environ.get("PYTHONPATH") == before


@pytest.mark.parametrize(
    ("words", "classes", "gpus"),
    [
        ("s d", (None, None), None),
        ("s d 0 51", (0, 51), None),
        ("s d 0 51 1", (0, 51), (1,)),
        ("s d --gpus 0,1", (None, None), (0, 1)),
        ("s d --fps 5 0 51", (0, 51), None),
        ("--fps 5 s d 0 51 --debug cpu", (0, 51), ()),
        ("--fps 5 -- s d 0 51", (0, 51), None),
    ],
)
def test_the_numbers_of_classes_may_be_left_out_or_stand_behind_options(words, classes, gpus):
    opt = extract_frames_flows.parse_args(words.split())
    assert extract_frames.chosen_classes(opt.start, opt.end) == slice(*classes)
    assert (opt.gpus if opt.gpu is None else opt.gpu) == gpus


def test_a_rate_that_25_does_not_divide_is_said_once_and_source_takes_each_frame_once(tmp_path, target, caplog, capfd):
    source = tmp_path / "films"
    for name, rate in (("run/a", 30), ("run/b", 30), ("walk/c", 25), ("walk/d", 50)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        write_film(source / f"{name}.mp4", rate=rate, count=30)
    slots = [(6 * i + 2) // 5 for i in range(30)]  # 30 slots a second made from 25 pictures, as in HMDB51
    write_film(source / "walk" / "e.avi", "mpeg4", 30, times=slots, count=30)
    frames(source, target)
    said = [text for text in caplog.messages if "--fps source" in text]
    assert said == [
        "2 of 5 videos (of 30 frames a second, most of them): at --fps 25 the steps from frame to frame differ, and "
        "flow jumps with them; --fps source takes each frame once"
    ]
    assert len(names(target / "walk" / "e")) == len(names(target / "walk" / "c")) == 31
    assert len(names(target / "run" / "a")) == 26
    caplog.clear()
    frames(source, target.with_name("other"), "--estimate", "--fps=20")
    assert "5 of 5 videos" in caplog.text
    caplog.clear()
    frames(source, target.with_name("source"), "--fps=source")
    assert "--fps source" not in caplog.text
    assert {(f.parent.name, f.read_text()) for f in target.with_name("source").rglob("fps")} == {
        *(("a", "30\n"), ("b", "30\n"), ("c", "25\n"), ("d", "50\n"), ("e", "25\n"))
    }
    assert all(len(names(done.parent)) == 32 for done in target.with_name("source").rglob("done"))
    assert FrameFolders(target.with_name("source")).rate(target.with_name("source") / "run" / "a") == 30
    with pytest.raises(ValueError, match=r"frames\.json: fps source there, 25\.0 now"):
        frames(source, target.with_name("source"))


@pytest.mark.parametrize("script", [extract_frames, extract_frames_flows])
def test_a_rate_is_a_number_or_source(script, capsys):
    assert [script.parse_args(["s", "d", "--fps", word]).fps for word in ("source", "0", "12.5")] == [0, 0, 12.5]
    with pytest.raises(SystemExit):
        script.parse_args(["s", "d", "--fps", "fast"])
    assert "'fast' is neither a number of frames per second nor source" in capsys.readouterr().err


def test_an_estimate_refuses_what_the_extraction_refuses_in_the_same_words(source, target, caplog, capfd):
    (source / "run" / "text.avi").write_text("no video")
    film = write_film(source / "walk" / "cut.mp4", count=60, muxing={"movflags": "faststart"})
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    with caplog.at_level("INFO"):
        frames(source, target, "--estimate")
    estimated = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bad video: ")]
    assert caplog.messages[-1].endswith("; 2 of 5 videos would be refused (named above)")
    with pytest.raises(ValueError, match="2 of 5 videos could not be extracted"):
        frames(source, target)
    extracted = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bad video: ")]
    assert sorted(extracted) == sorted(estimated)
    (cut,) = (line for line in estimated if "cut.mp4" in line)
    assert cut.endswith(", or take what is there with --allow_short")
    assert extract_frames.parse_args(["s", "d", "--estimate", "--allow_short"]).allow_short
