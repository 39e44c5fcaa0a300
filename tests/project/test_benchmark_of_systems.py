"""The comparison of systems trains what its rows need, keeps what is finished, and tabulates means over seeds."""

import json

import pytest
from helpers import write_hmdb51

from benchmarks import systems
from benchmarks.accuracy.rows import FUSIONS, ROWS
from benchmarks.accuracy.runs import Bench
from benchmarks.accuracy.tables import motion_table, table


def test_rows_come_after_those_whose_networks_they_begin_with():
    assert systems.with_needed(["TLE, ResNet-18"]) == ["TSN RGB, ResNet-18", "TLE first, ResNet-18", "TLE, ResNet-18"]
    names = list(ROWS)
    assert systems.with_needed(names) == names
    assert all(names.index(other) < names.index(name) for name in names for other in ROWS[name].begins.values())
    assert {row for fusion in FUSIONS.values() for row in fusion.rows} <= {n for n in names if ROWS[n].reads}


def test_tables_have_means_over_seeds():
    rows = [
        {
            "name": "A",
            "seed": seed,
            "reads": "RGB",
            "options": "",
            "seconds": 60.0 * seed,
            "top1": top,
            "mean_class": 0.5,
        }
        for seed, top in ((1, 0.2), (2, 0.3))
    ]
    errors = [{"no flow": 3.0, "MotionNet": 2.0}, {"no flow": 3.0, "MotionNet": 1.0}]
    motion = [{"name": "M", "seed": i, "motion": {"photometric": x, "px": x}} for i, x in enumerate(errors, 1)]
    record = {"environment": {"cpu": "a processor", "torch": "2"}, "rows": [*rows, *motion]}
    record["data"] = {"dataset": "HMDB51", "split": 1, "videos": 7}
    assert "| A | RGB | 25.0 | 20.0, 30.0 | 50.0 | 1.5 |" in table(record)
    assert "HMDB51 split 1, 7 test videos" in table(record)
    assert "| MotionNet | 1.500 | 1.500 |" in motion_table(record)
    assert motion_table(record | {"rows": rows}) == ""


def test_a_file_of_something_else_is_not_gone_on_with(tmp_path):
    (tmp_path / "out.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"out\.json: is not of this script; name another file"):
        systems.finished_rows(tmp_path / "out.json")
    assert systems.finished_rows(tmp_path / "none.json") == []


@pytest.mark.slow
def test_a_row_is_trained_once_and_fused_with_others(tmp_path, monkeypatch, capsys):
    data = write_hmdb51(tmp_path / "data", train=4)
    words = ["--frame_dir", str(data / "frames"), "--annotation_path", str(data / "labels"), "--quick"]
    words += ["--folder", str(tmp_path / "made"), "--out", str(tmp_path / "out.json"), "--seeds", "1"]
    opt = systems.parse_args([*words, "--rows", "frame, ResNet", "stack, ResNet"])
    record = systems.main(opt)
    assert [row["name"] for row in record["rows"]] == [
        *("frame, ResNet-18", "stack, ResNet-18", "very deep two-stream, ResNet-18"),
    ]
    assert all(0 <= row["top1"] <= 1 for row in record["rows"])
    assert "| very deep two-stream, ResNet-18 | RGB, flow |" in capsys.readouterr().out
    monkeypatch.setattr(Bench, "run_row", lambda *_: pytest.fail("trained again"))
    assert systems.main(opt)["rows"] == record["rows"]
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == record["rows"]
