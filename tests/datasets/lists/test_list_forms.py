"""Lists of any data set are told apart by their content."""

import csv
import json

import pytest
from label_files import FORMS, HARA, write

from datasets.corpora import activitynet
from datasets.lists import any_list as lists
from datasets.lists.entries import Entry, Segment


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


@pytest.mark.parametrize("names", ["mini_kinetics400.txt", "mini_ssv2.txt"])
def test_classes_of_mini_lists_are_those_of_the_file_beside_them(names, tmp_path):
    lines = {
        "mini_train.txt": "a;1;9;1\n",
        "mini_val.txt": "b;1;9;0\n",
        "train.txt": "a;1;9;3\n",
        "val.txt": "b;1;9;3\n",
    }
    write(tmp_path, lines | {names: "abseiling\nzumba\n", "classes.txt": "x\ny\nz\nw\n"})
    mini = lists.list_videos(tmp_path / "mini_train.txt", 1, "train")
    assert (mini.entries[0].label, mini.class_names) == (1, ["abseiling", "zumba"])
    assert lists.list_videos(tmp_path, 1, "train").class_names == ["x", "y", "z", "w"]


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


FLOATS = {
    "pandas": ["0.0", "1.0", "2.0", "10.0", "11.0"],
    "two decimals": ["0.00", "1.00", "2.00", "10.00", "11.00"],
    "numpy.savetxt": [f"{i:.18e}" for i in (0, 1, 2, 10, 11)],
    "mixed": ["0", "1.0", "2", "10.", "11"],
    "padded": [" 0", "1.0 ", "2", "10", "11"],
}
ROWS = {  # by the form of a row, how it is written and in which file
    "frames": ("train.txt", "v/{i} 20.0 {label}"),
    "ibm": ("train.txt", "v/{i} 1.0 9.00 {label}"),
    "label, spaces": ("train.txt", "v/{i} {label}"),
    "label, semicolons": ("train.txt", "v/{i};{label}"),
    "label, quoted": ("train.csv", '"v/{i}",{label}'),
    "split": ("all.csv", "v/{i},{label},train"),
    "header": ("train.csv", "v/{i},{label}"),
    "header, segments": ("train.csv", "v/{i},{label},1.0,9.0"),
}


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("writer", FLOATS)
def test_whole_numbers_written_as_floats_are_numbers(form, writer, tmp_path):
    name, row = ROWS[form]
    head = {"header": "path,label\n", "header, segments": "path,label,start,end\n"}.get(form, "")
    rows = [row.format(i=i, label=label) + "\n" for i, label in enumerate(FLOATS[writer])]
    write(tmp_path, {name: head + "".join(rows)})
    listing = lists.list_videos(tmp_path, 1, "train")
    assert [entry.label for entry in listing.entries] == [0, 1, 2, 10, 11]
    assert len(listing.class_names) == 12


def test_the_first_label_counts_floats_too(tmp_path):
    write(tmp_path, {"train.txt": "a/x 20.0 1.0\nb/y 20.0 2.0\n"})
    listing = lists.list_videos(tmp_path, 1, "train", first=1)
    assert ([entry.label for entry in listing.entries], listing.class_names) == ([0, 1], ["a", "b"])
    with pytest.raises(ValueError, match=r"class index 1\.0 is outside 2"):
        lists.list_videos(tmp_path, 1, "train", first=2)


@pytest.mark.parametrize("label", ["2.5", "-1.0", "1e400", "0x1", "1.0.0", "inf", "nan", "1234567890.0"])
def test_what_is_no_whole_number_stays_a_name(label, tmp_path):
    write(tmp_path, {"train.csv": f"a,{label}\nb,{label}\n"})
    assert lists.list_videos(tmp_path, 1, "train").class_names == [label]


@pytest.mark.parametrize(
    ("classes", "labels", "expected", "said"),
    [
        ("1\n2\n3\n", ["1", "3"], [0, 2], "labels like '1' are taken for class names"),
        ("1\n2\n3\n", ["1.0", "3.0"], [0, 2], "labels like '1.0' are taken for class names"),
        ("1.0\n1\n", ["1", "1.0"], [1, 0], "labels like '1' are taken for class names"),
        ("1\n2\n3\n", ["0", "2"], [0, 2], "labels like '0' are taken for numbers of classes"),
        ("walk\nrun\n", ["0.0", "1.0"], [0, 1], ""),
        ("", ["10", "jump"], [0, 1], "labels are taken for class names, also '10', for 'jump' is no number"),
        ("", ["0", "1"], [0, 1], ""),
    ],
)
def test_where_labels_could_be_names_or_numbers_it_is_said_once(classes, labels, expected, said, tmp_path, caplog):
    write(tmp_path, {"train.csv": "".join(f"v/{i},{label}\n" for i, label in enumerate(labels))})
    if classes:
        write(tmp_path, {"classes.txt": classes})
    with caplog.at_level("INFO"):
        for _ in range(2):
            entries = lists.list_videos(tmp_path, 1, "train").entries
    assert [entry.label for entry in entries] == expected
    assert len(caplog.messages) == bool(said)
    assert said in caplog.text


def test_labels_that_are_the_names_of_their_folders_are_numbers_and_that_is_said(tmp_path, caplog):
    write(tmp_path, {"train.txt": "0/x 0\n2/y 2\n"})
    with caplog.at_level("INFO"):
        listing = lists.list_videos(tmp_path, 1, "train")
    assert [entry.label for entry in listing.entries] == [0, 2]
    assert "labels, which are the folders' names too, are taken for numbers of classes from 0" in caplog.text


def test_frames_with_a_fraction_are_not_cut_off_in_silence(tmp_path):
    write(tmp_path, {"train.csv": "path,label,start,end\na,0,1.5,9\n"})
    with pytest.raises(ValueError, match=r"train.csv:2: unlike the other rows"):
        lists.list_videos(tmp_path, 1, "train")
