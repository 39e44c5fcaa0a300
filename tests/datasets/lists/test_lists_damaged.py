"""Errors of malformed lists: the file, the line and the reason."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_files import FORMS, IBM, KINETICS, TAXONOMY, TREES, activity, write

from datasets.corpora import DATASETS, activitynet
from datasets.lists import any_list as lists
from datasets.lists.entries import Listing
from datasets.lists.entry_table import MOST_NAMED


@pytest.mark.parametrize(
    ("dataset", "file", "text", "problem"),
    [
        ("Something_v2", "train.json", '[\n{"id": "1", "template": "Eating [something]"}]', r"train.json:2: .*Eating"),
        ("Something_v2", "train.json", '[\n{"id": "1"}]', r"train.json:2: lacks the text 'template'"),
        ("Something_v2", "train.json", "[1]", r"train.json:1: expected an object"),
        ("Something_v2", "train.json", '[\n{"id": ', r"train.json:2: not JSON"),
        ("Something_v2", "labels.json", '{"a": "0",\n"b": "x"}', r"labels.json:2: class 'b'"),
        ("Something_v2", "labels.json", '{"a": "0", "b": "2"}', r"labels.json: class indices"),
        ("Jester", "jester-v1-train.csv", "1;Stop\n2;Nothing such\n", r"train.csv:1: .*Stop.*; .*train.csv:2: "),
        ("Jester", "jester-v1-labels.csv", "Stop\nStop\n", r"labels.csv:2: class 'Stop' is listed twice"),
        ("Moments", "trainingSet.csv", "a/b.mp4,boxing,1,2\n", r"trainingSet.csv:1: .*boxing"),
        ("Moments", "trainingSet.csv", '"a', r"trainingSet.csv:1: "),
        (
            "Diving48",
            "Diving48_V2_train.json",
            '[{"vid_name": "a", "label": 2}]',
            r":1: class index 2 is outside 0 to 1",
        ),
        ("ActivityNet", "activity_net.v1-3.min.json", '{"taxonomy": []}', r"json:1: expected an object with an object"),
        ("Kinetics", "kinetics-400_train.csv", "label,id\n", r"train.csv:1: expected the columns label, youtube_id"),
        ("Kinetics", "kinetics-400_train.csv", f"{KINETICS}a,b,x,3,train,0\n", r"train.csv:2: 'x'"),
        ("Kinetics", "Kinetics_train_labels.txt", "train/a/clip\n", r"train_labels.txt:1: expected '<path>"),
        ("Kinetics", "Kinetics_train_labels.txt", "train/a/clip -1 300\n", r"train_labels.txt:1: '-1' is not"),
        ("HMDB51", "catch_test_split1.txt", "film_catch_1.avi 1\nvideo.avi 3\n", r"catch_test_split1.txt:2: expected"),
        ("UCF101", "trainlist01.txt", "C/v_1.avi 1\n", r"trainlist01.txt:1: expected '<class>/<video>.avi' with a"),
        ("UCF101", "classInd.txt", "1 A\nx B\n", r"classInd.txt:2: 'x' is not a class index from 1"),
        ("UCF101", "classInd.txt", "1 A\n3 B\n", r"classInd.txt: class indices must go from 1 to 2 without a gap"),
    ],
)
def test_a_malformed_line_is_named_with_its_place(dataset, file, text, problem, tmp_path):
    trees = (files for name, files, *_ in TREES if name == dataset and (file in files or file[0] in "tl"))
    if not file.startswith("Kinetics_"):  # or the official lists come first
        write(tmp_path, next(trees, GOOD.get(dataset, {})))
    for old in tmp_path.glob(f"something*{file}"):
        old.unlink()
    write(tmp_path, {file: text})
    with pytest.raises(ValueError, match=problem) as caught:
        DATASETS[dataset](tmp_path, 1, "train")
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a 1 30 0\nb 1 30\n", r"train.txt:2: unlike the other rows, which are '<path> <first"),
        ("a 0 30 0\nb 1 30 0\n", r"train.txt:1: unlike"),
        ("a 1 30 0\n\nb 1 30 5\nb 1 30 4\n", r"train.txt:4: 'b 1-30' is also listed at .*:3, as another class"),
        ("../a 0\n", r"train.txt:1: '../a' leads out"),
        ("/a 0\n", r"train.txt:1: '/a' leads out"),
        ("a 999999999\n", r"train.txt:1: class index 999999999 is outside"),
        ("a\nb\n", r"train.txt:1: has no label"),
        ("", r"train.txt:1: lists no video"),
        ("a 0\nb\0 1\n", r"train.txt:2: not a text file"),
    ],
)
def test_a_malformed_list_is_named_with_its_place(text, problem, tmp_path):
    write(tmp_path, {"train.txt": text})
    with pytest.raises(ValueError, match=problem):
        lists.list_videos(tmp_path, 1, "train")


def test_labels_outside_the_class_names_are_reported(tmp_path):
    write(tmp_path, {"train.csv": "a,1\nb,2\n", "classes.txt": "x\ny\n"})
    with pytest.raises(ValueError, match=r"train.csv:2: class index 2 is outside 0 to 1$"):
        lists.list_videos(tmp_path, 1, "train")
    write(tmp_path, {"train.csv": "a,x\nb,z\n"})
    with pytest.raises(ValueError, match=r"train.csv:2: 'z' is not among the 2 class names"):
        lists.list_videos(tmp_path, 1, "train")


def test_a_list_that_is_a_head_alone_has_no_videos(tmp_path):
    write(tmp_path, {"train.csv": "path,label,0\n", "classes.txt": "x\ny\n"})
    assert lists.list_videos(tmp_path, 1, "train") == Listing([], ["x", "y"])


def test_the_first_problems_are_reported_together(tmp_path):
    write(tmp_path, {"train.csv": "".join(f"../v{i},0\n" for i in range(MOST_NAMED + 7))})
    with pytest.raises(ValueError, match=rf"train.csv:1: .*train.csv:{MOST_NAMED}: .* \(and 7 more\)$") as caught:
        lists.list_videos(tmp_path, 1, "train")
    assert f":{MOST_NAMED + 1}:" not in str(caught.value)


def test_repeated_lines_count_once_and_are_said(tmp_path, caplog):
    write(tmp_path, {"train.txt": "a 0\nb 0\n./a 0\n"})
    assert [e.path for e in lists.list_videos(tmp_path, 1, "train").entries] == ["a", "b"]
    assert re.search(r"train.txt:3: 'a' is also listed at .*train.txt:1; 1 repeated", caplog.text)


def test_a_segment_without_length_is_left_out_and_said(tmp_path, caplog):
    database = {"abcdefghijk": activity("training", ([5, 5], "Archery"), ([6, 7], "Archery"))}
    write(tmp_path, {"a.json": json.dumps({"taxonomy": TAXONOMY, "database": database})})
    assert len(activitynet.list_videos(tmp_path, 1, "train").entries) == 1
    assert "has no length" in caplog.text


@pytest.mark.parametrize("segment", [[5, 4], [-1, 4], ["1", 4], [1], [True, 3], {"a": 1}, [1e400, 2]])
def test_an_impossible_segment_is_named(segment, tmp_path):
    database = {"abcdefghijk": activity("training", (segment, "Archery"))}
    write(tmp_path, {"a.json": json.dumps({"taxonomy": TAXONOMY, "database": database})})
    with pytest.raises(ValueError, match=r"a.json"):
        activitynet.list_videos(tmp_path, 1, "train")


FILES = sorted(
    {(name, file) for name, files, *_ in TREES for file in files}
    | {("List", n) for n in ("train.txt", "train.csv", "videos.csv", "classes.txt", "classes.csv", "val.tsv")}
    | {("UCF101", "classInd.txt"), ("UCF101", "trainlist01.txt"), ("HMDB51", "catch_test_split1.txt")}
    | {("Kinetics", "Kinetics_train_labels.txt")}
)
WORDS = [*"a b/c 0 1 30 -1 .. path label train é".split(), *'";, \t\n\r\0']
WORDS += ["[", "]", "{", "}", ":", '"id"', '"a"', '"labels"', '"database"', "\\ud800", "NaN", "1e999", "9" * 5000]


def damaged(text: str) -> st.SearchStrategy[bytes]:
    """Bytes, tokens, or a good file in which a part is replaced."""
    data = text.encode()
    part = st.one_of(st.binary(max_size=8), st.sampled_from(WORDS).map(str.encode))
    place = st.tuples(st.integers(0, len(data)), st.integers(0, 12))
    changed = st.builds(lambda p, new: data[: p[0]] + new + data[p[0] + p[1] :], place, part)
    tokens = st.lists(st.sampled_from(WORDS), max_size=20).map(lambda words: "".join(words).encode())
    return st.one_of(changed, st.binary(max_size=60), tokens)


GOOD = {
    "List": FORMS["one csv with splits"][0]
    | FORMS["ibm mini"][0]
    | {"train.txt": IBM, "train.csv": "path,label\na,0\n"},
    "UCF101": {"classInd.txt": "1 A\n2 B\n", "trainlist01.txt": "A/v_1.avi 1\nB/v_2.avi 2\n"},
    "HMDB51": {"catch_test_split1.txt": "film_catch_1.avi 1 \n", "kick_test_split1.txt": "film_kick_1.avi 2 \n"},
}


@pytest.mark.parametrize(("dataset", "file"), FILES)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_listing_or_one_line_that_names_the_file(dataset, file, data, tmp_path):
    files = next((t[1] for t in TREES if t[0] == dataset and file in t[1]), GOOD.get(dataset, {}))
    files = {name: text for name, text in files.items() if dataset != "List" or name in (file, "classes.txt")}
    for old in tmp_path.iterdir():
        old.unlink()
    write(tmp_path, files)
    (tmp_path / file).write_bytes(data.draw(damaged(files.get(file, "x 0\n"))))
    for subset in ("train", "test"):
        try:
            listing = DATASETS[dataset](tmp_path, 1, subset)
            assert all(0 <= e.label < len(listing.class_names) and e.path.encode() for e in listing.entries)
        except (ValueError, FileNotFoundError) as error:
            assert str(error).startswith(str(tmp_path))
