"""Progress of an extraction and, with --estimate, its forecast."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from extraction import FRAMES, flows, frames, make_video

from datasets.synthetic import write_avi
from sts_common import size_in_words
from workflows.extracting import progress
from workflows.extracting.extraction_recipe import Recipe
from workflows.extracting.progress import Progress, Totals
from workflows.extracting.video_folder import Job, Outcome


def outcome(source_bytes: int, pairs: int, written: int, problem: str = "") -> Outcome:
    counts = {} if problem else {"rgb": pairs + 1, "flow": pairs}
    return Outcome(Job(Path("v.avi"), source_bytes, Path("v"), Recipe()), counts, written, problem)


def test_what_is_left_is_estimated_from_bytes_not_from_videos():
    totals = Totals(videos=100, source=10_000, unit="pairs")
    totals.samples.extend([(10.0, 0), (20.0, 50)])
    totals.samples.popleft()
    assert totals.text(500_000) == "5.0 pairs/s, 500.0 kB"  # no video is finished
    totals.add(outcome(source_bytes=1_000, pairs=40, written=3_000_000))
    # A tenth of the bytes gave 40 pairs: 400 in all, 50 are made, and 5 are made per second.
    assert totals.text(4_000_000) == "5.0 pairs/s, 01:10 left, 4.0 MB of ~30.0 MB"
    totals.add(outcome(source_bytes=3_000, pairs=160, written=5_000_000))
    assert totals.text(9_000_000) == "5.0 pairs/s, 01:30 left, 9.0 MB of ~20.0 MB"


def test_frames_count_where_no_flow_is_asked_for():
    totals = Totals(videos=2, source=200, unit="frames")
    totals.add(outcome(source_bytes=100, pairs=9, written=10))
    assert (totals.units, totals.expected(totals.units)) == (10, 20)


def test_a_bad_video_is_counted_as_read():
    totals = Totals(videos=2, source=200, unit="pairs")
    totals.add(outcome(source_bytes=100, pairs=0, written=0, problem="damaged"))
    assert (totals.failed, totals.summary(), totals.expected(totals.written)) == (1, "", None)
    totals.add(outcome(source_bytes=100, pairs=7, written=10))
    assert totals.expected(totals.units) == 7
    assert re.fullmatch(r"; \d+\.\d pairs/s, 10 bytes", totals.summary())


@pytest.mark.parametrize(
    ("free", "warning"), [(8_999, "warning: {} will need about 9.0 kB more, but 9.0 kB are free\n"), (9_000, "")]
)
def test_a_disk_that_will_be_full_is_said_once(free, warning, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    shown = Progress(Totals(videos=100, source=10_000, unit="pairs"), counters=None, target=tmp_path)
    for _ in range(20):
        shown.add(outcome(source_bytes=100, pairs=1, written=100))
    assert capfd.readouterr().err == warning.format(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_without_a_terminal_a_line_is_logged_now_and_then(source, tmp_path, monkeypatch, caplog, workers):
    monkeypatch.setattr(progress, "TICK", 0.001)
    monkeypatch.setattr(progress, "WINDOW", 1)
    with caplog.at_level("INFO"):
        flows(source, tmp_path / "frames", f"--workers={workers}")
    first, *between, last = caplog.messages
    assert first.startswith("extracting 3 videos (")
    assert last.startswith("extracted 3 videos (18 rgb, 15 flow), 0 were already complete, 0 failed; ")
    assert between
    assert all(re.match(r"[0-3] of 3 videos, \d+\.\d pairs/s, ", line) for line in between)


def test_the_images_of_unfinished_videos_count(source, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Totals, "text", lambda self, size: seen.append((self.finished, self.samples[-1][1])) or "")
    monkeypatch.setattr(progress, "TICK", 0.001)
    noise = np.random.default_rng(1).integers(0, 256, (20, 40, 48, 3), np.uint8)
    write_avi(source / "run" / "a.avi", noise)  # which takes seconds, so that a busy machine looks, too
    flows(source, tmp_path / "frames", "--shard=0/3", "--flow=tvl1", "--backend=opencv")
    assert any(finished == 0 and 0 < count < 19 for finished, count in seen)


def test_an_estimate_of_short_videos_is_exact_and_writes_nothing(source, tmp_path, caplog):
    target = tmp_path / "frames"
    with caplog.at_level("INFO"):
        flows(source, target, "--estimate")
        assert not target.exists()
        flows(source, target)
    first, second, _, summary = caplog.messages
    assert first == "0 of 3 videos already complete"
    pattern = r"about 18 frames, 54 files of (.*) in all \(.* are free\), 00:00 at \d+\.\d frames/s"
    (size,) = re.fullmatch(pattern, second).groups()
    assert summary.endswith(f", {size}")
    assert size == size_in_words((3 * FRAMES - 2) * 3 * 4096)


def test_an_estimate_is_of_what_is_left_and_names_what_cannot_be_read(source, tmp_path, caplog, capfd):
    frames(source, tmp_path / "frames", "--shard=0/3")
    (source / "run" / "b.avi").write_text("no video")
    caplog.clear()
    with caplog.at_level("INFO"):
        frames(source, tmp_path / "frames", "--estimate")
    assert caplog.messages[0] == "1 of 3 videos already complete"
    assert "6 frames, 6 files of 24.6 kB" in caplog.messages[1]
    assert "b.avi: is not a video" in capfd.readouterr().err
    (source / "walk" / "c.avi").write_text("no video")
    with pytest.raises(ValueError, match=r"none of 2 videos can be read \(named above\)"):
        frames(source, tmp_path / "frames", "--estimate")
    with pytest.raises(ValueError, match="tvl1 has no parameter 'wraps'"):
        flows(source, tmp_path / "frames", "--estimate", "--flow=tvl1", "--flow_parameters", "wraps=3")


def test_an_estimate_is_of_all_videos_though_few_are_tried(tmp_path, caplog, monkeypatch):
    for i in range(9):
        make_video(tmp_path / "videos" / "run" / f"{i}.avi", frames=10)
    monkeypatch.setattr("workflows.extracting.estimate.SAMPLED", 2)
    monkeypatch.setattr("workflows.extracting.estimate.FRAMES", 4)
    with caplog.at_level("INFO"):
        frames(tmp_path / "videos", tmp_path / "frames", "--estimate")
    assert caplog.messages[1].startswith("about 90 frames, 90 files of 368.6 kB in all")
