"""Label files of every data set are read as their makers meant them."""

import pytest
from label_files import TREES, write

from datasets.corpora import DATASETS, SIDED
from datasets.lists.source_groups import source_of


@pytest.mark.parametrize(("dataset", "files", "names", "train", "test"), TREES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_official_files_are_read(dataset, files, names, train, test, ending, tmp_path):
    write(tmp_path, {name: text.replace("\n", ending) for name, text in files.items()})
    assert DATASETS[dataset](tmp_path, 1, "train") == (train, names)
    assert DATASETS[dataset](tmp_path, 1, "test") == (test, names)


def test_every_data_set_whose_labels_have_a_side_is_there():
    assert set(DATASETS) >= SIDED


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
