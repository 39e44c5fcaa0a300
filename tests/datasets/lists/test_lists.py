"""Label files of every data set are read as their makers meant them, and those of another one are named as such."""

import pytest
from label_files import TREES, write

from datasets.corpora import DATASETS, SIDED, SIGNS, list_dataset
from datasets.lists.source_groups import source_of


@pytest.mark.parametrize(("dataset", "files", "names", "train", "test"), TREES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_official_files_are_read(dataset, files, names, train, test, ending, tmp_path):
    write(tmp_path, {name: text.replace("\n", ending) for name, text in files.items()})
    assert DATASETS[dataset](tmp_path, 1, "train") == (train, names)
    assert DATASETS[dataset](tmp_path, 1, "test") == (test, names)


def test_facts_about_data_sets_are_of_those_that_there_are():
    assert DATASETS.keys() >= {*SIDED, *SIGNS}


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_is_missing_is_named_with_the_option(dataset, tmp_path):
    for subset in ("train", "test"):
        with pytest.raises(FileNotFoundError, match=rf"^{tmp_path}.*--annotation_path"):
            DATASETS[dataset](tmp_path, 1, subset)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("Boxing/v_Boxing_g07_c03", "Boxing/v_Boxing_g07"),
        ("train/abseiling/-a_b_000010_000020", "train/abseiling/-a_b"),
        ("a/clip 12", "a/clip"),
        ("a/clip(3)", "a/clip"),
        ("a/12345", "a/12345"),
        ("a/walk", "a/walk"),
    ],
)
def test_the_source_of_a_clip_is_told_by_its_name(path, source):
    assert source_of(path) == source


HMDB51 = {f"{name}_test_split1.txt": f"a_{name}_1.avi 1\nb_{name}_2.avi 2\n" for name in ("catch", "run")}
UCF101 = {
    "classInd.txt": "1 Archery\n",
    "trainlist01.txt": "Archery/v_Archery_g01_c01.avi 1\n",
    "testlist01.txt": "Archery/v_Archery_g02_c01.avi\n",
}
LISTS = {"videos.csv": "path,label,split\na,run,train\nb,run,test\n"}
FILES = [("HMDB51", HMDB51), ("UCF101", UCF101), ("List", LISTS), *((name, files) for name, files, *_ in TREES)]
SIGNED = [
    (name, files) for name, files in FILES if name != "Kinetics700" and not {"labels.json", "Train.csv"} & {*files}
]


@pytest.mark.parametrize(("held", "files"), SIGNED, ids=[name for name, _ in SIGNED])
def test_official_files_under_another_name_are_named_and_under_their_own_read(held, files, tmp_path):
    folder = write(tmp_path / "labels", files)
    held = "Kinetics400" if held == "Kinetics" else held
    for name in DATASETS:
        if DATASETS[name] is DATASETS[held] or name in ("JSON", "List"):  # which read files of any name
            continue
        with pytest.raises(FileNotFoundError, match=rf"labels: holds files of {held}: use --dataset {held}$"):
            list_dataset(name, folder, 1, "train")
    assert list_dataset(held, folder, 1, "train").entries


def test_what_is_wrong_with_files_of_the_right_data_set_is_said_as_ever(tmp_path):
    folder = write(tmp_path / "labels", HMDB51 | LISTS)
    with pytest.raises(FileNotFoundError, match=r"no \*_test_split3\.txt"):
        list_dataset("HMDB51", folder, 3, "train")
    with pytest.raises(ValueError, match="expected '<video>"):
        list_dataset("HMDB51", write(tmp_path / "labels", {"catch_test_split1.txt": "x\n"}), 1, "train")


def test_a_folder_that_nobody_knows_is_reported_as_ever(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*_test_split1\.txt; check --annotation_path"):
        list_dataset("HMDB51", write(tmp_path / "labels", {"notes.md": ""}), 1, "train")


def test_one_list_in_place_of_a_folder_says_how_lists_are_read(tmp_path):
    path = write(tmp_path, LISTS) / "videos.csv"
    with pytest.raises(FileNotFoundError, match=r"videos\.csv: is one file, .* HMDB51 .*use --dataset List$"):
        list_dataset("HMDB51", path, 1, "train")
    assert list_dataset("List", path, 1, "test").entries
