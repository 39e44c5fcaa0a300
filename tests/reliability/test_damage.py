"""Damaged files end in success or in one line that names them: nothing hangs, crashes or takes all memory."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import cv2
import numpy as np
import pytest
from damage import FRAMES, GROUPS, load, of_text_files, write_frames, write_video
from source_files import ROOT

from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.stores.frames import FrameFolders
from workflows.auditing.checks import Job, check_video

LIMIT = 30.0  # seconds for one file
START = 120.0  # until the first one begins
MEMORY = 500.0  # megabytes that one file may take
LEAST = {"frames": 150, "videos": 60, "packs": 50, "lists": 80, "tables": 20}

ODD = [
    *("a[1]*?", "b#2", "with space", "new\nline", "-dash", "a:b.jpg", "http:x.mp4", "%d", "%05d.jpg", "grün 日本"),
    *("'single' \"double\"", "back\\slash", "$HOME;ls", "~"),
]


def lines_of(command: list[str]) -> Iterator[dict]:
    """Output of a child process, line by line; fails where it says nothing for too long."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        queue: Queue[str] = Queue()
        Thread(target=lambda: [*map(queue.put, child.stdout), queue.put("")], daemon=True).start()
        errors: list[str] = []
        Thread(target=lambda: errors.extend(child.stderr), daemon=True).start()
        wait = START
        try:
            while line := queue.get(timeout=wait):
                yield json.loads(line)
                wait = LIMIT
        except Empty:
            child.kill()
            yield {"ended": "WRONG: hangs", "grown": 0.0}
            return
        child.wait(timeout=LIMIT)
        if child.returncode:
            yield {"ended": f"WRONG: exit code {child.returncode}: {''.join(errors[-5:])}", "grown": 0.0}


@pytest.mark.slow
def test_damaged_files_are_read_or_named(tmp_path):
    wrong, name, group = [], "start", "frames"
    ends: dict[str, list[str]] = {group: [] for group in GROUPS}
    for line in lines_of([sys.executable, str(ROOT / "tests" / "damage.py"), str(tmp_path)]):
        if "begins" in line:
            name, group = line["begins"], line["group"]
            continue
        if line["ended"].startswith("WRONG") or line["grown"] > MEMORY:
            wrong.append(f"{name}: {line['ended']} ({line['grown']:.0f} MB)")
        ends[group].append(line["ended"])
    assert not wrong, "\n".join(wrong)
    for group, least in LEAST.items():
        assert len(ends[group]) >= least, group
        assert any(end == "read" for end in ends[group]), group
        assert sum(end != "read" for end in ends[group]) > len(ends[group]) / 4, group


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_read_and_audited(tmp_path, name):
    write_frames(tmp_path / "class" / name)
    load(tmp_path, f"class/{name}", "auto", True, "auto")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_video_files_are_read_and_audited(tmp_path, name, monkeypatch):
    write_video(tmp_path / "plain.mp4", "mp4v", 8)
    (tmp_path / "plain.mp4").rename(tmp_path / f"{name}.mp4")
    monkeypatch.chdir(tmp_path)
    load(Path(), name, "video", False, "auto")  # relative, "http:x.mp4" looks like an address


def escaping(root: Path) -> dict[str, str]:
    """Paths that leave a root in which there is a video, by the way they take."""
    write_frames(root / "inside" / "v")
    write_frames(root.parent / "outside" / "v")
    (root / "link").symlink_to(root.parent / "outside")
    (root / "linked").symlink_to(root.parent / "outside" / "v")
    return {
        "up": "../outside/v",
        "up and down": "inside/../../outside/v",
        "absolute": str(root.parent / "outside" / "v"),
        "link": "linked",
        "through a link": "link/v",
        "null": "inside/v\0",
        "nothing": "",
    }


@pytest.mark.parametrize("way", ["up", "up and down", "absolute", "link", "through a link", "null", "nothing"])
def test_nothing_outside_the_root_is_read(tmp_path, way):
    path = escaping(tmp_path / "root")[way]
    store = FrameFolders(tmp_path / "root")
    with pytest.raises(ValueError, match="leads out of"):
        find_videos([Entry(path, 0, path)], store, needs={"rgb"})
    look = check_video(Job(store, path, frozenset({"rgb"}), deep=False), None)
    assert [problem.kind for problem in look.problems] == ["outside"]


def test_links_within_the_root_are_followed(tmp_path):
    write_frames(tmp_path / "a" / "v")
    (tmp_path / "b").symlink_to("a")
    load(tmp_path, "b/v", "sts", True, "auto")


def test_the_corpus_is_the_same_every_time():
    data = bytes(range(256)) * 4
    first, second = ([damage(data, random.Random(name)) for name, damage in of_text_files()] for _ in range(2))
    assert first == second
    assert len({bytes(one) for one in first}) == len(first)


def test_whole_files_of_the_corpus_are_sound(tmp_path):
    write_frames(tmp_path / "v")
    assert cv2.imread(str(tmp_path / "v" / f"{FRAMES:05d}.jpg")).dtype == np.uint8
    load(tmp_path, "v", "sts", True, "python")
