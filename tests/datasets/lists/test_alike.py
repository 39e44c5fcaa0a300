"""Folders and files that are called a little otherwise than listed: recognised if one fits, and said once."""

import logging
from pathlib import Path

import pytest

from datasets.lists.entries import Entry
from datasets.stores.detect import open_store
from datasets.stores.pack_format import SUFFIX
from datasets.stores.store import Store
from datasets.stores.tolerant_names import find_alike

PLACES = [  # as listed, and as it lies on the disk
    ("train/riding a bike/x_000001_000011", "train/riding_a_bike/x_000001_000011"),
    ("train/tying knot (not on a tie)/x", "train/tying_knot_(not_on_a_tie)/x"),
    ("HandstandPushups/v_HandStandPushups_g01_c01", "HandStandPushups/v_HandstandPushups_g01_c01"),
    ("HandStandPushups/v_HandStandPushups_g01_c01", "HandstandPushups/v_HandStandPushups_g01_c01"),
    ("a_b/c d", "A B/C_D"),
]
FILES = {"sts": "{}/00001.jpg", "pack": f"{{}}.rgb{SUFFIX}", "video": "{}.MP4", "denseflow": "{}/img_00001.jpg"}


def store_of(kind: str, root: Path, *places: str) -> Store:
    for place in places:
        file = root / FILES[kind].format(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return open_store(kind, root, [])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(("listed", "place"), PLACES)
def test_what_alone_fits_is_taken_in_every_form_of_storage(kind, listed, place, tmp_path):
    store = store_of(kind, tmp_path, place, "other/y")
    assert store.locate(listed).relative_to(tmp_path).as_posix().removesuffix(".MP4") == place
    assert open_store("auto", tmp_path, [Entry(listed, 0, listed)]).locate(listed) == store.locate(listed)


@pytest.mark.parametrize("kind", FILES)
def test_of_two_that_fit_none_is_taken(kind, tmp_path):
    store = store_of(kind, tmp_path, "riding_a_bike/x", "Riding a bike/x")
    with pytest.raises(ValueError, match=r"riding a bike: Riding a bike and riding_a_bike there both fit; rename"):
        store.locate("riding a bike/x")
    assert store.locate("riding_a_bike/x").parent.name == "riding_a_bike"
    store = store_of(kind, tmp_path / "two", "a/x y", "a/X_Y")
    with pytest.raises(ValueError, match="both fit"):
        store.locate("a/x_y")


@pytest.mark.parametrize("kind", FILES)
def test_what_does_not_fit_is_missing(kind, tmp_path):
    store = store_of(kind, tmp_path, "riding-a-bike/x", "ridinga bike/x", "riding_a_bike/y")
    with pytest.raises(FileNotFoundError):
        store.locate("riding a bike/x")


def test_it_is_said_once_for_a_folder(tmp_path, caplog):
    names = ["riding a bike", "tap dancing"]
    store = store_of("sts", tmp_path, *(f"{name.replace(' ', '_')}/{v}" for name in names for v in "xy"))
    with caplog.at_level(logging.INFO):
        for name in names:
            for video in "xy":
                store.locate(f"{name}/{video}")
    assert len(caplog.messages) == 1
    assert "'riding_a_bike' is used for the listed 'riding a bike'" in caplog.text


def test_what_is_called_as_listed_is_taken_in_silence(tmp_path, caplog):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a_b").mkdir()
    with caplog.at_level(logging.INFO):
        assert find_alike(tmp_path, "a b") == tmp_path / "a b"
    assert caplog.messages == []


def test_a_folder_that_comes_later_is_seen(tmp_path):
    assert not find_alike(tmp_path, "a b/c").exists()
    (tmp_path / "a_b" / "c").mkdir(parents=True)
    assert find_alike(tmp_path, "a b/c") == tmp_path / "a_b" / "c"
