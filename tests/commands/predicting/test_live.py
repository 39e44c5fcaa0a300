"""Cameras and pipes: the newest clip, bounded delay, frames that are dropped and counted."""

import json
import os
import signal
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from answering import NAMES, run
from source_files import ROOT

from datasets.synthetic import render
from workflows.predicting import compose, live
from workflows.predicting.live import FrameReader, watch
from workflows.predicting.live_sources import at_rate, live_frames


class Source:
    """Frames that are let through in portions; each is filled with its number."""

    def __init__(self, total):
        self.total, self.passed, self.allowed = total, 0, threading.Semaphore(0)

    def let(self, reader, count):
        for _ in range(count):
            self.allowed.release()
        with reader.changed:
            reader.changed.wait_for(lambda: reader.number >= self.passed + count, 10)
        self.passed += count

    def __iter__(self):
        for number in range(1, self.total + 1):
            self.allowed.acquire()
            yield np.full((2, 2, 3), number, np.uint8)


def numbers(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


def test_a_slow_network_sees_the_newest_clip_and_what_it_missed_is_counted():
    source, seen = Source(200), []

    def slow(frames):
        seen.append(numbers(frames))
        source.let(reader, 20)  # while this clip is scored
        return torch.tensor(float(len(seen)))

    with FrameReader(iter(source), 8) as reader:
        source.let(reader, 8)
        found = list(islice(watch(reader, slow, 4), 4))
        source.let(reader, 200 - source.passed)
    assert seen == [list(range(end - 7, end + 1)) for end in (8, 28, 48, 68)]  # the newest there is: no queue
    assert [answer.dropped for answer in found] == [0, 12, 24, 36]
    assert [answer.frame[0, 0, 0] for answer in found] == [8, 28, 48, 68]


def test_the_delay_is_that_of_one_clip_however_slow_the_network():
    source, now = Source(100), [0.0]

    def slow(frames):
        now[0] += 0.5
        source.let(reader, 10)
        now[0] += 0.5
        return torch.zeros(3)

    with FrameReader(iter(source), 4, clock=lambda: now[0]) as reader:
        source.let(reader, 4)
        found = list(islice(watch(reader, slow, 4), 6))
        source.let(reader, 100 - source.passed)
    assert [answer.delay for answer in found] == [1.0, *[1.5] * 5]  # it does not grow
    assert [answer.dropped for answer in found] == [0, 6, 12, 18, 24, 30]
    assert found[-1].rate == pytest.approx((54 - 30) / 6)


def test_a_fast_network_waits_for_new_frames_and_drops_none():
    source, seen = Source(20), []

    def fast(frames):
        seen.append(numbers(frames))
        if source.passed < 20:
            threading.Thread(target=source.let, args=(reader, 4)).start()
        return torch.zeros(3)

    with FrameReader(iter(source), 8) as reader:
        source.let(reader, 8)
        found = list(watch(reader, fast, 4))
    assert seen == [list(range(end - 7, end + 1)) for end in (8, 12, 16, 20)]
    assert found[-1].dropped == 0


def test_a_source_shorter_than_a_clip_is_answered_at_its_end():
    with FrameReader(iter([np.zeros((2, 2, 3), np.uint8)] * 3), 8) as reader:
        found = list(watch(reader, lambda frames: torch.tensor(len(frames)), 4))
    assert [answer.probabilities.item() for answer in found] == [3]


def test_the_time_is_over_after_so_many_seconds():
    source, now = Source(100), [0.0]

    def score(frames):
        now[0] += 1
        source.let(reader, 4)
        return torch.zeros(3)

    with FrameReader(iter(source), 4, clock=lambda: now[0]) as reader:
        source.let(reader, 4)
        assert len(list(watch(reader, score, 4, seconds=2.5))) == 3
        source.let(reader, 100 - source.passed)


def test_an_error_of_the_source_arrives():
    def broken():
        yield np.zeros((2, 2, 3), np.uint8)
        raise ValueError("unplugged")

    with pytest.raises(ValueError, match="unplugged"), FrameReader(broken(), 4) as reader:
        list(watch(reader, lambda frames: torch.zeros(3), 4))


def test_frames_come_at_a_constant_rate():
    def rate(times, fps):
        frames = [(seconds, np.full((1, 1, 3), i, np.uint8)) for i, seconds in enumerate(times)]
        return numbers(at_rate(frames, fps))

    assert rate([5 + i / 50 for i in range(8)], 25) == [0, 1, 3, 5, 7]
    assert rate([i / 10 for i in range(4)], 20) == [0, 0, 1, 1, 2, 2, 3]
    assert rate([i / 10 for i in range(4)], None) == [0, 1, 2, 3]
    assert rate([0.0, 0.1, 60.0, 60.1], 10) == [0, 1, 2, 3]  # a pause is not filled
    assert rate([9.0, 9.1, 0.0, 0.1], 10) == [0, 1, 2, 3]  # nor is a jump back


class Camera:
    """Camera with the interface of OpenCV."""

    def __init__(self, frames):
        self.frames = iter(frames)

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def read(self):
        frame = next(self.frames, None)
        return frame is not None, frame

    def release(self):
        pass


def test_a_camera_gives_rgb_until_it_stops(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Camera([np.full((2, 2, 3), (1, 2, 3), np.uint8)]))
    frames = live_frames(Path("0"))
    assert next(frames)[1][0, 0].tolist() == [3, 2, 1]
    with pytest.raises(ValueError, match="camera 0 gives no more frames"):
        next(frames)


def test_a_camera_that_does_not_open_is_named(weights, capfd):
    with pytest.raises(ValueError, match=r"camera 97 does not open: is it plugged in"):
        run("97", "--weights", weights["rgb"])
    assert capfd.readouterr().err == ""


def test_windows_are_refused_where_opencv_has_none(weights, monkeypatch):
    def missing(name):
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "namedWindow", missing)
    with pytest.raises(ValueError, match=r"--show: this OpenCV has no windows.*opencv-contrib-python, or leave"):
        run("0", "--weights", weights["rgb"], "--show")


def test_a_camera_is_shown_with_what_is_said(weights, monkeypatch, capsys):
    shown = []
    frames = [render("bar_sway", 0, 0, frames=20)[0][i % 20] for i in range(50)]
    monkeypatch.setattr(cv2, "namedWindow", lambda name: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, frame: shown.append(frame.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: None)
    monkeypatch.setattr(live.FrameReader, "take", once(live.FrameReader.take))
    monkeypatch.setattr(compose, "live_frames", lambda path: ((i / 25, frame) for i, frame in enumerate(frames)))
    run("0", "--weights", weights["rgb"], weights["flow"], "--show")
    assert shown == [(40, 40, 3)]
    assert "ms late" in capsys.readouterr().out


def once(method):
    calls = []

    def taken(*args):
        calls.append(None)
        return method(*args) if len(calls) == 1 else None

    return taken


def write_stream(path, frames=60):
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * i, np.uint8), format="rgb24")))
        out.mux(stream.encode())
    return path


def test_a_pipe_is_watched_to_its_end(weights, tmp_path, capsys, caplog):
    data, pipe = write_stream(tmp_path / "a.ts").read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    caplog.set_level("INFO")
    assert run(pipe, "--weights", weights["rgb"], "--json", "-") == []
    writer.join()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    assert all(line["top"][0]["class"] in NAMES and line["delay"] >= 0 for line in lines)
    assert f"{lines[-1]['dropped']} frames dropped" in caplog.text


def test_frames_of_a_pipe_are_those_of_the_file(tmp_path):
    path = write_stream(tmp_path / "a.ts", frames=10)
    found = list(live_frames(path))
    assert [round(25 * (seconds - found[0][0])) for seconds, _ in found] == list(range(10))
    assert all(abs(frame.astype(int) - 4 * i).max() < 6 for i, (_, frame) in enumerate(found))
    (tmp_path / "no.ts").write_text("no video")
    with pytest.raises(ValueError, match=r"no.ts: is no video that can be streamed"):
        list(live_frames(tmp_path / "no.ts"))


@pytest.fixture
def interruptible():
    """Children can be interrupted, also where a shell runs the tests in the background and has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_watching_with_130(weights, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = write_stream(tmp_path / "a.ts").read_bytes()
    command = [sys.executable, str(ROOT / "predict.py"), str(pipe), "--weights", weights["rgb"], "--device", "cpu"]
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **said) as process, pipe.open("wb") as writer:
        writer.write(data)
        writer.flush()
        assert "ms late" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "frames dropped" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("frames", "stream", "words", "message"),
    [
        (0, "rgb", (), "no clip came$"),
        (1, "flow", (), "a single frame has no flow"),
        (1, "rgb", ("--seconds", 1e-9), "no clip came in 1e-09 s$"),
    ],
)
def test_a_source_that_gives_nothing_is_named(weights, monkeypatch, frames, stream, words, message):
    monkeypatch.setattr(compose, "live_frames", lambda path: iter([(0.0, np.zeros((48, 48, 3), np.uint8))] * frames))
    with pytest.raises(ValueError, match=f"^0: {message}"):
        run("0", "--weights", weights[stream], *words)
