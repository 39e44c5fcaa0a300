"""The loader's speed on one's own data: what is tried, what is told. Speeds themselves are not tested."""

import json

import pytest
from helpers import words_for, write_hmdb51

from datasets.decoding.jpeg import native
from engine.command import cli
from opts import TRAIN
from utils1 import bench_loader
from workflows.measuring import loading


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_hmdb51(tmp_path_factory.mktemp("own"))


def parsed(tree, tmp_path, *words):
    return bench_loader.parse_args([*words_for(tree, tmp_path, script=TRAIN), "--only_RGB", *words])


def row(speed, *, decode="exact", read=0.1, decoding=0.8, **changed):
    parts = {"read": read, "decode": decoding, "transform": 0.1}
    return {"changed": changed, "decode": decode, "clips_per_second": speed, "ms_per_clip": parts}


@pytest.mark.slow
def test_every_setting_is_measured_and_the_given_one_is_first(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "default_workers", lambda: 1)
    report = bench_loader.main(parsed(tree, tmp_path, "--seconds", "0.02", "--json"))
    assert json.loads(capsys.readouterr().out) == report
    settings = report["settings"]
    assert settings[0]["changed"] == {}
    assert settings[0]["n_workers"] == 0
    kinds = [(row["loader"], row["n_workers"]) for row in settings[1:3]]
    assert kinds == [("threads", 1), ("processes", 1)]
    assert len(settings) == (3 if native.missing() else 5)
    for row in settings:
        assert row["clips_per_second"] > 0
        assert row["ms_per_clip"]["decode"] > 0
    assert report["warm_read_ms"] > 0


def test_counts_of_workers_double_up_to_the_cores(monkeypatch):
    monkeypatch.setattr(loading, "default_workers", lambda: 6)
    tried = [s["n_workers"] for s in loading.alternatives() if s.get("loader") == "threads" and "decode" not in s]
    assert tried == [1, 2, 4, 6]


def test_the_table_marks_the_given_options_and_ends_with_advice(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "alternatives", lambda: iter([{}, {"n_workers": 1, "loader": "threads"}]))
    monkeypatch.setattr(loading, "forget", lambda folder: False)
    monkeypatch.setattr(native, "missing", lambda: "no compiler")
    bench_loader.main(parsed(tree, tmp_path, "--seconds", "0.02"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["workers", "decoder", "clips/s", "ms", "read", "ms", "decode", "ms", "transform"]
    assert [("<- your options" in line) for line in lines[1:3]] == [True, False]
    assert lines[3].startswith("reading the files of a clip, ms: unknown from the disk, ")
    assert lines[4] == "no native decoder: no compiler"
    assert "most time goes into: " in lines[5]


@pytest.mark.parametrize(
    ("rows", "cold", "told"),
    [
        ([row(100), row(250, loader="threads", n_workers=4)], None, "use --loader threads --n_workers 4: 2.5 times"),
        ([row(100), row(105, loader="threads")], None, "nothing that was tried is much faster; most time goes into: d"),
        ([row(100), row(120, decode="fast")], None, "--decode fast is 1.2 times as fast, and changes pixels a little"),
        ([row(100)], 30.0, "files that are not in memory take 30 ms more per clip: pack them with utils1/pack.py"),
        ([row(100)], 0.2, "frames kept by --cache are decoded only once"),
        ([row(100, read=5.0)], None, "most time goes into: read"),
    ],
)
def test_the_advice_follows_from_what_was_measured(rows, cold, told):
    if rows[-1]["decode"] == "fast":
        rows[-1]["changed"] = {"decode": "fast"}
    assert told in loading.advice(rows, cold, 0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "0"], "--seconds 0 is not more than 0"),
        (["--flow_source", "online", "--modality", "RGB_Flow"], "an option of STS_train.py"),
        (["--frame_dir", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_measured_is_one_line(words, message, tree, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(bench_loader.main, lambda: parsed(tree, tmp_path, *words))
    assert stop.value.code == cli.INPUT
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_every_form_of_a_video_has_its_files_forgotten(tmp_path):
    folder, video, packed = tmp_path / "folder", tmp_path / "video.avi", tmp_path / "pack[1]"
    (folder / "flow").mkdir(parents=True)
    files = [folder / "a.jpg", folder / "flow" / "b.jpg", video, tmp_path / "pack[1].rgb", tmp_path / "pack[1].flow"]
    for file in [*files, tmp_path / "pack1.rgb"]:
        file.write_bytes(b"x")
    assert sorted(f for place in (folder, video, packed) for f in loading.files_of(place)) == sorted(files)
    if hasattr(loading.os, "posix_fadvise"):
        assert all(loading.forget(place) for place in (folder, video, packed))


def test_where_the_system_cannot_be_asked_nothing_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.delattr(loading.os, "posix_fadvise", raising=False)
    assert loading.forget(tmp_path) is False
