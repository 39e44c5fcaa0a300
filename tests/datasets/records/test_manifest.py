"""The manifest and the quarantine of a data set: what they keep, and what is said of malformed ones."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from helpers import write_frames
from hypothesis import given
from hypothesis import strategies as st

from datasets.lists.entries import Entry
from datasets.records import lookup
from datasets.records.lookup import LocatedVideo, find_videos
from datasets.records.manifest import MANIFEST, Facts, read_manifest, write_manifest
from datasets.records.quarantine import QUARANTINE, read_cases, read_quarantine, update_quarantine
from datasets.stores.frames import FrameFolders

ODD = [
    "a[1]",
    "b#2",
    "with space",
    "new\nline",
    "-dash",
    "a:b.jpg",
    "http:x.mp4",
    "%d",
    "grün/日本",
    '\'"quoted"',
    "back\\slash",
    "tab\there",
    '"starts',
    "\u2028separator",
    os.fsdecode(b"not \xff utf-8"),
    "a..b/...c",
]
FACTS = Facts("a", None, 20, 19, 1, 48, 40, 25.0, "00ff")


def facts(path: str, **changes) -> Facts:
    return FACTS._replace(path=path, **changes)


def test_a_manifest_returns_what_was_written(tmp_path):
    videos = [facts("b", folder="B", fps=None), facts("a", flow=None), facts("c", rgb=None)]
    write_manifest(tmp_path, "sts", videos)
    manifest = read_manifest(tmp_path)
    assert (manifest.layout, manifest.videos) == ("sts", 3)
    assert manifest.located == {
        "a": LocatedVideo(str(tmp_path / "a"), {"rgb": 20}, 25.0),
        "b": LocatedVideo(str(tmp_path / "B"), {"rgb": 20, "flow": 19}, None),
        "c": LocatedVideo(str(tmp_path / "c"), {"flow": 19}, 25.0),
    }
    assert manifest.located.get("d") is None
    assert list(tmp_path.iterdir()) == [tmp_path / MANIFEST]
    write_manifest(tmp_path, "sts", [])
    assert dict(read_manifest(tmp_path).located) == {}


def test_without_a_file_there_is_no_manifest_and_no_quarantine(tmp_path):
    assert read_manifest(tmp_path) is None
    assert read_quarantine(tmp_path) == {}


def test_odd_names_survive_in_manifest_and_quarantine(tmp_path):
    write_manifest(tmp_path, "sts", [facts(name) for name in ODD])
    assert sorted(read_manifest(tmp_path).located) == sorted(ODD)
    update_quarantine(tmp_path, {name: f"reason of {name}" for name in ODD}, ODD)
    assert read_quarantine(tmp_path) == {name: f"audit: reason of {name}" for name in ODD}


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), unique=True))
def test_any_text_survives_in_a_quarantine(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("root")
    update_quarantine(root, {name: name for name in names}, names)
    assert read_quarantine(root) == {name: f"audit: {name}" for name in names}


def edited(root, edit) -> str:
    """Return the error of a manifest of three videos whose lines were edited."""
    write_manifest(root, "sts", [facts(name) for name in "abc"])
    lines = (root / MANIFEST).read_text().splitlines()
    edit(lines)
    (root / MANIFEST).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"run utils1/audit.py again") as error:
        read_manifest(root)
    return str(error.value).removeprefix(str(root / MANIFEST))


def put(number: int, **changes):
    def edit(lines):
        lines[number] = json.dumps(FACTS._replace(**changes))

    return edit


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda lines: lines.clear(), ":1: not the header"),
        (lambda lines: lines.__setitem__(0, "[" * 100_000), ":1: not the header"),
        (lambda lines: lines.__setitem__(0, "{}"), ":1: not the header"),
        (lambda lines: lines.__setitem__(0, lines[0].replace('"manifest": 1', '"manifest": 2')), ":1: a manifest of"),
        (lambda lines: lines.__setitem__(0, lines[0].replace('"sts"', "7")), ":1: lacks layout"),
        (lambda lines: lines.pop(), ":3: ends after 2 of 3 videos"),
        (lambda lines: lines.__setitem__(2, lines[2][:-3]), ":3: not a video's"),
        (lambda lines: lines.__setitem__(3, "[" * 100_000), ":4: not a video's"),
        (lambda lines: lines.__setitem__(3, "{}"), ":4: not a video's"),
        (lambda lines: lines.__setitem__(3, "[1, 2]"), ":4: not a video's"),
        (lambda lines: lines.__setitem__(1, lines[1].replace("20", "[20]")), ":2: not a video's"),
        (lambda lines: lines.__setitem__(1, lines[1].replace("20", "true")), ":2: not a video's"),
        (put(1, path="../a"), ":2: not a video's"),
        (put(1, path="/a"), ":2: not a video's"),
        (put(1, path=""), ":2: not a video's"),
        (put(1, folder="a/../../b"), ":2: not a video's"),
        (put(1, rgb=None, flow=None), ":2: not a video's"),
        (put(1, rgb=-3), ":2: not a video's"),
        (put(1, fps=float("nan")), ":2: not a video's"),
        (put(3, path="a"), ":4: the same video as in line 2"),
    ],
)
def test_a_malformed_manifest_is_named_with_its_line(tmp_path, edit, place):
    assert edited(tmp_path, edit).startswith(place)


def test_random_damage_to_a_manifest_gives_videos_or_a_line(tmp_path):
    write_manifest(tmp_path, "sts", [facts(f"class/{i}") for i in range(30)])
    data, rng = (tmp_path / MANIFEST).read_bytes(), random.Random(0)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        (tmp_path / MANIFEST).write_bytes(broken[: rng.choice((len(data), rng.randrange(len(data))))])
        try:
            manifest = read_manifest(tmp_path)
            assert all(Path(located.folder).is_relative_to(tmp_path) for located in manifest.located.values())
        except ValueError as error:
            assert str(error).startswith(f"{tmp_path / MANIFEST}:")


@pytest.fixture
def sound(tmp_path):
    """Twelve videos, of which a manifest says the truth."""
    for i in range(12):
        write_frames(tmp_path / f"v{i:02d}", seed=i, frames=3)
    write_manifest(tmp_path, "sts", [facts(f"v{i:02d}", rgb=3, flow=2) for i in range(12)])
    return tmp_path


def test_a_manifest_that_is_true_passes_the_check(sound):
    read_manifest(sound, checked=12).check(FrameFolders(sound))
    read_manifest(sound, checked=99).check(FrameFolders(sound))


def extract_again(video):
    shutil.rmtree(video)
    write_frames(video, seed=3, frames=5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda video: (video / "TVL1jpg_x_00002.jpg").unlink(), r".*/TVL1jpg_x_00002.jpg: missing"),
        (extract_again, r"5 rgb images, not 3 and 4 flow images, not 2"),
        (lambda video: video.rename(video.with_name("V03")), r"it lies in .*/V03, not in .*/v03"),
        (lambda video: video.rename(video.with_name("elsewhere")), r".*/v03: no such folder"),
    ],
)
def test_the_check_notices_a_video_that_has_changed(sound, change, reason):
    change(sound / "v03")
    with pytest.raises(ValueError, match=rf"{MANIFEST}: out of date: 'v03' has changed since .*: {reason}.*audit.py"):
        read_manifest(sound, checked=12).check(FrameFolders(sound))


def test_the_check_looks_at_a_few_videos_only(sound):
    class Counting(FrameFolders):
        seen = 0

        def counts(self, folder, needs):
            self.seen += 1
            return super().counts(folder, needs)

    store = Counting(sound)
    read_manifest(sound).check(store)
    assert store.seen == 8


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_what_the_manifest_knows_is_not_looked_for_and_the_rest_is(sound, at_once, monkeypatch):
    monkeypatch.setattr(lookup, "AT_ONCE", at_once)
    (sound / "v00").rename(sound / "gone")
    entries = [Entry(name, 0, name) for name in ("v00", "v01", "gone", "nowhere", "v02")]
    located = read_manifest(sound).located
    settings = {"needs": {"rgb", "flow"}, "located": located}
    videos = find_videos(entries, FrameFolders(sound), missing="skip", **settings)
    assert [(v.name, v.num_frames) for v in videos] == [("v00", 2), ("v01", 2), ("gone", 2), ("v02", 2)]
    assert videos[1].folder == sound / "v01"
    with pytest.raises(FileNotFoundError, match=r"nowhere.* \(1 of 5 videos cannot be used\)"):
        find_videos(entries, FrameFolders(sound), **settings)


def test_an_audit_takes_back_its_own_reasons_only(tmp_path):
    update_quarantine(tmp_path, {"a": "empty", "b": "empty", "c": "empty"}, "abc")
    with (tmp_path / QUARANTINE).open("a") as file:
        file.write("d\tshows nothing\r\ne\tblurred\t2020-01-02\n")
    before = read_cases(tmp_path)
    assert update_quarantine(tmp_path, {"b": "count", "d": "empty"}, "abd") == 4
    after = read_cases(tmp_path)
    assert {path: case.reason for path, case in after.items()} == {
        "b": "audit: count",
        "c": "audit: empty",
        "d": "shows nothing",
        "e": "blurred",
    }
    assert (after["c"], after["e"]) == (before["c"], before["e"])


def test_a_healthy_set_gets_no_quarantine_file(tmp_path):
    assert update_quarantine(tmp_path, {}, ["a"]) == 0
    assert not (tmp_path / QUARANTINE).exists()


@pytest.mark.parametrize("line", ["only a path", "a\tb\tc\td", '"open\tx\ty', '"open string', "\treason\tdate"])
def test_a_malformed_quarantine_is_named_with_its_line(tmp_path, line):
    (tmp_path / QUARANTINE).write_text(f"path\treason\tdate\na\tbad\t2020-01-01\n{line}\n")
    with pytest.raises(ValueError, match=r"quarantine.tsv:3: "):
        read_quarantine(tmp_path)


@pytest.mark.parametrize("name", [MANIFEST, QUARANTINE])
def test_binary_files_are_no_tables(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{name}: not a text file"):
        (read_manifest if name == MANIFEST else read_quarantine)(tmp_path)
