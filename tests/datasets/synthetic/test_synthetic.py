"""The made-up data set: its tree, its splits, and that a video shows what its class says."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.synthetic import CLASSES, SPLITS, render, write_videos

TRAIN, TEST = 4, 2
NAME = re.compile(r"(clip\d{3})_([a-z]+_[a-z]+)_f_cm_np1_fr_med_([01])\.avi")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    write_videos(root / "videos", root / "labels", train_per_class=TRAIN, test_per_class=TEST)
    return root


def read_labels(tree: Path, class_name: str, split: int) -> dict[str, int]:
    lines = (tree / "labels" / f"{class_name}_test_split{split}.txt").read_text().splitlines(keepends=True)
    assert all(re.fullmatch(r"\S+\.avi [12] \n", line) for line in lines)
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def decode(path: Path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return np.stack(frames)


def middles(coverage: np.ndarray) -> np.ndarray:
    """Centre of mass of the object per frame, (T, 2) as (x, y)."""
    y, x = np.mgrid[: coverage.shape[1], : coverage.shape[2]]
    area = coverage.sum((1, 2))
    return np.stack([(coverage * x).sum((1, 2)) / area, (coverage * y).sum((1, 2)) / area], 1)


def test_there_is_one_folder_per_class_and_nothing_else(tree):
    assert len(CLASSES) == 12
    assert list(CLASSES) == sorted(CLASSES)
    assert sorted(path.name for path in (tree / "videos").iterdir()) == list(CLASSES)
    assert {path.name for path in (tree / "labels").iterdir()} == {
        f"{name}_test_split{split}.txt" for name in CLASSES for split in SPLITS
    }


@pytest.mark.parametrize("split", SPLITS)
def test_every_video_is_listed_once_in_each_split_with_the_asked_sizes(tree, split):
    for name in CLASSES:
        labels = read_labels(tree, name, split)
        assert set(labels) == {path.name for path in (tree / "videos" / name).iterdir()}
        assert list(labels.values()).count(1) == TRAIN
        assert list(labels.values()).count(2) == TEST


def test_the_three_splits_differ_and_share_no_test_video(tree):
    for name in CLASSES:
        tests = [{video for video, k in read_labels(tree, name, split).items() if k == 2} for split in SPLITS]
        assert len(set.union(*tests)) == 3 * TEST


def test_names_tell_class_and_source_and_a_source_never_straddles_a_split(tree):
    owner: dict[str, str] = {}
    for name in CLASSES:
        for split in SPLITS:
            sides: dict[str, set[int]] = {}
            for video, k in read_labels(tree, name, split).items():
                source, class_name, _ = NAME.fullmatch(video).groups()
                assert class_name == name
                assert owner.setdefault(source, name) == name
                sides.setdefault(source, set()).add(k)
            assert all(len(side) == 1 for side in sides.values())


def test_videos_decode_to_the_asked_frames_close_to_what_was_drawn(tree):
    for name in CLASSES:
        path = sorted((tree / "videos" / name).iterdir())[0]
        source = int(NAME.fullmatch(path.name)[1].removeprefix("clip"))
        drawn, _ = render(name, source, 0)
        found = decode(path)
        assert found.shape == drawn.shape == (20, 48, 48, 3)
        grey = [np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in v]).astype(int) for v in (found, drawn)]
        assert np.abs(grey[0] - grey[1]).mean() < 3


def test_size_and_frames_are_options_and_the_rate_is_25_per_second(tmp_path):
    write_videos(tmp_path / "v", tmp_path / "l", train_per_class=2, test_per_class=2, size=32, frames=5)
    path = next((tmp_path / "v" / CLASSES[0]).iterdir())
    assert decode(path).shape == (5, 32, 32, 3)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 25


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tree, tmp_path):
    for seed in (0, 1):
        write_videos(tmp_path / f"v{seed}", tmp_path / "l", train_per_class=TRAIN, test_per_class=TEST, seed=seed)
    paths = sorted(path.relative_to(tree / "videos") for path in (tree / "videos").rglob("*.avi"))
    assert len(paths) == len(CLASSES) * (TRAIN + TEST)
    for path in paths:
        content = (tree / "videos" / path).read_bytes()
        assert (tmp_path / "v0" / path).read_bytes() == content
        assert (tmp_path / "v1" / path).read_bytes() != content


def test_clips_of_one_source_share_the_background_and_other_sources_do_not():
    def corner(source, n):
        return render("disc_sway", source, n)[0][0, :6, :6].mean((0, 1))

    same = [np.abs(corner(source, 0) - corner(source, 1)).mean() for source in range(20)]
    other = [np.abs(corner(source, 0) - corner(source + 1, 0)).mean() for source in range(20)]
    assert np.mean(same) < 0.6 * np.mean(other)


@pytest.mark.parametrize("name", CLASSES)
def test_the_object_moves_as_the_class_says(name):
    motion = name.split("_")[1]
    for source in range(10):
        coverage = render(name, source, 0)[1]
        path, area = middles(coverage), coverage.sum((1, 2))
        down = path[-1, 1] - path[0, 1]
        assert (down < -5) == (motion == "rise")
        assert (down > 5) == (motion == "fall")
        assert (area[-1] > 1.5 * area[0]) == (motion == "grow")
        turns = np.abs(np.diff(np.sign(np.diff(path[:, 0])))).sum() // 2
        assert (turns >= 1 and np.ptp(path[:, 0]) > 2) or motion != "sway"


def test_one_frame_tells_little_of_the_motion():
    """The middle frame shows the same places and sizes whatever the motion."""
    areas = {m: np.mean([render(f"disc_{m}", s, 0)[1][10].sum() for s in range(30)]) for m in ("rise", "sway", "grow")}
    places = {m: np.mean([middles(render(f"disc_{m}", s, 0)[1])[10, 1] for s in range(30)]) for m in ("rise", "fall")}
    assert max(areas.values()) < 1.25 * min(areas.values())
    assert abs(places["rise"] - places["fall"]) < 4


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"disc_jump.*disc_rise"):
        render("disc_jump", 0, 0)
