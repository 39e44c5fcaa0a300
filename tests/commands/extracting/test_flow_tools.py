"""Encoding between bounds, colours, and the tools that convert, compare and show stored flow."""

import csv
import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from extraction import MOTION, make_video, tree
from helpers import fill_disk
from hypothesis import given
from hypothesis import strategies as st

from flow import build_flow
from flow.colour import colour_wheel, flow_to_image
from flow.encoding import QUANTISATIONS, convert, decode, encode
from flow.flo import read_flo, write_flo
from utils1 import flow_compare, flow_convert, show_flow
from workflows.stored_flow import compare, show
from workflows.stored_flow.flow_files import Encoding, flow_files

SIZE = (24, 32)
ENCODING = {"bound": 20.0, "quantisation": "truncate", "quality": 95}
REST = {"algorithm": "tvl1", "parameters": {"warps": 5}, "fps": 12.5}
RECORD = REST | ENCODING
VIDEOS = ("run/a", "run/b [1]", "walk/c")
LEVELS = np.arange(256, dtype=np.uint8)
AT_REST = {"truncate": 127, "round": 128}

bounds = st.floats(0.5, 100)
quantisations = st.sampled_from(sorted(QUANTISATIONS))


@given(
    bound=bounds,
    quantisation=quantisations,
    shares=st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=50),
)
def test_decoding_inverts_encoding_to_half_a_level(bound, quantisation, shares):
    flow = np.array(shares, np.float32) * np.float32(bound)
    back = decode(encode(flow, bound, quantisation), bound, quantisation)
    assert back.dtype == np.float32
    assert np.abs(back).max() <= np.float32(bound)
    assert np.abs(back - flow).max() <= bound / 255 * (1 + 1e-4)


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
@pytest.mark.parametrize("bound", [0.7, 15.0, 20.0, 1000.0])
def test_every_level_survives_decoding_and_encoding_and_conversion_to_itself(bound, quantisation):
    np.testing.assert_array_equal(encode(decode(LEVELS, bound, quantisation), bound, quantisation), LEVELS)
    np.testing.assert_array_equal(convert(LEVELS, bound, bound, quantisation), LEVELS)


def test_zero_flow_decodes_to_zero_when_truncated():
    assert decode(encode([0.0], 20.0, "truncate"), 20.0, "truncate").tolist() == [0.0]


@given(old=bounds, new=bounds, before=quantisations, after=quantisations)
def test_conversion_between_bounds_is_the_new_encoding_of_the_old_flow(old, new, before, after):
    flow = decode(LEVELS, old, before)[1:-1]
    found = decode(convert(LEVELS, old, new, before, after), new, after)[1:-1]
    assert np.abs(found - np.clip(flow, -new, new)).max() <= new / 255 * (1 + 1e-3)


@pytest.mark.parametrize("after", AT_REST)
@pytest.mark.parametrize(
    ("before", "old", "new"),
    [
        *((before, *bounds) for before in AT_REST for bounds in ((20.0, 20.0), (10.0, 20.0), (15.0, 32.0))),
        ("truncate", 20.0, 5.0),  # a rounded 128 lies half an old level above zero, more than half a new one
    ],
)
def test_what_is_at_rest_stays_at_rest(before, after, old, new):
    levels = np.array([AT_REST[before]], np.uint8)
    assert convert(levels, old, new, before, after).tolist() == [AT_REST[after]]


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_clipped_levels_stay_at_the_bound_that_clipped_them(quantisation):
    ends = np.array([[0], [255]], np.uint8)
    assert convert(ends, 20.0, 10.0, quantisation).tolist() == [[0], [255]]
    assert convert(ends, 10.0, 20.0, quantisation).tolist() == encode([[-10.0], [10.0]], 20.0, quantisation).tolist()


def test_conversion_refuses_what_does_not_exist():
    with pytest.raises(ValueError, match="quantisation floor: is none of truncate, round"):
        convert(LEVELS, 20.0, 15.0, "floor")
    with pytest.raises(ValueError, match="bound must be a positive number"):
        convert(LEVELS, 20.0, 0.0, "round")


def test_colours_are_those_of_the_published_wheel():
    flow = np.array([[[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0]]], np.float32)
    assert flow_to_image(flow).tolist() == [[[255, 0, 0], [255, 229, 0], [0, 209, 255], [88, 0, 255], [255, 255, 255]]]


def test_half_the_speed_is_half_the_colour_and_faster_than_the_scale_is_full_colour():
    flow = np.array([[[2, 0], [4, 0], [40, 0]]], np.float32)
    assert flow_to_image(flow, 4.0).tolist() == [[[255, 127, 127], [255, 0, 0], [255, 0, 0]]]
    np.testing.assert_array_equal(flow_to_image(flow), flow_to_image(flow, 40.0))


def test_a_picture_depends_on_the_flow_and_the_scale_alone():
    flow = np.random.default_rng(0).normal(size=(9, 7, 2))
    before = flow.copy()
    whole = flow_to_image(flow, 3.0)
    np.testing.assert_array_equal(flow, before)
    np.testing.assert_array_equal(flow_to_image(flow[2:5, 1:4], 3.0), whole[2:5, 1:4])
    assert whole.dtype == np.uint8
    assert whole.shape == (9, 7, 3)


def test_unknown_flow_is_black_and_none_at_all_is_white():
    flow = np.array([[[np.nan, 0], [1, np.inf], [0, 0]]])
    assert flow_to_image(flow).tolist() == [[[0] * 3, [0] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("flow", "scale", "message"),
    [
        (np.zeros((4, 4)), 1.0, r"shape \(height, width, 2\), got \(4, 4\)"),
        (np.zeros((0, 4, 2)), 1.0, r"got \(0, 4, 2\)"),
        (np.zeros((4, 4, 2)), 0.0, "max_flow must be a positive number of pixels, got 0"),
        (np.zeros((4, 4, 2)), float("nan"), "max_flow must be a positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused(flow, scale, message):
    with pytest.raises(ValueError, match=message):
        flow_to_image(flow, scale)


def test_the_wheel_moves_outwards_at_full_speed_at_its_rim():
    wheel = colour_wheel(65)
    assert wheel.shape == (65, 65, 3)
    assert wheel[32, 64].tolist() == [255, 0, 0]
    assert wheel[64, 32].tolist() == [255, 229, 0]
    assert wheel[32, 32].tolist() == wheel[0, 0].tolist() == [255, 255, 255]


def smooth_flow(seed: int) -> np.ndarray:
    """Up to about 12 pixels, smooth enough for JPEG to keep."""
    noise = np.random.default_rng(seed).normal(size=(*SIZE, 2)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 6) * 60


def write_pair(folder: Path, number: int, flow: np.ndarray, bound: float = 20.0, quantisation: str = "truncate"):
    levels = encode(flow, bound, quantisation)
    for axis, name in enumerate("xy"):
        cv2.imwrite(str(folder / f"TVL1jpg_{name}_{number:05d}.jpg"), levels[..., axis])


def write_video(folder: Path, seed: int, flows: int = 3) -> None:
    folder.mkdir(parents=True)
    for number in range(1, flows + 2):
        frame = np.random.default_rng(seed + number).integers(0, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), frame)
        if number <= flows:
            write_pair(folder, number, smooth_flow(100 * seed + number))
    (folder / "done").write_text(f"rgb {flows + 1}\nflow {flows}\n")


@pytest.fixture
def root(tmp_path) -> Path:
    """Three videos of 3 flows as the extraction leaves them."""
    for seed, name in enumerate(VIDEOS):
        write_video(tmp_path / "root" / name, seed)
    (tmp_path / "root" / "flow.json").write_text(json.dumps(RECORD))
    (tmp_path / "root" / "frames.json").write_text('{"fps": 12.5}')
    return tmp_path / "root"


@pytest.fixture
def flo_root(tmp_path) -> Path:
    """The flow that the videos of `root` were made from."""
    for seed, name in enumerate(VIDEOS):
        for number in range(1, 4):
            write_flo(tmp_path / "flo" / name / f"{number:05d}_flow256crop.flo", smooth_flow(100 * seed + number))
    return tmp_path / "flo"


def run_convert(source: Path, target: Path, *options: str) -> None:
    flow_convert.main(flow_convert.parse_args([str(source), str(target), "--workers=1", *options]))


def run_compare(a: Path, b: Path, *options: str) -> dict:
    return flow_compare.main(flow_compare.parse_args([str(a), str(b), "--workers=1", *options]))


def run_show(source: Path, *options: str) -> None:
    show_flow.main(show_flow.parse_args([str(source), *options]))


def levels_of(folder: Path, number: int) -> np.ndarray:
    names = (f"TVL1jpg_{axis}_{number:05d}.jpg" for axis in "xy")
    return np.stack([cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for name in names], -1)


def test_converted_folders_hold_the_same_motion_at_the_new_bound(root, tmp_path):
    run_convert(root, tmp_path / "new", "--bound=40", "--quant=round")
    assert tree(tmp_path / "new").keys() == tree(root).keys()
    for number in range(1, 4):
        flow = decode(levels_of(tmp_path / "new" / "run/b [1]", number), 40.0, "round")
        assert np.abs(flow - smooth_flow(100 + number)).mean() < 40 / 255
    assert (tmp_path / "new/run/a/done").read_text() == "rgb 4\nflow 3\n"


def test_the_record_says_the_new_encoding_and_the_old_one(root, tmp_path):
    run_convert(root, tmp_path / "new", "--bound=15")
    before = {"format": "jpg"} | ENCODING
    record = json.loads((tmp_path / "new/flow.json").read_text())
    assert record == RECORD | {"bound": 15.0, "converted_from": before}
    assert json.loads((tmp_path / "new/frames.json").read_text()) == {"fps": 12.5}
    run_convert(tmp_path / "new", tmp_path / "newer", "--to=flo")
    record = json.loads((tmp_path / "newer/flow.json").read_text())
    assert record == REST | {"converted_from": before | {"bound": 15.0, "converted_from": before}}


def test_frames_are_links_or_where_there_are_none_copies(root, tmp_path, monkeypatch):
    run_convert(root, tmp_path / "linked", "--bound=15")
    assert (tmp_path / "linked/run/a/00001.jpg").samefile(root / "run/a/00001.jpg")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "copied").mkdir()
    for name in ("flow.json", "frames.json"):
        (tmp_path / "copied" / name).write_bytes((tmp_path / "linked" / name).read_bytes())
    run_convert(root, tmp_path / "copied", "--bound=15")
    assert not (tmp_path / "copied/run/a/00001.jpg").samefile(root / "run/a/00001.jpg")
    assert tree(tmp_path / "copied") == tree(tmp_path / "linked")


def test_flow_files_and_pictures_turn_into_each_other(root, flo_root, tmp_path):
    run_convert(flo_root, tmp_path / "jpg", "--bound=20", "--quant=truncate")
    np.testing.assert_array_equal(levels_of(tmp_path / "jpg/run/a", 2), levels_of(root / "run/a", 2))
    assert (tmp_path / "jpg/run/a/done").read_text() == "flow 3\n"
    run_convert(root, tmp_path / "flo2", "--to=flo")
    flow = read_flo(tmp_path / "flo2/walk/c/00003.flo")
    np.testing.assert_array_equal(flow, decode(levels_of(root / "walk/c", 3), 20.0, "truncate"))


def test_a_single_video_becomes_a_folder_of_its_name(root, tmp_path):
    run_convert(root / "run/a", tmp_path / "new", "--bound=15")
    assert (tmp_path / "new/a/done").exists()
    assert json.loads((tmp_path / "new/flow.json").read_text())["converted_from"]["bound"] == 20.0


def test_values_that_a_bound_clips_are_counted_and_said(root, flo_root, tmp_path, caplog):
    flows = np.stack([smooth_flow(100 * seed + number) for seed in range(3) for number in range(1, 4)])
    lost = int((np.abs(flows) > 4).sum())
    assert 0 < lost < flows.size
    with caplog.at_level("INFO"):
        run_convert(flo_root, tmp_path / "small", "--bound=4", "--quant=round")
        run_convert(tmp_path / "small", tmp_path / "large", "--bound=20")
        run_convert(root, tmp_path / "enough", "--bound=32")
    made = "converted 3 videos, 0 were already complete, 0 failed"
    share = f"{100 * lost / flows.size:.2g} %"
    assert caplog.messages[:2] == [made, f"{lost} of {flows.size} values ({share}) are clipped at 4 pixels"]
    assert "are already clipped at 4 pixels" in caplog.messages[3]
    assert caplog.messages[4:] == [made]


def test_a_second_run_touches_nothing_and_other_options_are_refused(root, tmp_path, caplog):
    run_convert(root, tmp_path / "new", "--bound=15")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "new").rglob("*")}
    with caplog.at_level("INFO"):
        run_convert(root, tmp_path / "new", "--bound=15")
    assert caplog.messages == ["converted 0 videos, 3 were already complete, 0 failed"]
    with pytest.raises(ValueError, match=r"flow\.json: bound 15\.0 there, 10\.0 now"):
        run_convert(root, tmp_path / "new", "--bound=10")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "new").rglob("*")} == times


def test_an_interruption_leaves_complete_videos_only_and_a_second_run_the_same_bytes(root, tmp_path, monkeypatch):
    fill_disk(monkeypatch, 9)  # a video is 6 pictures and `done`
    with pytest.raises(OSError, match=r"No space left on device: '.*TVL1jpg_x_00002\.jpg'"):
        run_convert(root, tmp_path / "new", "--bound=15")
    monkeypatch.undo()
    assert {path.parent.name for path in (tmp_path / "new").rglob("*.jpg")} == {"a"}
    run_convert(root, tmp_path / "new", "--bound=15")
    run_convert(root, tmp_path / "at_once", "--bound=15")
    assert tree(tmp_path / "new") == tree(tmp_path / "at_once")


def test_a_folder_without_its_done_is_made_again(root, tmp_path):
    run_convert(root, tmp_path / "new", "--bound=15")
    whole = tree(tmp_path / "new")
    (tmp_path / "new/run/a/done").unlink()
    (tmp_path / "new/run/a/00001.jpg").unlink()
    (tmp_path / "new/run/a/TVL1jpg_x_00002.jpg").unlink()
    run_convert(root, tmp_path / "new", "--bound=15")
    assert tree(tmp_path / "new") == whole


def test_bad_videos_are_named_and_the_others_are_converted(root, tmp_path, capfd):
    (root / "run/a/TVL1jpg_y_00002.jpg").unlink()
    (root / "walk/c/TVL1jpg_y_00002.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 3 videos could not be converted \(named above\)"):
        run_convert(root, tmp_path / "new", "--bound=15")
    lines = capfd.readouterr().err.splitlines()
    bad = [["bad video", str(root / video / "TVL1jpg_y_00002.jpg")] for video in ("run/a", "walk/c")]
    assert [line.split(": ")[:2] for line in lines] == bad
    assert {path.parent.name for path in (tmp_path / "new").rglob("*.jpg")} == {"b [1]"}
    assert not list((tmp_path / "new").rglob(".part-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bound=0"], "bound must be a positive number of pixels, got 0"),
        (["--bound=15", "--from_bound=32"], r"flow\.json says bound 20\.0, not 32\.0; leave out --from_bound"),
        (["--bound=15", "--from_quant=round"], "says quantisation truncate, not round"),
        (["--to=flo", "--bound=15"], r"--to flo: \.flo files have no --bound and no --quant"),
        (["--bound=15", "--workers=0"], "--workers 0 is not at least 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(root, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run_convert(root, tmp_path / "new", *options)
    assert not list(tmp_path.rglob("new/*/*"))


def test_sources_that_cannot_be_converted_are_refused(root, flo_root, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        run_convert(tmp_path / "nowhere", tmp_path / "new", "--bound=15")
    with pytest.raises(ValueError, match="lies in it; choose another DST"):
        run_convert(root, root / "new", "--bound=15")
    with pytest.raises(ValueError, match=r"holds both of .* name one of"):
        run_convert(tmp_path, tmp_path.with_name("new"), "--bound=15")
    with pytest.raises(ValueError, match="holds neither of"):
        (tmp_path / "empty").mkdir()
        run_convert(tmp_path / "empty", tmp_path / "new", "--bound=15")
    with pytest.raises(ValueError, match=r"--to flo: .* holds \.flo files already"):
        run_convert(flo_root, tmp_path / "new", "--to=flo")
    with pytest.raises(ValueError, match=r"\.flo files have no bound yet; give --bound and --quant"):
        run_convert(flo_root, tmp_path / "new", "--bound=15")
    (root / "flow.json").unlink()
    with pytest.raises(ValueError, match=r"no flow\.json says the bound of its flow; give --from_bound --from_quant"):
        run_convert(root, tmp_path / "new", "--bound=15")
    assert not (tmp_path / "new").exists()
    run_convert(root, tmp_path / "new", "--bound=15", "--from_bound=20", "--from_quant=truncate")
    assert json.loads((tmp_path / "new/flow.json").read_text())["converted_from"]["bound"] == 20.0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["00001.flo", "00003.flo"], r"00003\.flo: number 3 where 2 is next"),
        (["00000.flo", "00001.flo"], r"00000\.flo: number 0 where 1 is next; \.flo files count from 1"),
        (["a.flo"], r"a\.flo: number 0 where 1 is next"),
        (["x_00001.flo", "y_00001.flo"], r"x_00001\.flo: and y_00001\.flo have the same number"),
    ],
)
def test_flow_files_must_be_numbered_from_1_without_gaps(tmp_path, names, message):
    for name in names:
        write_flo(tmp_path / name, smooth_flow(0))
    with pytest.raises(ValueError, match=message):
        flow_files(tmp_path)


def test_unknown_flow_cannot_become_pictures(tmp_path, capfd):
    (tmp_path / "flo/a").mkdir(parents=True)
    write_flo(tmp_path / "flo/a/1.flo", np.full((*SIZE, 2), np.nan))
    with pytest.raises(ValueError, match="1 of 1 video could not be converted"):
        run_convert(tmp_path / "flo", tmp_path / "new", "--bound=20", "--quant=round")
    assert "1.flo: has unknown flow, which grey levels cannot say" in capfd.readouterr().err


def test_numbers_of_a_comparison_are_those_of_numpy(tmp_path):
    pairs = [(smooth_flow(number), smooth_flow(number) + 0.01 * smooth_flow(50 + number)) for number in (1, 2)]
    for side, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        for number, pair in enumerate(pairs, start=1):
            write_flo(tmp_path / folder / f"{number:05d}.flo", pair[side])
    report = run_compare(tmp_path / "a", tmp_path / "b", "--bound=15", "--quant=round")
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    lengths = np.linalg.norm(a - b, axis=-1)
    levels = np.abs(encode(a, 15.0, "round").astype(int) - encode(b, 15.0, "round"))
    total = report["total"]
    assert report["videos"] == {".": total}
    assert report["grey"] == {"bound": 15.0, "quantisation": "round"}
    assert total["flows"] == 2
    assert total["mean"] == pytest.approx(lengths.mean(), rel=1e-5)
    assert total["median"] == pytest.approx(np.median(lengths), rel=6e-3)
    assert total["p99"] == pytest.approx(np.quantile(lengths, 0.99), rel=6e-3)
    assert total["grey"] == pytest.approx(levels.mean())
    assert total["identical"] == pytest.approx(100 * (levels == 0).mean())
    assert total["within1"] == pytest.approx(100 * (levels <= 1).mean())


@pytest.mark.parametrize("length", [1.0, 1.0077, 0.0003, 700.0])
def test_quantiles_are_right_to_half_a_percent_at_either_end_of_a_bin(length):
    flow = np.zeros((*SIZE, 2), np.float32)
    row = compare.measure(flow, flow + np.array([length, 0], np.float32), Encoding(20.0, "round"))
    assert row.summary()["median"] == pytest.approx(length, rel=5e-3)


def test_a_root_equals_itself_and_pictures_lie_half_a_level_around_the_flow(root, flo_root, capsys):
    total = run_compare(root, root, "--max_epe=0")["total"]
    assert (total["flows"], total["mean"], total["median"], total["p99"], total["grey"]) == (9, 0, 0, 0, 0)
    assert (total["identical"], total["within1"]) == (100, 100)
    total = run_compare(root, flo_root)["total"]
    assert 0.01 < total["mean"] < 30 / 255
    assert total["within1"] > 99.9
    out = capsys.readouterr().out
    assert "3 videos; grey levels of 20 pixels, truncate" in out
    assert [line.split()[0] for line in out.splitlines()[-4:]][-1] == "total"


def test_bounds_of_each_side_are_taken_from_its_record(root, tmp_path, capsys):
    run_convert(root, tmp_path / "new", "--bound=32", "--quant=round")
    report = run_compare(root, tmp_path / "new")
    assert report["total"]["mean"] < 32 / 255
    assert "bound: 20.0 | 32.0" in report["flow_json"]
    assert "quantisation: truncate | round" in report["flow_json"]
    assert "flow.json, A | B: bound: 20.0 | 32.0" in capsys.readouterr().out
    (tmp_path / "new/flow.json").unlink()
    with pytest.raises(ValueError, match=r"no flow\.json says the bound of its flow; give --bound --quant"):
        run_compare(root, tmp_path / "new")
    assert run_compare(root, tmp_path / "new", "--bound=32", "--quant=round")["total"] == report["total"]


def test_unlike_counts_and_missing_videos_are_named_and_the_rest_is_compared(root, tmp_path, capsys):
    run_convert(root, tmp_path / "new", "--bound=20.0001")
    for name in ("TVL1jpg_x_00003.jpg", "TVL1jpg_y_00003.jpg", "00004.jpg"):
        (tmp_path / "new/run/a" / name).unlink()
    (tmp_path / "new/run/a/done").write_text("")
    (tmp_path / "new/walk").rename(tmp_path / "new/fly")
    report = run_compare(root, tmp_path / "new")
    assert report["problems"] == ["fly/c: only in B", "run/a: 3 flows in A, 2 in B", "walk/c: only in A"]
    assert {name: row["flows"] for name, row in report["videos"].items()} == {"run/a": 2, "run/b [1]": 3}
    assert "problem: run/a: 3 flows in A, 2 in B" in capsys.readouterr().out


def test_videos_that_cannot_be_read_or_differ_in_size_end_in_an_error(root, flo_root, capsys):
    (root / "run/a/TVL1jpg_y_00002.jpg").write_bytes(b"")
    write_flo(flo_root / "walk/c/00002_flow256crop.flo", np.zeros((3, 4, 2)))
    with pytest.raises(ValueError, match=r"2 of 3 videos could not be compared \(named above\)"):
        run_compare(root, flo_root)
    out = capsys.readouterr().out
    assert "TVL1jpg_y_00002.jpg: damaged image" in out
    assert "problem: walk/c: flow of 32x24 in A, of 4x3 in B" in out


def test_unknown_flow_is_left_out_and_counted(tmp_path):
    flow = smooth_flow(0)
    for folder, row in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        known = flow.copy()
        known[row] = np.nan
        write_flo(tmp_path / folder / "1.flo", known)
    total = run_compare(tmp_path / "a", tmp_path / "b")["total"]
    assert (total["unknown"], total["mean"], total["identical"]) == (2 * SIZE[1], 0, 100)
    write_flo(tmp_path / "b/1.flo", np.full((*SIZE, 2), np.nan))
    assert run_compare(tmp_path / "a", tmp_path / "b")["total"] == {"flows": 1, "unknown": flow.size // 2}
    with pytest.raises(ValueError, match="inf pixels, exceeds --max_epe 5"):
        run_compare(tmp_path / "a", tmp_path / "b", "--max_epe=5")


def test_roots_without_a_common_video_are_refused(root):
    with pytest.raises(ValueError, match=r"has no video with .* in common, the first are run/a and a"):
        run_compare(root, root / "run")


def test_reports_hold_every_video(root, flo_root, tmp_path):
    report = run_compare(root, flo_root, f"--json={tmp_path / 'r.json'}", f"--csv={tmp_path / 'r.csv'}")
    assert json.loads((tmp_path / "r.json").read_text()) == report
    with (tmp_path / "r.csv").open() as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"run/a", "run/b [1]", "walk/c", "total"}
    assert float(rows["total"]["mean"]) == report["total"]["mean"]


def test_problems_and_videos_that_differ_least_are_cut_short_in_print(monkeypatch):
    monkeypatch.setattr(compare, "SHOWN", 2)
    row = dict.fromkeys(compare.COLUMNS, 1.0)
    videos = {name: row | {"mean": mean} for name, mean in (("a", 0.1), ("b", 0.3), ("c", 0.2))}
    grey = {"bound": 15.0, "quantisation": "round"}
    problems = [f"{name}: bad" for name in "abcde"]
    report = {"flow_json": ["bound: 1 | 2"], "problems": problems, "grey": grey, "videos": videos, "total": row}
    lines = compare.as_text(report).splitlines()
    assert lines[:3] == ["flow.json, A | B: bound: 1 | 2", "problem: a: bad", "problem: b: bad"]
    assert lines[3] == "3 more problems; --json has all"
    assert lines[4] == "3 videos, the 2 that differ most; grey levels of 15 pixels, round"
    assert [line.split()[0] for line in lines[5:]] == ["video", "b", "c", "total"]


def test_the_results_do_not_depend_on_processes_and_a_large_difference_is_an_error_below_the_table(
    root, tmp_path, capsys
):
    run_convert(root, tmp_path / "new", "--bound=32", "--workers=2")
    run_convert(root, tmp_path / "alone", "--bound=32")
    assert tree(tmp_path / "new") == tree(tmp_path / "alone")
    with pytest.raises(ValueError, match=r"the mean end-point difference, 0\..* pixels, exceeds --max_epe 0\.0001"):
        run_compare(root, tmp_path / "new", "--max_epe=0.0001", "--workers=2")
    assert capsys.readouterr().out.splitlines()[-1].startswith("total")


def read_png(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_sheet_shows_the_frames_and_their_flow_at_one_scale(root, tmp_path):
    run_show(root / "run/a", f"--out={tmp_path / 'sheet.png'}", "--max=10", "--frames=2")
    sheet = read_png(tmp_path / "sheet.png")
    height, left, top = 240, show.GAP, show.HEADER + show.LABEL
    frame = cv2.cvtColor(cv2.imread(str(root / "run/a/00001.jpg")), cv2.COLOR_BGR2RGB)
    flow = flow_to_image(decode(levels_of(root / "run/a", 1), 20.0, "truncate"), 10.0)
    for image, x in ((frame, left), (flow, left + show.PANEL)):
        shown = sheet[top : top + height, x : x + show.PANEL]
        back = cv2.resize(shown, SIZE[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(back.astype(int) - image).mean() < 20
    assert sheet.shape == (
        top + height + show.GAP,
        2 * left + 2 * 2 * show.PANEL + show.GAP,
        3,
    )


@pytest.mark.parametrize(("frames", "shown"), [(1, [1]), (2, [1, 9]), (3, [1, 5, 9]), (50, list(range(1, 10)))])
def test_the_flows_of_a_sheet_are_spread_over_the_video(tmp_path, monkeypatch, frames, shown):
    write_video(tmp_path / "a", 0, flows=9)
    drawn = []
    draw = show.draw_sheet
    monkeypatch.setattr(show, "draw_sheet", lambda pairs, *rest: drawn.extend(pairs) or draw(pairs, *rest))
    options = ("--bound=20", "--quant=truncate", f"--out={tmp_path / 's.png'}", f"--frames={frames}")
    run_show(tmp_path / "a", *options)
    assert [pair.number for pair in drawn] == shown


def test_the_scale_is_that_of_the_fastest_hundredth_and_at_least_a_pixel():
    flow = np.zeros((10, 100, 2), np.float32)
    assert show.choose_scale([show.Pair(1, None, flow)]) == 1.0
    flow[:, :2] = 3, 4
    assert show.choose_scale([show.Pair(1, None, flow), show.Pair(2, None, flow)]) == 5.0


def test_flow_of_a_video_file_is_computed_between_its_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = show.VideoFile(make_video(tmp_path / "film.avi"), build_flow("dis"), 25.0, None)
    frames = list(video.frames())
    assert video.count == 5
    pairs = list(video.pairs([2, 5]))
    assert [pair.number for pair in pairs] == [2, 5]
    for pair in pairs:
        np.testing.assert_array_equal(pair.frame, frames[pair.number - 1])
        np.testing.assert_allclose(np.median(pair.flow, (0, 1)), MOTION, atol=0.1)
    run_show(Path("film.avi"), "--flow=dis", "--frames=2", "--short_side=0")
    assert read_png(Path("film_flow.png")).shape[1] > 2 * show.PANEL


def test_a_film_has_every_flow_at_the_rate_of_the_video(root, tmp_path):
    run_show(root / "run/a", f"--out={tmp_path / 'film.mp4'}", "--max=10")
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == 12.5
    pictures = []
    while (read := film.read())[0]:
        pictures.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    assert len(pictures) == 3
    assert pictures[0].shape == (240, 2 * show.PANEL, 3)
    flow = flow_to_image(decode(levels_of(root / "run/a", 2), 20.0, "truncate"), 10.0)
    shown = cv2.resize(pictures[1][:, show.PANEL :], SIZE[::-1], interpolation=cv2.INTER_AREA)
    without_wheel = np.s_[:, :20]
    assert np.abs(shown.astype(int) - flow)[without_wheel].mean() < 15
    assert [path.name for path in tmp_path.iterdir()] in (["film.mp4", "root"], ["root", "film.mp4"])


def test_flow_without_frames_is_shown_alone(flo_root, tmp_path):
    run_show(flo_root / "run/a", f"--out={tmp_path / 's.png'}", "--frames=1")
    assert read_png(tmp_path / "s.png").shape[1] == show.PANEL + 2 * show.GAP


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nowhere", [], "nowhere: no such folder or video"),
        ("root", [], "root: is not the folder of one video; name one, such as .*run/a"),
        ("root/run/a", ["--out=a.gif"], r"--out a\.gif: must end in \.png or \.mp4"),
        ("root/run/a", ["--frames=0"], "--frames 0 and --max None must be positive"),
        ("root/run/a", ["--max=-1"], "--frames 8 and --max -1.0 must be positive"),
        ("root/run/a", ["--bound=15"], r"flow\.json says bound 20\.0, not 15\.0; leave out --bound --quant"),
        ("root/flow.json", ["--flow=dis"], "is not a video"),
        ("one.avi", ["--flow=dis"], "a single frame has no flow"),
    ],
)
def test_what_cannot_be_shown_is_named(root, tmp_path, monkeypatch, source, options, message):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "one.avi", frames=1)
    before = tree(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_show(tmp_path / source, *options)
    assert tree(tmp_path) == before


def test_a_film_that_cannot_be_written_is_an_error(root, tmp_path):
    (tmp_path / "no_folder").touch()
    with pytest.raises(OSError, match="no_folder"):
        run_show(root / "run/a", f"--out={tmp_path / 'no_folder' / 'film.mp4'}")
