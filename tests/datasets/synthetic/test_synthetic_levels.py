"""The levels of made-up videos with a figure: what tells their classes, what does not, and their splits."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.corpora import list_dataset
from datasets.synthetic import LEVELS, write_videos
from datasets.synthetic.actions import ACTIONS, REVERSED
from datasets.synthetic.figures import bend
from datasets.synthetic.files import TEST, TRAIN, UNUSED, write_mpeg4
from datasets.synthetic.scenes import Video, build_scene

ROOT = Path(__file__).parents[3]
FIGURES = ("standard", "hard")
PAIRS = [(level, name) for level in FIGURES for name in LEVELS[level].classes if name in REVERSED]
# SHA-256 of the pixels of `digest`; those of `easy` are what they were before there were levels.
DIGESTS = {
    "easy": "54853e54f5cc54f3756af3d3da51d1a25ef7ed9d2af380826a7d403e37bbed65",
    "standard": "6654aba9914e1fa7e4172bb84b40c843cbae41ee07b8bdbc1b9533889c67b90b",
    "hard": "1f310c4c1a8f20d2153a680cdd512b2115da795002339f2832ee601d14aa122f",
}


def film(level: str, class_name: str, source: int = 5, clip: int = 0, theme: float = 0.25, seed: int = 0):
    kind = LEVELS[level]
    video = Video(class_name, source, clip, theme)
    return kind.film(video, size=kind.size, frames=kind.frames, seed=seed, exact=True)


def digest(level: str) -> str:
    content = hashlib.sha256()
    for name in LEVELS[level].classes[::3]:
        content.update(film(level, name).pixels.tobytes())
    return content.hexdigest()


@pytest.mark.parametrize("level", LEVELS)
def test_the_pixels_of_a_level_stay_the_same(level):
    assert digest(level) == DIGESTS[level]


@pytest.mark.slow
def test_another_process_draws_the_same_pixels():
    code = f"import runpy; names = runpy.run_path({__file__!r}); print(*map(names['digest'], names['LEVELS']))"
    words = [sys.executable, "-c", code]  # which finds the packages in the folder that it is run in
    printed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert printed.split() == list(map(digest, LEVELS))


@pytest.mark.parametrize(("level", "name"), PAIRS)
def test_a_class_and_its_reversal_are_the_same_frames_in_either_order(level, name):
    """So that no single frame tells them apart, whatever a network looks at."""
    backwards, forwards = film(level, name), film(level, REVERSED[name])
    np.testing.assert_array_equal(backwards.pixels, forwards.pixels[::-1])
    assert (backwards.pixels != forwards.pixels).any()


@pytest.mark.parametrize("level", FIGURES)
def test_both_of_a_pair_are_classes_of_a_level(level):
    classes = LEVELS[level].classes
    assert list(classes) == sorted(classes)
    assert [name for name in classes if name in REVERSED and REVERSED[name] not in classes] == []
    assert {REVERSED.get(name, name) for name in classes} <= ACTIONS.keys()


def test_the_class_decides_nothing_but_the_action():
    """Floor, wall, light and camera of one source are the same whatever the figure does."""
    waving, jumping = (film("standard", name).pixels.astype(int) for name in ("wave", "jump"))
    assert (waving == jumping).mean() > 0.7


def test_the_same_action_has_many_looks():
    colours = [film("standard", "wave", source).pixels.mean((0, 1, 2)) for source in range(8)]
    assert np.std(colours, 0).min() > 8


@pytest.mark.parametrize("level", FIGURES)
def test_figures_face_either_side_in_every_class(level):
    """So that a horizontal flip keeps the label."""
    kind = LEVELS[level]
    for name in kind.classes:
        videos = [Video(name, source, 0, 0.0) for source in range(8)]
        assert len({build_scene(video, kind.conditions, kind.size, 2, 0).mirrored for video in videos}) == 2


def test_themes_look_alike_in_grey():
    grey = [film("standard", "wave", theme=theme).pixels @ (0.114, 0.587, 0.299) for theme in (0.0, 0.5)]
    colour = [film("standard", "wave", theme=theme).pixels.astype(float) for theme in (0.0, 0.5)]
    assert np.abs(grey[0] - grey[1]).mean() < 0.15 * np.abs(colour[0] - colour[1]).mean()


@pytest.mark.parametrize(("bias", "least", "most"), [(0.0, 0.0, 0.2), (0.5, 0.4, 0.7), (1.0, 1.0, 1.0)])
def test_colours_follow_the_class_in_training_as_often_as_asked_and_never_in_the_test(bias, least, most):
    kind = LEVELS["standard"]
    shares = {TRAIN: [], TEST: []}
    for label in range(len(kind.classes)):
        for source, tags in kind.tags(label, 12, 12).items():
            theme = kind.theme(label, source, bias=bias, seed=0)
            shares[max(tags)].append(theme == label / len(kind.classes))
    assert least <= np.mean(shares[TRAIN]) <= most
    assert np.mean(shares[TEST]) < 0.2


def test_no_source_is_trained_on_and_tested_in_any_splits_and_tests_share_none():
    kind = LEVELS["hard"]
    seen: set[int] = set()
    for label in range(len(kind.classes)):
        tags = kind.tags(label, 4, 3)
        assert not seen & tags.keys()
        seen |= tags.keys()
        for split in range(3):
            sides = [tag[split] for tag in tags.values()]
            assert (sides.count(TRAIN), sides.count(TEST)) == (4, 3)
        assert {frozenset(tag) for tag in tags.values()} == {frozenset({UNUSED, TRAIN}), frozenset({UNUSED, TEST})}
        assert all(tag.count(TEST) <= 1 for tag in tags.values())


def test_fewer_training_videos_are_some_of_the_many_and_the_test_stays():
    kind = LEVELS["standard"]
    few, many = (kind.tags(3, number, 4) for number in (3, 10))
    for split in range(3):
        for tag in (TRAIN, TEST):
            sets = [{source for source, tags in all_tags.items() if tags[split] == tag} for all_tags in (few, many)]
            assert sets[0] <= sets[1]
            assert tag == TRAIN or sets[0] == sets[1]


def test_limbs_keep_their_length_and_reach_what_they_can():
    rng = np.random.default_rng(0)
    root, target = rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))
    joint, end = bend(root, target, (0.9, 0.7), 1)
    np.testing.assert_allclose(np.abs(joint - root), 0.9)
    np.testing.assert_allclose(np.abs(end - joint), 0.7)
    near = (np.abs(target - root) < 1.59) & (np.abs(target - root) > 0.21)
    assert near.any()
    np.testing.assert_allclose(end[near], target[near])
    side = ((joint - root) * (end - root).conj()).imag
    assert (side >= 0).all()


def test_feet_on_the_floor_do_not_slide():
    motion = ACTIONS["walk"](24, np.random.default_rng(1))
    for foot in motion.feet:
        on_floor = (foot.imag[1:] > -0.0301) & (foot.imag[:-1] > -0.0301)
        assert on_floor.any()
        assert np.abs(np.diff(foot))[on_floor].max() < 2e-3


def test_a_list_of_the_toolkit_reads_the_labels_and_leaves_out_the_unused(tmp_path):
    count = write_videos(
        *(tmp_path / "v", tmp_path / "l"), level="standard", train_per_class=2, test_per_class=2, size=16, frames=2
    )
    assert len(list((tmp_path / "v").glob("*/*.avi"))) == count
    for subset in ("train", "test"):
        entries = list_dataset("HMDB51", tmp_path / "l", 2, subset).entries
        assert len(entries) == 2 * len(LEVELS["standard"].classes)
        assert all((tmp_path / "v" / f"{entry.path}.avi").is_file() for entry in entries)


def test_coarser_compression_makes_smaller_files_of_the_same_frames(tmp_path):
    pixels = film("standard", "kick").pixels
    for quantiser in (2, 20):
        write_mpeg4(tmp_path / f"{quantiser}.avi", pixels, quantiser)
    assert (tmp_path / "20.avi").stat().st_size < 0.6 * (tmp_path / "2.avi").stat().st_size
    before = (tmp_path / "2.avi").read_bytes()
    write_mpeg4(tmp_path / "2.avi", pixels, 2)
    assert (tmp_path / "2.avi").read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"level": "harder"}, "harder.*easy, standard, hard"),
        ({"bias": 1.5, "level": "hard"}, r"1\.5.*\[0, 1\]"),
        ({"bias": 0.5}, "easy has no bias.*standard or hard"),
        ({"seed": -1}, "seed is -1"),
        ({"train_per_class": 3}, "train_per_class is 3"),
        ({"test_per_class": 0}, "test_per_class is 0"),
        ({"size": 47}, "size 47"),
        ({"frames": 1}, "frames 1"),
    ],
)
def test_bad_values_are_refused_before_anything_is_written(tmp_path, wrong, named):
    with pytest.raises(ValueError, match=named):
        write_videos(tmp_path / "v", tmp_path / "l", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_videos_of_another_data_set_is_refused(tmp_path):
    other = tmp_path / "v" / "run" / "a.avi"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(ValueError, match=r"1 video of another data set, such as run/a\.avi"):
        write_videos(tmp_path / "v", tmp_path / "l")
