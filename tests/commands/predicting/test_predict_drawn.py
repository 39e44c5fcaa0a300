"""Timelines of videos, and videos with what is said drawn in."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
import torch
from answering import NAMES, names_in, run

from datasets.synthetic import write_avi
from workflows.predicting import annotate
from workflows.predicting.timeline import Timeline, draw_timeline, top_at

needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")


def made_timeline(starts, classes, frames, span=8, fps=25.0):
    made = Timeline(NAMES, fps, span)
    for start, index in zip(starts, classes, strict=True):
        made.add(start, torch.nn.functional.one_hot(torch.tensor(index), 3) * 0.7 + 0.1)
    made.frames = frames
    return made


def test_neighbouring_windows_of_one_class_are_a_segment():
    made = made_timeline([0, 8, 16, 20], [0, 0, 2, 1], 28)
    found = [(round(25 * part.start, 6), round(25 * part.end, 6), part.top[0][0]) for part in made.segments()]
    assert found == [(0, 16, "clap"), (16, 22, "wave"), (22, 28, "run")]
    assert all(part.top[0][1] == pytest.approx(0.8) for part in made.segments())


def test_a_segment_has_the_mean_probability_by_duration():
    made = Timeline(NAMES, 1.0, 4)
    for start, value in ((0, 0.5), (12, 0.9)):
        made.add(start, torch.tensor([value, 0.05, 0.05]))
    made.frames = 16
    (segment,) = made.segments()
    assert segment.top[0][1] == pytest.approx((0.5 * 8 + 0.9 * 8) / 16)


def test_a_segment_has_a_runner_up_by_its_mean_over_time_and_so_has_its_record():
    made = Timeline(NAMES, 1.0, 4)
    for start, row in ((0, [0.6, 0.3, 0.1]), (4, [0.5, 0.1, 0.4]), (8, [0.5, 0.1, 0.4])):
        made.add(start, torch.tensor(row))
    made.frames = 12
    (segment,) = made.segments()
    assert [name for name, _ in segment.top] == [NAMES[0], NAMES[2]]
    assert segment.record() == {
        "start": 0.0,
        "end": 12.0,
        "class": NAMES[0],
        "probability": pytest.approx(1.6 / 3, abs=1e-6),
        "runner_up_class": NAMES[2],
        "runner_up_probability": pytest.approx(0.3, abs=1e-6),
    }
    alone = Timeline(NAMES[:1], 1.0, 4)
    alone.add(0, torch.tensor([1.0]))
    alone.frames = 4
    assert alone.segments()[0].record().keys() == {"start", "end", "class", "probability"}


@needs_matplotlib
def test_the_picture_has_a_row_for_the_runner_up_and_lines_of_classes_that_never_lead(tmp_path):
    made = Timeline(NAMES, 1.0, 4)
    for start in (0, 4):
        made.add(start, torch.tensor([0.6, 0.3, 0.1]))
    made.frames = 8
    draw_timeline(made, "film", tmp_path / "t.svg")
    text = (tmp_path / "t.svg").read_text()
    for word in ("first", "second", NAMES[0], NAMES[1]):
        assert f"<!-- {word} -->" in text
    assert f"<!-- {NAMES[2]} -->" not in text


@pytest.mark.parametrize("step", [3, 8, 20])
def test_cells_cover_the_video_without_gaps(step):
    starts = list(range(0, 90, step))
    made = made_timeline(starts, [start % 3 for start in starts], starts[-1] + 8)
    cells = made.cells()
    assert cells[0].start == 0
    assert cells[-1].end == pytest.approx(made.seconds)
    assert all(a.end == b.start and a.start < a.end for a, b in pairwise(cells))
    for start, cell in zip(starts, cells, strict=True):
        assert top_at(cells, (start + 4) / 25) == cell.top
    assert top_at(cells, -1) == cells[0].top
    assert top_at(cells, 1e6) == cells[-1].top


@needs_matplotlib
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_timeline_is_drawn(videos, weights, tmp_path, suffix):
    run(videos / "run" / "long.avi", "--weights", weights["rgb"], "--timeline", tmp_path / f"t.{suffix}")
    picture = (tmp_path / f"t.{suffix}").read_bytes()
    assert picture.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in picture
    assert names_in(tmp_path) == [f"t.{suffix}"]


def decoded(path):
    av = pytest.importorskip("av")
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in film.decode(stream)]
        return float(stream.average_rate), frames


def test_the_film_is_the_video_with_a_panel_in_its_corner(tmp_path):
    video = tmp_path / "v.avi"
    write_avi(video, np.full((12, 120, 160, 3), (40, 120, 200), np.uint8))
    rate, frames = annotate.original_frames(video, 25)
    annotate.write_annotated(tmp_path / "film.mp4", frames, rate, lambda seconds: [("run", 0.9), ("wave", 0.1)])
    found_rate, found = decoded(tmp_path / "film.mp4")
    assert found_rate == 25.0
    assert [seconds for seconds, _ in found] == pytest.approx([i / 25 for i in range(12)], abs=1e-4)
    assert found[0][1].shape == (120, 160, 3)
    assert abs(found[5][1][:60].astype(int) - (200, 120, 40)).max() < 12
    panel = found[5][1][-25:, :60]
    assert panel.min() < 60
    assert panel.max() > 150
    assert names_in(tmp_path) == ["film.mp4", "v.avi"]


def test_the_film_says_what_is_said_at_that_time(tmp_path):
    asked = []
    frames = [(i / 10, np.zeros((31, 45, 3), np.uint8)) for i in range(5)]
    annotate.write_annotated(tmp_path / "f.mkv", frames, 10, lambda seconds: asked.append(seconds) or [("a", 1.0)])
    assert asked == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert decoded(tmp_path / "f.mkv")[1][0][1].shape == (32, 46, 3)  # these forms know even sizes alone


def test_uneven_times_are_kept(tmp_path):
    times = [0.0, 0.04, 0.3, 0.31, 1.0]
    frames = [(seconds, np.zeros((32, 32, 3), np.uint8)) for seconds in times]
    annotate.write_annotated(tmp_path / "f.mp4", frames, 25, lambda seconds: [("a", 1.0)])
    assert [seconds for seconds, _ in decoded(tmp_path / "f.mp4")[1]] == pytest.approx(times, abs=1e-3)


def test_names_that_are_too_long_are_shortened_and_odd_ones_drawn():
    frame = np.full((64, 64, 3), 255, np.uint8)
    for name in ("x" * 500, "", "zażółć 跳舞", "a\nb"):
        drawn = annotate.label(frame, [(name, 1.0), ("b", 0.0)])
        assert drawn.shape == frame.shape
        assert (drawn != frame).any()
    assert (frame == 255).all()


def test_the_original_size_and_rate_are_kept_from_end_to_end(videos, weights, tmp_path):
    source = videos / "run" / "short.avi"
    run(source, "--weights", weights["rgb"], "--out", tmp_path / "a.mp4")
    rate, frames = decoded(tmp_path / "a.mp4")
    assert (len(frames), rate, frames[0][1].shape) == (11, 25.0, (48, 48, 3))
