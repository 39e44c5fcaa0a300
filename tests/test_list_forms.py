"""Lists of any data set are told apart by their content."""

import csv
import json

import pytest
from label_files import FORMS, HARA, write

from datasets import activitynet, lists
from datasets.entries import Entry, Segment


@pytest.mark.parametrize("form", FORMS)
def test_lists_are_told_apart_by_their_content(form, tmp_path):
    files, names = FORMS[form]
    write(tmp_path, files)
    train, test = (lists.list_videos(tmp_path, 2, subset) for subset in ("train", "test"))
    assert train.class_names == test.class_names == names.split("|")
    labels = {e.path: e.label for e in train.entries}
    if form.startswith("ibm"):
        assert train.entries == [
            Entry("some video/a", 0, "some video/a", Segment(1, 30, "frames")),
            Entry("some video/b", 1, "some video/b", Segment(5, 25, "frames")),
        ]
        assert test.entries == [Entry("some video/c", 1, "some video/c", Segment(1, 9, "frames"))]
    elif form == "settings":
        assert labels == {"v_A2_g01_c01": 0, "v_B_g01_c01": 1}
        assert [e.path for e in test.entries] == ["v_B_g02_c01"]
    elif form == "csv with names":
        assert labels == {"a/1": 1, "b/1": 0}
    elif form == "labels that are digits":
        assert labels == {"x": 1, "y": 0}
    else:
        assert sorted(labels.values()) in ([0, 1], [0])
    assert len(test.entries) == 1


def test_one_list_may_be_named_in_place_of_its_folder(tmp_path):
    write(tmp_path, {"train.txt": "a 0\n", "val.txt": "b 0\n", "mini_train.txt": "c 0\n", "mini_val.txt": "d 0\n"})
    read = [lists.list_videos(tmp_path / "mini_train.txt", 1, subset).entries[0].path for subset in ("train", "test")]
    assert read == ["c", "d"]
    assert lists.list_videos(tmp_path, 1, "train").entries[0].path == "a"
    file = write(tmp_path / "other", {"a.json": json.dumps(HARA), "b.json": "{}"}) / "a.json"
    assert len(activitynet.list_videos(file, 1, "train").entries) == 2
    with pytest.raises(ValueError, match=r"holds a.json, b.json; give one"):
        activitynet.list_videos(file.parent, 1, "train")


def test_lists_of_which_none_is_the_plain_one_must_be_chosen_from(tmp_path):
    write(tmp_path, {"mini_train.txt": "a 0\n", "maxi_train.txt": "b 0\n"})
    with pytest.raises(ValueError, match=r"holds maxi_train.txt, mini_train.txt; give one"):
        lists.list_videos(tmp_path, 1, "train")


ODD = ["a b", "it's", 'say "hi"', "a,b;c", "-dash", "ünï", "[x]#1", "a:b", "tab\there", "line\nbreak", " pad "]


def test_odd_names_survive_in_csv(tmp_path):
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *([f"{n}/{n}", n, "train"] for n in ODD)])
    listing = lists.list_videos(tmp_path, 1, "train")
    assert [e.path for e in listing.entries] == [f"{n}/{n}" for n in ODD]
    assert [listing.class_names[e.label] for e in listing.entries] == ODD


def test_clips_that_seem_to_come_from_one_source_are_told_apart(tmp_path):
    write(tmp_path, {"train.csv": "a/clip1,0\na/clip2,0\nb/x_1,1\nb/x_2,1\nb/y_1,1\n"})
    groups = [e.group for e in lists.list_videos(tmp_path, 1, "train").entries]
    assert groups == ["a/clip1", "a/clip2", "b/x", "b/x", "b/y"]
