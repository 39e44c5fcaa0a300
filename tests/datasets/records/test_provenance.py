"""The records of how frames and flow were made: written once, compared wherever they matter."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE, claim, flow_mismatch, read_provenance


def test_a_root_without_records_has_no_provenance(tmp_path):
    assert read_provenance(tmp_path) == {}


def test_records_are_merged_and_a_second_equal_claim_changes_nothing(tmp_path):
    claim(tmp_path, FRAMES_FILE, {"fps": 25.0, "short_side": None})
    claim(tmp_path, FLOW_FILE, {"algorithm": "dis", "parameters": {"iterations": 25}})
    written = (tmp_path / FRAMES_FILE).stat().st_mtime_ns
    claim(tmp_path, FRAMES_FILE, {"fps": 25.0, "short_side": None})
    assert (tmp_path / FRAMES_FILE).stat().st_mtime_ns == written
    assert {path.name for path in tmp_path.iterdir()} == {FLOW_FILE, FRAMES_FILE}
    assert read_provenance(tmp_path) == {
        "fps": 25.0,
        "short_side": None,
        "algorithm": "dis",
        "parameters": {"iterations": 25},
    }


def test_another_claim_lists_every_difference_and_the_cure(tmp_path):
    claim(tmp_path, FLOW_FILE, {"bound": 20.0, "fps": None, "algorithm": "dis"})
    with pytest.raises(ValueError, match=r"flow\.json: bound 20\.0 there, 15\.0 now; fps source there, 25\.0 now; use"):
        claim(tmp_path, FLOW_FILE, {"bound": 15.0, "fps": 25.0, "algorithm": "dis"})
    assert read_provenance(tmp_path)["bound"] == 20.0


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_an_unreadable_record_is_named(tmp_path, content):
    (tmp_path / FLOW_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"flow\.json: (is not JSON|holds no JSON object)"):
        read_provenance(tmp_path)


def test_a_failed_claim_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        claim(tmp_path, FLOW_FILE, {"bound": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("records", [("a", "a", "a"), ("a", "b", "b")])
def test_of_claims_at_the_same_time_those_that_say_the_same_succeed(tmp_path, monkeypatch, records):
    meeting, link = threading.Barrier(3), Path.hardlink_to

    def meet_and_link(path: Path, target: Path) -> None:
        meeting.wait(60)  # all of them saw that there is no file
        link(path, target)

    monkeypatch.setattr(Path, "hardlink_to", meet_and_link)
    with ThreadPoolExecutor(3) as pool:
        claims = [pool.submit(claim, tmp_path, FLOW_FILE, {"algorithm": name}) for name in records]
    won = read_provenance(tmp_path)["algorithm"]
    for name, made in zip(records, claims, strict=True):
        assert (made.exception() is None) == (name == won)
    assert [path.name for path in tmp_path.iterdir()] == [FLOW_FILE]


def test_a_claim_works_where_files_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for _ in range(2):
        claim(tmp_path, FLOW_FILE, {"bound": 20.0})
    with pytest.raises(ValueError, match=r"bound 20\.0 there, 15\.0 now"):
        claim(tmp_path, FLOW_FILE, {"bound": 15.0})
    assert [path.name for path in tmp_path.iterdir()] == [FLOW_FILE]


def test_a_claim_names_the_parameters_that_differ(tmp_path):
    claim(tmp_path, FLOW_FILE, {"bound": 20.0, "parameters": {"warps": 5, "epsilon": 0.01, "tau": 0.25}})
    with pytest.raises(ValueError) as error:
        claim(tmp_path, FLOW_FILE, {"parameters": {"warps": 5, "epsilon": 0.0, "theta": 0.3}})
    assert str(error.value).split(": ", 1)[1] == (
        "bound 20.0 there, not stated now; parameters epsilon 0.01 there, 0.0 now; parameters tau 0.25 there, "
        "not stated now; parameters theta not stated there, 0.3 now; use another output folder or the same options"
    )


def test_flow_mismatch_names_what_a_network_would_see_and_only_that():
    data = {"bound": 20.0, "library": "opencv 5.0.0", "parameters": {"warps": 5, "tau": 0.25}, "fps": None}
    there = {"bound": 15.0, "library": "opencv 4.14.0", "parameters": {"warps": 2, "tau": 0.25}, "fps": 25.0}
    assert flow_mismatch(data, there) == [
        "parameters warps 5 here, 2 in the checkpoint",
        "bound 20.0 here, 15.0 in the checkpoint",
        "fps source here, 25.0 in the checkpoint",
    ]
    assert flow_mismatch(data, data) == []
    assert flow_mismatch(data, {}) == flow_mismatch({}, data) == []
