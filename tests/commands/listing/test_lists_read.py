"""The files of an annotation are opened once in each script, whatever it asks of them."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from corpora import TREES
from helpers import words_for

import STS_train
import test_single_stream
import test_two_stream
import train
from datasets import Annotation
from opts import parse_opts

OPENED: list[str] = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0])) if event == "open" else None)


def opened(folder: Path) -> Counter:
    """How often each file below a folder was opened since the list was cleared."""
    return Counter(Path(name).name for name in OPENED if Path(name).is_relative_to(folder))


@pytest.fixture(autouse=True)
def nothing_is_opened():
    OPENED.clear()
    yield
    OPENED.clear()


@pytest.mark.parametrize("dataset", TREES)
def test_both_lists_of_a_data_set_open_each_file_once(dataset, tmp_path):
    root = TREES[dataset][0](tmp_path)
    OPENED.clear()
    annotation = Annotation(root / "labels", dataset=dataset, val_fraction=0.5)
    for _ in range(2):
        for subset in ("train", "val", "test"):
            annotation.list_subset(subset)
        assert annotation.class_names("train") == annotation.class_names("test")
    counts = opened(root / "labels")
    assert counts
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("val_fraction", ["0", "0.4"])
def test_each_script_opens_each_list_once(hmdb51, tmp_path, val_fraction, caplog):
    labels, results = hmdb51 / "labels", tmp_path / "HMDB51"
    files = {file.name: 1 for file in labels.glob("*_test_split1.txt")}

    def run(script, *words: str) -> None:
        OPENED.clear()
        caplog.clear()
        name = Path(script.__file__).name
        asked = [*words_for(hmdb51, tmp_path, script=name), "--val_fraction", val_fraction, *words]
        script.main(parse_opts(asked, name))
        assert opened(labels) == files
        trains = script in (train, STS_train)
        assert caplog.text.count("chosen on the test list") == (trains and val_fraction == "0")

    run(train, "--modality", "RGB", "--run_name", "RGB")
    if val_fraction != "0":  # of which the other scripts do not know more
        return
    run(train, "--modality", "Flow", "--run_name", "Flow")
    run(STS_train, "--modality", "RGB_Flow", "--resume_path1", f"{results}/Flow_best.pth", "--run_name", "SFS")
    run(test_single_stream, "--modality", "RGB", "--resume_path1", f"{results}/RGB_best.pth")
    rgb, flow = f"{results}/RGB_best.pth", f"{results}/Flow_best.pth"
    run(test_two_stream, "--modality", "RGB_Flow", "--resume_path1", rgb, "--resume_path2", flow)
