"""Videos come out at the asked rate and size; whatever is wrong with a file is said with its name."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from datasets.decoding.video import sizes
from datasets.decoding.video.frames import Timer
from datasets.decoding.video.rates import resample
from datasets.decoding.video.reading import read_video
from datasets.decoding.video.sizes import scaled_size
from datasets.stores.video_files import VideoFiles

STEP = 8  # grey levels from frame to frame


def make_video(
    path: Path, count: int, fps: float = 25.0, size: tuple[int, int] = (48, 40), codec: str = "MJPG"
) -> Path:
    """Frame i is of grey level i * STEP, its upper left quarter is red."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
    for i in range(count):
        frame = np.full((size[1], size[0], 3), i * STEP, np.uint8)
        frame[: size[1] // 2, : size[0] // 2] = (0, 0, 255)
        writer.write(frame)
    writer.release()
    return path


def numbers(frames) -> list[int]:
    """Which frame each frame is, by the grey level of its lower right corner."""
    return [round(float(frame[-8:, -8:].mean()) / STEP) for frame in frames]


def test_frames_are_rgb_uint8_in_order(tmp_path):
    frames = list(read_video(make_video(tmp_path / "v.avi", 6), fps=None, short_side=None))
    assert numbers(frames) == [0, 1, 2, 3, 4, 5]
    assert all(frame.shape == (40, 48, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.abs(frames[3][4:12, 4:12].astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize(
    ("native", "fps", "expected"),
    [
        (25, 25.0, list(range(12))),
        (25, None, list(range(12))),
        (30, 25.0, [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]),  # as FFmpeg's fps filter, ties up
        (50, 25.0, [0, 2, 4, 6, 8, 10]),
        (12.5, 25.0, [i // 2 for i in range(24)]),
        (25, 1.0, [11]),
    ],
)
def test_a_tick_shows_the_last_frame_whose_time_rounds_to_it_or_before(tmp_path, native, fps, expected):
    video = make_video(tmp_path / "v.avi", 12, native)
    assert numbers(read_video(video, fps=fps, short_side=None)) == expected


def test_the_times_of_a_variable_rate_are_kept():
    times = [0.0, 0.033, 0.067, 0.5]
    assert list(resample(iter(zip(times, "abcd", strict=True)), 10.0, 0.1, "v")) == [("b", 1), ("c", 4), ("d", 1)]


@pytest.mark.parametrize(
    ("clock", "stamps", "seconds"),
    [
        ("pts", [0, 100, 300], [0, 0.1, 0.3]),
        ("dts", [200, 300, 400, None, None], [0, 0.1, 0.2, 0.3, 0.4]),  # AVI with B-frames
        ("pts", [0, 0, 0], [0, 0.1, 0.2]),
        ("pts", [500, 600, 0, 100], [0, 0.1, 0.2, 0.3]),  # joined recordings
        ("", [0, 100, 300], [0, 0.1, 0.2]),
    ],
)
def test_missing_times_continue_at_the_frame_rate(clock, stamps, seconds):
    timer = Timer(SimpleNamespace(clock=clock, unit=0.001, period=0.1))
    np.testing.assert_allclose([timer(SimpleNamespace(pts=stamp, dts=stamp)) for stamp in stamps], seconds)


def test_a_gap_of_minutes_is_damage_and_not_thousands_of_copies():
    with pytest.raises(ValueError, match="v: 3600 s without a frame"):
        list(resample(iter([(0.0, "a"), (3600.0, "b")]), 25.0, 0.04, "v"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 240), (341, 256)), ((240, 320), (256, 341)), ((240, 240), (256, 256)), ((1920, 1080), (455, 256))],
)
def test_the_short_side_is_256_and_the_other_in_proportion(tmp_path, size, expected):
    assert scaled_size(*size, 256) == expected
    (frame,) = read_video(make_video(tmp_path / "v.avi", 1, size=size))
    assert frame.shape == (expected[1], expected[0], 3)


def test_shrinking_averages(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64))
    writer.write(np.dstack([np.tile(np.array([[0], [255]], np.uint8), (32, 64))] * 3))
    writer.release()
    (frame,) = read_video(tmp_path / "v.avi", short_side=16)
    assert np.abs(frame.astype(int) - 127).max() < 16


def test_frames_larger_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "MAX_SIDE", 100)
    with pytest.raises(ValueError, match=r"v\.avi: frames of 128x16, more than 100x100"):
        list(read_video(make_video(tmp_path / "v.avi", 1, size=(128, 16))))
    with pytest.raises(ValueError, match=r"w\.avi: would become 120x60, more than 100x100"):
        list(read_video(make_video(tmp_path / "w.avi", 1, size=(96, 48)), short_side=60))


@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), 5000.0])
def test_an_impossible_rate_is_refused(tmp_path, fps):
    with pytest.raises(ValueError, match="fps must be"):
        list(read_video(tmp_path / "v.avi", fps=fps))
    with pytest.raises(ValueError, match="--video_fps must be"):
        VideoFiles(tmp_path, fps)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_the_file_is_closed_when_only_some_frames_are_read(tmp_path):
    video, opened = make_video(tmp_path / "v.avi", 5), Path("/proc/self/fd")
    before = len(list(opened.iterdir()))
    for _ in range(5):
        frames = read_video(video)
        next(frames)
        frames.close()
    assert len(list(opened.iterdir())) == before
