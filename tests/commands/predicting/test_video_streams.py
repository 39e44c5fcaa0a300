"""The clips of a video in memory: their windows, and flow as the record in a checkpoint says."""

import tracemalloc
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from extraction import make_video
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import clip_starts, loop
from datasets.clips import crops
from datasets.decoding.images import resample_frames
from flow import build_flow, encode, solved_levels
from utils1 import extract_frames
from workflows.predicting import predictor, video_streams
from workflows.predicting.video_streams import (
    add_flow,
    batched,
    crop_samples,
    flow_of,
    frames_of,
    read_frames,
)
from workflows.predicting.windows import Windows, one_ahead

DATA = {"algorithm": "tvl1", "bound": 10.0, "quantisation": "round", "fps": None, "short_side": None}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"algorithm": "dis", "parameters": {"iterations": 5}},
        {"algorithm": "tvl1", "parameters": {"warps": 2, "epsilon": 0.0, "median_filtering": 1}},
        {"algorithm": "tvl1", "parameters": {"warps": 1, "gamma": 0.1}},
    ],
)
def test_the_flow_is_that_of_the_record_pair_by_pair(tmp_path, monkeypatch, record):
    video, made = make_video(tmp_path / "v.avi", frames=9), []
    for batch in (1, 4, 32):
        monkeypatch.setattr(video_streams, "BATCH", batch)
        made.append(list(frames_of(video, DATA | record, with_flow=True)))
        assert [sorted(images) for images in made[-1]] == [["rgb"], *[["flow", "rgb"]] * 8]
    for other in made[1:]:
        assert all((a[name] == b[name]).all() for a, b in zip(made[0], other, strict=True) for name in a)
    motion = np.median([images["flow"] for images in made[0][1:]], (0, 1, 2)) / 255 * 20 - 10
    np.testing.assert_allclose(motion, (2, -1), atol=0.3)


def test_flow_of_raft_cannot_be_made_again_from_a_checkpoint():
    with pytest.raises(ValueError, match="was made with RAFT's flow, which needs weights"):
        video_streams.flow_of({"algorithm": "raft", "parameters": {"size": "small", "weights": "0123"}})


def test_flow_is_computed_where_the_networks_are_if_a_gpu_can(monkeypatch):
    built, solved, streams = [], [], []

    def rebuild(provenance, device=None):
        built.append(device)
        return lambda previous, following: np.zeros((*previous.shape, 2), np.float32)

    def solve(solver, previous, following, device, **encoding):
        solved.append((device, encoding, tuple(streams)))
        return np.zeros((*previous.shape, 2), np.uint8)

    @contextmanager
    def within(stream):
        streams.append(stream)
        yield
        streams.pop()

    monkeypatch.setattr(video_streams, "rebuild_flow", rebuild)
    monkeypatch.setattr(video_streams, "solved_levels", solve)
    monkeypatch.setattr(video_streams, "copy_stream", lambda device: f"side of {device}")
    monkeypatch.setattr(torch.cuda, "stream", within)
    image = np.zeros((1, 4, 6), np.uint8)
    for record in (DATA, DATA | {"algorithm": "dis"}, DATA | {"parameters": {"gamma": 0.1}}):
        for device in ("cpu", "cuda:1"):
            assert flow_of(record, torch.device(device))(image, image).shape == (1, 4, 6, 2)
    assert built == [None, "cuda:1", None, None, None, None]
    assert solved == [("cuda:1", {"bound": 10.0, "quantisation": "round"}, ("side of cuda:1",))]


def test_levels_from_a_device_are_those_of_arrays():
    solver = build_flow("tvl1", preset="fast")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 30, 40), np.uint8)
    expected = encode(solver(*images), 10.0, "round")
    np.testing.assert_array_equal(solved_levels(solver, *images, "cpu", 10.0, "round"), expected)


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_predictor_computes_flow_on_the_device_of_its_networks(device, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(predictor, "frames_of", lambda *words: asked.append(words) or iter([]))
    monkeypatch.setattr(predictor, "flow_of", lambda *words: asked.append(words))
    network, place = SimpleNamespace(view="flow"), torch.device(device)
    recipe = {"sample_size": 32, "sample_duration": 4, "provenance": DATA}
    chosen = predictor.Predictor([network], ["a"], recipe, 1, "activno", None, place)
    chosen.clips_of(tmp_path)
    chosen.newest(tmp_path)
    assert asked == [(tmp_path, DATA, True, place), (DATA, place)]


def numbered(count):
    """Samples whose pixels are the number of their frame, from 1."""
    return ({"rgb": np.full((3, 1, 2, 2), number, np.uint8)} for number in range(1, count + 1))


def shown(window):
    return window.clip["rgb"][0, :, 0, 0].tolist()


@settings(max_examples=80)
@given(st.integers(1, 120), st.integers(1, 20), st.integers(1, 4), st.none() | st.integers(1, 50))
def test_windows_cut_while_reading_are_those_of_the_whole_video_and_reach_its_end(frames, length, stride, step):
    windows = Windows(numbered(frames), length, stride, step)
    found = list(windows)
    last = max(frames - (length - 1) * stride - 1, 0)
    starts = sorted({*range(0, last + 1, step), last}) if step else clip_starts(frames, length, stride=stride)
    assert [window.start for window in found] == starts
    assert [shown(window) for window in found] == [loop(start, frames, length, stride) for start in starts]
    assert windows.frames == frames


def test_nothing_comes_of_no_frames():
    assert list(Windows([], 4)) == []


def test_memory_does_not_depend_on_the_length_of_the_video():
    def peak(count):
        samples = ({"rgb": np.zeros((3, 1, 112, 112), np.uint8)} for _ in range(count))
        tracemalloc.start()
        for batch in one_ahead(batched(Windows(samples, 16), 2)):
            assert len(batch) <= 2
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(1600) < 1.5 * peak(160)


@pytest.mark.parametrize("wanted", [["rgb"], ["flow"], ["rgb", "flow"]])
def test_pixels_are_those_of_the_whole_video_read_at_once(tmp_path, wanted):
    record = DATA | {"algorithm": "dis"}
    video = make_video(tmp_path / "v.avi", frames=9)
    frames = list(read_frames(video, record))
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    whole = {"rgb": np.stack(frames), "flow": flow_of(record)(grey[:-1], grey[1:])}
    view = crops.TestCrops(32)(np.random.default_rng(0))(*frames[0].shape[:2])
    solver = flow_of(record) if "flow" in wanted else None
    found = list(Windows(crop_samples(add_flow(iter(frames), solver), 32, wanted), 4))
    count = 8 if "flow" in wanted else 9
    starts = clip_starts(count, 4)
    assert [window.start for window in found] == starts
    for window, start in zip(found, starts, strict=True):
        assert sorted(window.clip) == sorted(wanted)
        for name in wanted:
            expected = resample_frames(whole[name][start : start + 4], view)
            assert window.clip[name].dtype == torch.uint8
            assert (window.clip[name].numpy() == expected).all()


def test_frames_on_the_disk_are_read_as_the_video_was(tmp_path):
    make_video(tmp_path / "videos" / "run" / "a.avi", frames=9)
    target = tmp_path / "frames"
    words = [str(tmp_path / "videos"), str(target), "0", "9", "--workers=1", "--short_side=0", "--fps=0"]
    extract_frames.main(extract_frames.parse_args(words))
    folder = target / "run" / "a"
    stored, read = (np.stack(list(read_frames(path, DATA))) for path in (folder, tmp_path / "videos/run/a.avi"))
    assert stored.shape == read.shape
    assert abs(stored.astype(int) - read).mean() < 3  # JPEG
    with pytest.raises(ValueError, match=r"frames at source fps, but the network saw 25.0; give the video file"):
        list(read_frames(folder, DATA | {"fps": 25.0}))
    (folder / "00005.jpg").unlink()
    with pytest.raises(ValueError, match=r"00005.jpg: missing"):
        list(read_frames(folder, DATA))


def test_items_are_made_one_ahead_in_order_and_errors_arrive():
    made = []

    def items():
        for i in range(5):
            made.append(i)
            yield i
        raise ValueError("damaged")

    found = []
    with pytest.raises(ValueError, match="damaged"):
        for item in one_ahead(items()):
            assert len(made) <= item + 2
            found.append(item)
    assert found == [0, 1, 2, 3, 4]
