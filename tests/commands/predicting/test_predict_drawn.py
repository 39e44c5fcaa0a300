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


def timeline_of(rows, frames, span=4, fps=1.0):
    """A timeline of windows with these probabilities by their starts."""
    timeline = Timeline(NAMES[: len(next(iter(rows.values())))], fps, span)
    for start, row in rows.items():
        timeline.add(start, torch.tensor(row))
    timeline.frames = frames
    return timeline


def mostly(index):
    return [0.8 if i == index else 0.1 for i in range(3)]


def test_neighbouring_windows_of_one_class_are_a_segment():
    segments = timeline_of({0: mostly(0), 8: mostly(0), 16: mostly(2), 20: mostly(1)}, 28, span=8, fps=25.0).segments()
    found = [(round(25 * part.start, 6), round(25 * part.end, 6), part.top[0][0]) for part in segments]
    assert found == [(0, 16, "clap"), (16, 22, "wave"), (22, 28, "run")]
    assert all(part.top[0][1] == pytest.approx(0.8) for part in segments)


def test_a_segment_has_the_mean_probability_by_duration():
    (segment,) = timeline_of({0: [0.5, 0.05, 0.05], 9: [0.9, 0.05, 0.05]}, 16).segments()
    assert segment.top[0][1] == pytest.approx((0.5 * 6.5 + 0.9 * 9.5) / 16)


def test_a_segment_has_a_runner_up_by_its_mean_over_time_and_so_has_its_record():
    (segment,) = timeline_of({0: [0.6, 0.3, 0.1], 4: [0.5, 0.1, 0.4], 8: [0.5, 0.1, 0.4]}, 12).segments()
    assert [name for name, _ in segment.top] == [NAMES[0], NAMES[2]]
    assert segment.record() == {
        "start": 0.0,
        "end": 12.0,
        "class": NAMES[0],
        "probability": pytest.approx(1.6 / 3, abs=1e-6),
        "runner_up_class": NAMES[2],
        "runner_up_probability": pytest.approx(0.3, abs=1e-6),
    }
    (alone,) = timeline_of({0: [1.0]}, 4).segments()
    assert alone.record().keys() == {"start", "end", "class", "probability"}


@needs_matplotlib
def test_the_picture_has_a_row_for_the_runner_up_and_lines_of_classes_that_never_lead(tmp_path):
    draw_timeline(timeline_of({0: [0.6, 0.3, 0.1], 4: [0.6, 0.3, 0.1]}, 8), "film", tmp_path / "t.svg")
    text = (tmp_path / "t.svg").read_text()
    for word in ("first", "second", NAMES[0], NAMES[1]):
        assert f"<!-- {word} -->" in text
    assert f"<!-- {NAMES[2]} -->" not in text


@pytest.mark.parametrize("step", [3, 8, 20])
def test_cells_cover_the_video_without_gaps(step):
    starts = list(range(0, 90, step))
    timeline = timeline_of({start: mostly(start % 3) for start in starts}, starts[-1] + 8, span=8, fps=25.0)
    cells = timeline.cells()
    assert cells[0].start == 0
    assert cells[-1].end == pytest.approx(timeline.seconds)
    assert all(a.end == b.start and a.start < a.end for a, b in pairwise(cells))
    for start, cell in zip(starts, cells, strict=True):
        assert top_at(cells, (start + 4) / 25) == cell.top
    assert top_at(cells, -1) == cells[0].top
    assert top_at(cells, 1e6) == cells[-1].top


@needs_matplotlib
def test_the_timeline_is_drawn(videos, weights, tmp_path):
    run(videos / "run" / "long.avi", "--weights", weights["rgb"], "--timeline", tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert names_in(tmp_path) == ["t.png"]


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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_has_the_prediction_of_each_time_and_keeps_uneven_times(tmp_path, suffix):
    asked, times, path = [], [0.0, 0.04, 0.3, 0.31, 1.0], tmp_path / f"f{suffix}"
    frames = [(seconds, np.zeros((31, 45, 3), np.uint8)) for seconds in times]
    annotate.write_annotated(path, frames, 25, lambda seconds: asked.append(seconds) or [("a", 1.0)])
    assert asked == times
    found = decoded(path)[1]
    assert [seconds for seconds, _ in found] == pytest.approx(times, abs=1e-3)
    assert found[0][1].shape == (32, 46, 3)  # these forms know even sizes alone


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
