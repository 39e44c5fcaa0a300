"""Lists, manifests and videos in columns: what is in them is what objects would hold."""

import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import open_videos
from datasets.lists import any_list, text_columns, text_files
from datasets.lists.entries import Entry, Segment
from datasets.lists.entry_table import EntryTable
from datasets.lists.text_columns import TextIndex, Texts, TextsBuilder, repeated
from datasets.records.manifest import Facts, read_manifest, write_manifest

ANY = st.lists(st.text(max_size=9))


def column(values) -> Texts:
    builder = TextsBuilder()
    builder.extend(values)
    return builder.build()


@pytest.mark.slow
@given(ANY)
def test_any_text_survives(values):
    assert list(column(values)) == column(values).decoded() == values


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), st.booleans())))
def test_a_text_is_part_of_another_where_it_can_be(rows):
    wholes = [first + second for first, second, _ in rows]
    parts = [first if begins else second for first, second, begins in rows]
    known = TextsBuilder()
    known.extend(wholes)
    size, builder = len(known.data), TextsBuilder(known.data)
    builder.extend_within(parts, wholes, known.build())
    assert list(builder.build()) == parts
    assert len(known.data) == size


def test_a_text_that_is_no_part_of_another_is_added():
    known = TextsBuilder()
    known.extend(["é/a/b1", "x"])
    builder = TextsBuilder(known.data)
    builder.extend_within(["é/a//b", "yz"], ["é/a/b1", "x"], known.build())
    assert list(builder.build()) == ["é/a//b", "yz"]


@pytest.mark.parametrize("alike", [False, True])
def test_an_index_finds_the_first_of_each_text_whatever_its_hash(alike, monkeypatch):
    if alike:
        monkeypatch.setattr(text_columns, "hashes_of", lambda _, count: np.zeros(count, np.int64))
    index = TextIndex(column(["b", "a", "c", "a", ""]))
    assert index.find(["a", "x", "", "c", "b", "a"]).tolist() == [1, -1, 4, 2, 0, 1]
    assert not index.differ
    assert set(repeated(["b", "a", "c", "a"], 4)) >= {1, 3}
    assert TextIndex(column([])).find(["a"]).tolist() == [-1]


ENTRIES = [
    Entry("a/1", 0, "a"),
    Entry("b/2", 3, "other", Segment(3, 9, "frames")),
    Entry("b/2", 1, "b/2", Segment(0.5, 2.0, "seconds")),
]


def test_a_table_is_the_sequence_of_its_entries():
    table = EntryTable.of(ENTRIES)
    assert table == ENTRIES
    assert list(table) == [table[i] for i in range(3)] == ENTRIES
    assert table[1:] == ENTRIES[1:]
    assert table[-1] == ENTRIES[-1]
    assert list(table.names) == [entry.name for entry in ENTRIES]
    assert [str(entry.segment) for entry in table] == [str(entry.segment) for entry in ENTRIES]  # 3 stays 3, not 3.0
    assert table != ENTRIES[:2]
    with pytest.raises(IndexError):
        table[3]


def test_a_large_list_is_read_from_the_disk_line_by_line_and_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text("\ufeffa/é1 0\r\n\r\nb/2 1\na/3 0\n")
    whole = any_list.list_videos(tmp_path, 1, "train")
    monkeypatch.setattr(text_files, "LARGE", 3)
    monkeypatch.setattr(text_files, "BLOCK", 5)
    kept: dict = {}
    with text_files.keep_files(kept):
        assert any_list.list_videos(tmp_path, 1, "train") == whole
    assert kept == {}
    assert [entry.path for entry in whole.entries] == ["a/é1", "b/2", "a/3"]
    for broken in (b"a/1 0\nb/\0 1\n", b"a/1 0\nb/\xff 1\n", b"a/1 0\nb/1 1\xc3"):
        (tmp_path / "train.txt").write_bytes(broken)
        with pytest.raises(ValueError, match=r"train.txt:2: not a text file"):
            any_list.list_videos(tmp_path, 1, "train")


def facts(path: str, rgb: int) -> Facts:
    return Facts(path, None, rgb, None, 1, 48, 40, 25.0, "0f")


@pytest.mark.parametrize("order", [sorted, lambda lines: sorted(lines, reverse=True)], ids=["sorted", "edited"])
def test_a_manifest_keeps_what_is_listed_and_draws_from_all(tmp_path, order):
    names = [f"v{i:02d}" for i in range(40)]
    path = write_manifest(tmp_path, "sts", [facts(name, i + 1) for i, name in enumerate(names)])
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *order(lines), ""]))
    manifest = read_manifest(tmp_path, column(["v07", "absent", "v03"]), seed=5)
    assert {name: video.counts["rgb"] for name, video in manifest.located.items()} == {"v07": 8, "v03": 4}
    assert list(manifest.drawn.index.texts) == random.Random(5).sample(names, 8)
    assert {name: video.counts["rgb"] for name, video in manifest.drawn.items()} == {
        name: int(name[1:]) + 1 for name in manifest.drawn
    }


def test_a_video_takes_few_bytes_beside_its_name_also_on_its_way_to_a_loader_process(tmp_path):
    names = [f"class_{i % 7}/video_{i:06d}_{i:06d}" for i in range(2000)]
    frames = {name: 1 + i % 9 for i, name in enumerate(names)}
    (tmp_path / "train.txt").write_text("".join(f"{name} {name[6]}\n" for name in names))
    write_manifest(tmp_path, "sts", [facts(name, count) for name, count in frames.items()])
    for name in random.Random(1).sample(sorted(names), 8):  # by which the manifest is checked
        (tmp_path / name).mkdir(parents=True)
        for frame in range(1, frames[name] + 1):
            (tmp_path / name / f"{frame:05d}.jpg").touch()
    videos = open_videos(tmp_path, tmp_path, dataset="List", layout="sts", only_rgb=True, val_fraction=0)
    assert [(video.name, video.num_frames) for video in videos] == list(frames.items())
    assert videos[17].folder == tmp_path / names[17]
    sent = pickle.dumps(videos.items)
    assert len(sent) < sum(map(len, names)) + 30 * len(names)
    assert list(pickle.loads(sent)) == list(videos)
