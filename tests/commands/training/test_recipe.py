"""A checkpoint knows how it sees: test, prediction and export cut the clips of its training without an option."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from answering import run
from helpers import TINY, quick

import test_single_stream
import train
from datasets import STREAMS, build_dataset, modality_of
from datasets.synthetic import render, write_avi
from engine import checkpoint
from opts import SINGLE, TRAIN, as_trained, parse_opts, places_of
from workflows.exporting.plan import build_export

FRAMES = 45  # at 25 frames per second
UNUSUAL = {
    "their own rate and the published slips": "--video_fps source --sampling compat",
    "segments": "--train_sampling segments --val_sampling segment_centers",
    "segments as published": "--train_sampling segments --val_sampling segment_centers --sampling compat",
    "segments of four frames": "--train_sampling segments --val_sampling segment_centers --segment_length 4 "
    "--clip_stride 2",
    "differences": "--modality RGBDiff --clip_stride 2",
    "differences of segments": "--modality RGBDiff --train_sampling segments --val_sampling segment_centers",
    "all at once": "--video_fps 12.5 --short_side 40 --clip_stride 2 --normalisation 90 100 110 40 50 60",
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("recipe")
    lines = []
    for c, motion in enumerate(("disc_rise", "bar_sway")):
        for v, subset in enumerate(("train", "train", "train", "test")):
            frames, _ = render(motion, 10 * c + v, 0, frames=FRAMES - 3 * v)
            write_avi(root / "videos" / motion / f"g{v}.avi", frames)
            lines.append(f"{motion}/g{v},{motion},{subset}\n")
    (root / "list.csv").write_text("".join(lines))
    return root


def words(root: Path, script: str, *more: str) -> list[str]:
    paths = ["--dataset", "List", "--frame_dir", root / "videos", "--annotation_path", root / "list.csv"]
    return [*map(str, paths), "--result_path", str(root / "results"), "--only_RGB", *quick(script), *more]


def best_of(root: Path, name: str, settings: str) -> Path:
    train.main(parse_opts([*words(root, TRAIN, *TINY, "--run_name", name), *settings.split()], TRAIN))
    return root / "results" / "List" / f"{name}_best.pth"


@pytest.mark.parametrize("name", UNUSUAL)
def test_test_prediction_and_export_see_the_clips_of_the_training(name, videos, tmp_path, capsys):
    best = best_of(videos, "".join(c for c in name if c.isalpha()), UNUSUAL[name])
    scores, answer = tmp_path / "scores.npz", tmp_path / "answer.json"
    state = checkpoint.load(str(best))
    stream = STREAMS[state["stream"]]
    assert state["recipe"]["crop"] == state["options"]["crop"]
    paths = ["--resume_path1", str(best), "--scores_path", str(scores)]
    tested = parse_opts(words(videos, SINGLE, "--modality", modality_of([stream]), *paths), SINGLE)
    test_single_stream.main(tested)
    with np.load(scores) as file:
        logits = dict(zip(file["video"].tolist(), torch.from_numpy(file["logits"])[0], strict=True))
    exported = build_export([best]).deployed()
    clips = build_dataset(as_trained(tested, state), "test", (stream,))
    shown = defaultdict(list)
    for place in range(len(clips)):
        for item in clips[place]:  # one crop
            shown[clips.videos[item["index"]].name].append(item[stream.name])
    for video, expected in logits.items():
        run(videos / "videos" / f"{video}.avi", "--weights", best, "--logits", "--json", answer)
        (predicted,) = json.loads(answer.read_text())["videos"]
        torch.testing.assert_close(torch.tensor(predicted["logits"][0]["values"]), expected, atol=2e-5, rtol=1e-4)
        with torch.inference_mode():
            out = exported({stream.name: torch.stack(shown[video])})["logits"]
        torch.testing.assert_close(out.mean(0), expected, atol=2e-5, rtol=1e-4)


def test_an_option_given_by_hand_wins_and_is_said(videos, caplog):
    state = checkpoint.load(str(best_of(videos, "strided", "--clip_stride 2 --short_side 36")))
    plain = as_trained(parse_opts(words(videos, SINGLE), SINGLE), state)
    assert (plain.clip_stride, plain.short_side, plain.sample_size) == (2, 36, 32)
    best = str(videos / "results" / "List" / "strided_best.pth")
    given = parse_opts(words(videos, SINGLE, "--clip_stride", "1", "--resume_path1", best), SINGLE)
    assert as_trained(given, state).clip_stride == 1
    test_single_stream.main(given)
    assert "trained with --clip_stride 2, used with 1" in caplog.text
    assert "trained with --short_side" not in caplog.text


def test_a_recipe_that_lies_changes_nothing(videos):
    opt = parse_opts(words(videos, SINGLE), SINGLE)
    lie = {"sample_size": "112", "clip_stride": None, "short_side": [3], "test": {"test_sampling": "no such"}}
    assert as_trained(opt, {"recipe": lie}) == opt


def test_folders_of_a_training_that_cannot_be_here_are_left_out(tmp_path):
    assert places_of({"options": {"frame_dir": "a" * 5000, "annotation_path": 3}}) == {}
    assert places_of({"options": {"frame_dir": str(tmp_path), "layout": "no such"}}) == {"frame_dir": str(tmp_path)}


def test_segments_are_tested_by_segments_and_a_camera_needs_windows(videos, tmp_path):
    best = best_of(videos, "spread", UNUSUAL["segments"])
    opt = as_trained(parse_opts(words(videos, SINGLE), SINGLE), checkpoint.load(str(best)))
    assert opt.test_sampling == "segments"
    film = videos / "videos" / "bar_sway" / "g0.avi"
    with pytest.raises(ValueError, match=r"spread_best\.pth: trained on frames spread over .* give --frame_stride"):
        run(film, "--weights", best, "--window_stride", "4")
    run(film, "--weights", best, "--window_stride", "4", "--frame_stride", "1", "--json", tmp_path / "a.json")
    (answer,) = json.loads((tmp_path / "a.json").read_text())["videos"]
    assert len(answer["windows"]) > 2
