"""Flow files are Middlebury's, and what is not one is refused by name."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flow.flo import read_flo, write_flo

FLOW = np.array([[[1.5, -2.0], [0.0, 3.25]]], np.float32)  # 2 wide, 1 high
BYTES = b"PIEH" + struct.pack("<ii", 2, 1) + struct.pack("<4f", 1.5, -2.0, 0.0, 3.25)

speeds = st.floats(-1e9, 1e9, width=32)
flows = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: arrays(np.float32, (*size, 2), elements=speeds)
)


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_flo(tmp_path / "a.flo", FLOW)
    assert (tmp_path / "a.flo").read_bytes() == BYTES
    assert names(tmp_path) == {"a.flo"}


@given(flow=flows)
def test_what_is_written_is_read(tmp_path_factory, flow):
    path = tmp_path_factory.getbasetemp() / "round.flo"
    write_flo(str(path), flow)
    back = read_flo(str(path))
    assert back.dtype == np.float32
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, flow)


@pytest.mark.parametrize("layout", ["float64", "big-endian", "transposed", "list"])
def test_any_array_of_numbers_can_be_written(tmp_path, layout):
    flow = {
        "float64": FLOW.astype(np.float64),
        "big-endian": FLOW.astype(">f4"),
        "transposed": np.asfortranarray(FLOW),
        "list": FLOW.tolist(),
    }[layout]
    write_flo(tmp_path / "a.flo", flow)
    assert (tmp_path / "a.flo").read_bytes() == BYTES


def test_unknown_flow_is_nan_here_and_large_in_the_file(tmp_path):
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 1, 0] = np.nan
    write_flo(tmp_path / "a.flo", flow)
    stored = np.fromfile(tmp_path / "a.flo", "<f4", offset=12).reshape(2, 2, 2)
    assert (stored[0, 1] > 1e9).all()
    assert (np.delete(stored.reshape(4, 2), 1, 0) == 0).all()
    assert np.isnan(read_flo(tmp_path / "a.flo")).tolist() == [[[False] * 2, [True] * 2], [[False] * 2] * 2]


@pytest.mark.parametrize("value", [1.666666752e9, -2e9, np.inf, np.nan])
def test_all_that_other_tools_write_for_unknown_is_nan(tmp_path, value):
    path = tmp_path / "a.flo"
    path.write_bytes(BYTES[:16] + struct.pack("<f", value) + BYTES[20:])
    assert np.isnan(read_flo(path)).tolist() == [[[True, True], [False, False]]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes, cut short within its header"),
        (BYTES[:11], "11 bytes, cut short within its header"),
        (b"HEIP" + BYTES[4:], "it is another format"),
        (BYTES[:-1], "cut short, 27 bytes where 2x1 needs 28"),
        (BYTES + b"\0", "too long, 29 bytes where 2x1 needs 28"),
        (b"PIEH" + struct.pack("<ii", 0, 1), "a size of 0x1; both sides must be 1 to 99999"),
        (b"PIEH" + struct.pack("<ii", 1, -1), "a size of 1x-1"),
        (b"PIEH" + struct.pack("<ii", 100000, 1), "a size of 100000x1"),
        (b"PIEH" + struct.pack("<ii", 99999, 99999), "cut short, 12 bytes where 99999x99999 needs 79998400020"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_reason(tmp_path, data, message):
    path = tmp_path / "bad.flo"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"bad\.flo: .*{message}"):
        read_flo(path)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (FLOW[0], r"must have the shape \(height, width, 2\), got \(2, 2\)"),
        (np.zeros((2, 2, 3)), r"got \(2, 2, 3\)"),
        (np.zeros((0, 2, 2)), "a size of 2x0"),
        (np.full((1, 1, 2), 1.1e9), "cannot be told from unknown"),
        (np.full((1, 1, 2), -np.inf), "cannot be told from unknown"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_is_written(tmp_path, flow, message):
    with pytest.raises(ValueError, match=rf"a\.flo: .*{message}"):
        write_flo(tmp_path / "a.flo", flow)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["a.FLO", "a.jpg", "flo", ".flo"])
def test_other_names_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(BYTES)
    for action in (lambda: read_flo(tmp_path / name), lambda: write_flo(tmp_path / name, FLOW)):
        with pytest.raises(ValueError, match=r"must end in \.flo"):
            action()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.flo"):
        read_flo(tmp_path / "a.flo")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_flo(tmp_path / "file" / "a.flo", FLOW)


def test_a_file_is_replaced_as_a_whole_so_that_readers_of_the_old_one_go_on(tmp_path):
    write_flo(tmp_path / "a.flo", FLOW)
    with (tmp_path / "a.flo").open("rb") as old:
        write_flo(tmp_path / "a.flo", 2 * FLOW)
        assert old.read() == BYTES
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), 2 * FLOW)
