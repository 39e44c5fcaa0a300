"""Every published layout is read, recognised, and what does not fit is explained."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.clips.views import Placement, whole
from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.stores import frames
from datasets.stores.detect import STORES, detect_layout, open_store
from datasets.stores.frames import FrameFolders
from datasets.stores.layouts import LAYOUTS, PUBLISHED
from datasets.stores.store import Video
from datasets.streams import FLOW, RGB

PATH = "HandstandPushups/v_HandstandPushups_g01_c01"
STEP = 8  # grey levels from image to image
SHOWN = Placement(whole)

# The names of the first file of each image plane, written out from the tools' own documentation.
NAME = "v_HandstandPushups_g01_c01"
FEICHT_RGB = f"HandstandPushups/separated_images/{NAME}"
FIRST_FILES = {
    "sts": ([f"{PATH}/00001.jpg"], [f"{PATH}/TVL1jpg_{axis}_00001.jpg" for axis in "xy"]),
    "denseflow": ([f"{NAME}/img_00001.jpg"], [f"{NAME}/flow_{axis}_00001.jpg" for axis in "xy"]),
    "denseflow-eval": ([f"{PATH}/image_0001.jpg"], [f"{PATH}/flow_{axis}_0001.jpg" for axis in "xy"]),
    "ibm": ([f"{PATH}/00001.jpg"], [f"{PATH}/00001_{axis}.jpg" for axis in "xy"]),
    "resnet3d": ([f"{PATH}/image_00001.jpg"], []),
    "feicht": ([f"{FEICHT_RGB}/{NAME}_1.jpg"], [f"u/{NAME}/frame000001.jpg", f"v/{NAME}/frame000001.jpg"]),
}


def numbered(name: str, number: int) -> str:
    """`name` with its last run of digits, which reads 1, replaced by a number of at least as many digits."""
    stem, suffix = name.removesuffix(".jpg"), ".jpg"
    if stem.endswith(("1_x", "1_y")):  # ibm
        stem, suffix = stem[:-2], stem[-2:] + suffix
    digits = len(stem) - len(stem.rstrip("01"))
    return f"{stem[:-digits]}{number:0{digits}d}{suffix}"


def draw(path: Path, level: int, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (16, 24, 3) if channels == 3 else (16, 24)
    written, data = cv2.imencode(".jpg", np.full(shape, level, np.uint8))
    assert written
    path.write_bytes(data)


def make_tree(root: Path, layout: str, count: int = 6, first: int = 1) -> Path:
    """A video of `count` frames as the tool leaves it: frame i is of level i * STEP, flow 100 + i, 200 + i."""
    rgb, flow = FIRST_FILES[layout]
    flows = count - PUBLISHED[layout].lags[0]
    for i in range(1, count + 1):
        for name in rgb:
            draw(root / numbered(name, i + first - 1), i * STEP, 3)
        for plane, name in enumerate(flow) if i <= flows else ():
            draw(root / numbered(name, i + first - 1), 100 * (plane + 1) + i)
    return root


def entry(path: str = PATH) -> Entry:
    return Entry(path, 0, path)


def video_in(store: FrameFolders, path: str = PATH, count: int = 5) -> Video:
    return Video(path, store.locate(path), 0, count)


@pytest.mark.parametrize("layout", PUBLISHED)
def test_every_published_layout_is_counted_and_read_frame_by_frame(layout, tmp_path):
    store = FrameFolders(make_tree(tmp_path, layout), layout)
    needs = {"rgb", "flow"} if FIRST_FILES[layout][1] else {"rgb"}
    counts = store.counts(store.locate(PATH), needs)
    assert counts["rgb"] == 6
    assert counts.get("flow", 6 - store.flow_lag) == 6 - store.flow_lag
    assert store.counts(store.locate(PATH), {"rgb"}) == {"rgb": 6}
    clip = store.read(video_in(store), RGB, [1, 4, 5], SHOWN)
    assert clip.shape == (3, 3, 16, 24)
    assert np.abs(clip.mean((0, 2, 3)) - [8, 32, 40]).max() < 1
    if "flow" in needs:
        clip = store.read(video_in(store), FLOW, [1, 4, 5], SHOWN)
        assert np.abs(clip.mean((2, 3)) - [[101, 104, 105], [201, 204, 205]]).max() < 1
    assert np.abs(store.grey(video_in(store), [2, 6]).mean((1, 2)) - [16, 48]).max() < 1


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("layout", PUBLISHED)
def test_every_layout_is_recognised_whether_it_counts_from_one_or_zero(layout, first, tmp_path):
    store = open_store("auto", make_tree(tmp_path, layout, first=first), [entry()])
    assert detect_layout(tmp_path, [entry()]) == layout + ("-from-0" if first == 0 else "")
    clip = store.read(video_in(store), RGB, [1, 2], SHOWN)
    assert np.abs(clip.mean((0, 2, 3)) - [8, 16]).max() < 1  # frame 1 is the first one, whatever its file is called
    assert store.counts(store.locate(PATH), {"rgb"}) == {"rgb": 6}


@pytest.mark.parametrize("layout", PUBLISHED)
def test_files_that_count_from_zero_are_no_silent_shift(layout, tmp_path):
    store = FrameFolders(make_tree(tmp_path, layout, first=0), layout)
    with pytest.raises(ValueError, match=r"0+\.jpg: its files are numbered from 0.*-from-0"):
        store.counts(store.locate(PATH), {"rgb"})
    store = FrameFolders(make_tree(tmp_path / "one", layout), f"{layout}-from-0")
    with pytest.raises(ValueError, match=r"0\.jpg: missing"):
        store.counts(store.locate(PATH), {"rgb"})


@pytest.mark.parametrize("layout", PUBLISHED)
def test_a_segment_begins_where_it_says(layout, tmp_path):
    store = FrameFolders(make_tree(tmp_path, layout), layout)
    video = video_in(store)._replace(first=2, num_frames=3)
    assert np.abs(store.read(video, RGB, [1, 3], SHOWN).mean((0, 2, 3)) - [24, 40]).max() < 1


@pytest.mark.parametrize("layout", PUBLISHED)
def test_a_missing_file_is_named_in_every_plane(layout, tmp_path):
    root = make_tree(tmp_path, layout)
    store, (rgb, flow) = FrameFolders(root, layout), FIRST_FILES[layout]
    for name in [*rgb, *flow]:
        file = root / numbered(name, 3)
        data = file.read_bytes()
        file.unlink()
        with pytest.raises(ValueError, match=rf"{file.name}: missing, though frames go up to"):
            store.counts(store.locate(PATH), {"rgb", "flow"} if flow else {"rgb"})
        file.write_bytes(data)


@pytest.mark.parametrize("layout", [name for name, layout in PUBLISHED.items() if layout["flow"]])
def test_frames_and_flow_must_fit_as_the_tool_makes_them(layout, tmp_path):
    root = make_tree(tmp_path, layout)
    store, (rgb, flow) = FrameFolders(root, layout), FIRST_FILES[layout]
    for i in (7, 8):
        draw(root / numbered(rgb[0], i), 0, 3)
    with pytest.raises(ValueError, match=rf"{Path(numbered(flow[0], 7 - store.flow_lag)).name}: missing; there are 8"):
        store.counts(store.locate(PATH), {"rgb", "flow"})
    assert store.counts(store.locate(PATH), {"rgb"}) == {"rgb": 8}
    for number in range(1, 9):
        (root / numbered(rgb[0], number)).unlink()
    (root / rgb[0]).parent.rename(root / "gone") if layout == "feicht" else None
    assert store.counts(store.locate(PATH), {"flow"})["flow"] == 6 - store.flow_lag
    with pytest.raises(FileNotFoundError, match="no rgb images"):
        store.counts(store.locate(PATH), {"rgb", "flow"})


def test_where_flow_has_no_partner_the_last_frame_is_left_out(tmp_path):
    root = make_tree(tmp_path, "feicht")
    draw(root / FEICHT_RGB / f"{NAME}_7.jpg", 56, 3)
    store = FrameFolders(root, "feicht")
    (video,) = find_videos([entry()], store, needs={"rgb", "flow"})
    assert video.num_frames == 6
    (video,) = find_videos([entry()], store, needs={"rgb"})
    assert video.num_frames == 7


def test_a_layout_without_flow_says_so(tmp_path):
    store = FrameFolders(make_tree(tmp_path, "resnet3d"), "resnet3d")
    assert store.streams == {"rgb"}
    with pytest.raises(FileNotFoundError, match="no flow images, which this layout does not know"):
        store.counts(store.locate(PATH), {"flow"})
    with pytest.raises(ValueError, match="no flow images"):
        store.read(video_in(store), FLOW, [1], SHOWN)


def test_flat_layouts_may_also_lie_in_class_folders(tmp_path):
    make_tree(tmp_path / "flat", "denseflow")
    flat = tmp_path / "flat" / Path(PATH).name
    (tmp_path / "nested" / PATH).parent.mkdir(parents=True)
    flat.rename(tmp_path / "nested" / PATH)
    assert detect_layout(tmp_path / "nested", [entry()]) == "denseflow"


def test_numbers_may_need_more_digits_than_the_layout_writes(tmp_path, monkeypatch):
    others = {"000007.jpg", "0100000.jpg", f"{'9' * 200}.jpg", "\u0661\u0661\u0661\u0661\u0661.jpg", "1.jpg", ".jpg"}
    others |= {"thumb.jpg", "100002.png"}
    names = {f"{i:05d}.jpg" for i in range(1, 100_002)} | others
    monkeypatch.setattr(frames, "list_names", lambda folder: names)
    store, folder = FrameFolders(tmp_path), tmp_path / "v"
    assert store.counts(folder, {"rgb"}) == {"rgb": 100_001}
    paths = store.paths(Video("v", folder, 0, 100_001), "rgb", [9, 100_000])
    assert [path.name for path in paths[0]] == ["00009.jpg", "100000.jpg"]
    names.remove("100000.jpg")
    with pytest.raises(ValueError, match=r"v/100000\.jpg: missing, though frames go up to 100001"):
        store.counts(folder, {"rgb"})


@pytest.mark.parametrize(
    "name",
    ["a[1]", "a#b", "50%", "a b", "two\nlines", "-x", "a:b", "{name}", "{}", "'\"", "\u00e9\u4e2d", "a.b.c", "*?"],
)
def test_any_name_of_a_video_works_in_every_layout(name, tmp_path):
    for layout in PUBLISHED:
        rgb, flow = FIRST_FILES[layout]
        root, path = tmp_path / layout, f"{name}/{name}"
        for i in (1, 2):
            for file in [*rgb, *flow]:
                moved = file.replace(NAME, name).replace("HandstandPushups", name)
                draw(root / numbered(moved, i), i * STEP)
        assert detect_layout(root, [entry(path)]) == layout
        store = FrameFolders(root, layout)
        assert store.counts(store.locate(path), {"rgb"}) == {"rgb": 2}
        assert store.read(video_in(store, path, 2), RGB, [1, 2], SHOWN).shape[1] == 2


@pytest.mark.parametrize("layout", PUBLISHED)
def test_nothing_outside_the_root_is_read(layout, tmp_path):
    make_tree(tmp_path / "outside", layout)
    root = tmp_path / "root"
    root.mkdir()
    store = FrameFolders(root, layout)
    for path in ("../outside/x", "/etc", "a/../../outside", ""):
        with pytest.raises(ValueError, match="leads out"):
            store.locate(path)
    for top in (tmp_path / "outside").iterdir():
        (root / top.name).symlink_to(top)
    with pytest.raises(ValueError, match="leads out"):
        store.counts(store.locate(PATH), set(store.streams))


def test_flow_of_feicht_is_not_followed_out_of_the_root(tmp_path):
    root = make_tree(tmp_path / "root", "feicht")
    (root / "u").rename(tmp_path / "u")
    (root / "u").symlink_to(tmp_path / "u")
    store = FrameFolders(root, "feicht")
    with pytest.raises(ValueError, match="leads out"):
        store.counts(store.locate(PATH), {"flow"})


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("n_frames", "6", ""),
        ("n_frames", "6\r\n", ""),
        ("n_frames", "8", r"image_00007.jpg: missing, the video was extracted to 8"),
        ("n_frames", "many", r"n_frames: holds 'many' where a number is expected"),
        ("n_frames", "nan", r"n_frames: holds 'nan'"),
        ("n_frames", "-3", r"n_frames: holds '-3'"),
        ("done", "", ""),
        ("done", "rgb 6\n", ""),
        ("done", "rgb 9\n", r"image_00007.jpg: missing, the video was extracted to 9"),
        ("done", "\xff\xfe what\n", ""),
    ],
)
def test_what_a_tool_states_of_a_video_is_compared_with_its_files(file, text, problem, tmp_path):
    store = FrameFolders(make_tree(tmp_path, "resnet3d"), "resnet3d")
    (tmp_path / PATH / file).write_text(text, encoding="latin-1")
    if problem:
        with pytest.raises(ValueError, match=problem):
            store.counts(store.locate(PATH), {"rgb"})
    else:
        assert store.counts(store.locate(PATH), {"rgb"}) == {"rgb": 6}


def test_the_rate_comes_from_the_video_or_from_the_extraction(tmp_path):
    store = FrameFolders(make_tree(tmp_path, "resnet3d"), "resnet3d")
    folder = store.locate(PATH)
    with pytest.raises(ValueError, match=r"fps: neither it nor .*frames.json states the frame rate"):
        store.rate(folder)
    (tmp_path / "frames.json").write_text('{"fps": 25.0}')
    assert store.rate(folder) == 25.0
    (folder / "fps").write_text("29.97\n")
    assert store.rate(folder) == 29.97
    for text in ("0", "inf", "fast"):
        (folder / "fps").write_text(text)
        with pytest.raises(ValueError, match="fps: "):
            store.rate(folder)


def test_a_layout_is_chosen_by_the_streams_of_several_videos(tmp_path):
    """The frames of sts and ibm have the same names; only flow tells them apart."""
    make_tree(tmp_path, "ibm")
    for i in range(2):
        draw(tmp_path / f"a/{i}/00001.jpg", 0, 3)
    entries = [entry("a/0"), entry("a/absent"), entry("a/1"), entry(PATH)]
    assert detect_layout(tmp_path, entries[:2]) == "sts"
    assert detect_layout(tmp_path, entries) == "ibm"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["data/c/v/00001.jpg"], [r"c/v: no such folder", "holds data", r"too high: use .*/root/data"]),
        (["v/00001.jpg"], [r"root/v is there: move it into a folder c/"]),
        (
            ["c/w/00001.jpg", "c/x/00001.jpg"],
            [r"c/v: no such folder", r"c holds w, x;", "is the folder of the videos right"],
        ),
        (["c/v.zip"], [r"v\.zip is no video: unpack or extract it"]),
        (["c/v.avi/00001.jpg"], [r"v\.avi is a folder: take the extension off"]),
        (["c/v/images/00001.jpg"], [r"holds images; its images lie one folder lower, in images"]),
        (["c/v/frame5.png", "c/v/frame6.png"], [r"holds frame5\.png, frame6\.png; \.png: images must be \.jpg"]),
        (["c/v/00001.JPEG"], [r"rename \.JPEG to \.jpg"]),
        (["c/v/img_1.jpg", "c/v/img_2.jpg"], [r"numbers have 1 digits: rename the frames to img_00001\.jpg"]),
        (["c/v/img_00005.jpg", "c/v/img_00006.jpg"], [r"its first frame has number 5"]),
        (["c/v/pic_00001.jpg"], [r"the prefix 'pic_' is of no layout"]),
        (["c/v/readme"], [r"holds readme; these are no numbered images"]),
        ([f"c/v/x{i}_{i}.txt" for i in range(9)], [r"holds x0_0.txt, x1_1.txt, x2_2.txt, \.\.\.; "]),
    ],
)
def test_what_fits_no_layout_is_explained_in_one_line(files, words, tmp_path):
    root = tmp_path / "root"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).touch()
    with pytest.raises((FileNotFoundError, ValueError)) as caught:
        detect_layout(root, [entry("c/v")])
    for word in words:
        caught.match(word)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_a_root_that_is_too_low_are_explained(tmp_path):
    (tmp_path / "c" / "v").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds nothing; extract the video again"):
        detect_layout(tmp_path, [entry("c/v")])
    with pytest.raises(FileNotFoundError, match=rf"too low: use {tmp_path}$"):
        detect_layout(tmp_path / "c", [entry("c/v")])
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        detect_layout(tmp_path / "absent", [entry("c/v")])
    with pytest.raises(ValueError, match="no video is listed"):
        detect_layout(tmp_path, [])
    with pytest.raises(ValueError, match="--layout other: is none of auto, sts, denseflow"):
        open_store("other", tmp_path, [])


def test_every_kind_of_storage_can_be_named(tmp_path):
    assert {*LAYOUTS, "pack", "video"} == set(STORES)
    for kind in STORES:
        store = open_store(kind, tmp_path, [])
        assert store.root == tmp_path
        assert store.streams <= {"rgb", "flow"}


def test_a_folder_is_listed_once_and_paths_are_made_without_looking(tmp_path, monkeypatch):
    store = FrameFolders(make_tree(tmp_path, "sts"))
    folder, listed, scan = store.locate(PATH), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: listed.append(place) or scan(place))
    store.counts(folder, {"rgb", "flow"})
    assert listed == [folder]
    store.files(Video(PATH, folder, 0, 5), "flow", range(1, 1000))
    assert listed == [folder]
