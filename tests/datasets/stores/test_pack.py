"""Packed clips: the same pixels from one file, and the same files again."""

import io
import json
import os
import pickle
import re
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets.clips.views import Box, Placement, View, whole
from datasets.stores.frames import FrameFolders
from datasets.stores.pack import PackedVideos, file_of
from datasets.stores.pack_file import PackFile
from datasets.stores.pack_format import CRC, HEAD, INDEX, MAGIC, Description, front_crc, write_pack
from datasets.stores.store import Video
from datasets.streams import FLOW, RGB
from utils1 import pack

FRAMES = 6
SIZES = ((64, 96), (57, 83), (48, 43 * 8 - 3))  # height, width: whole MCUs, odd ones, a prime number of them
PLAIN = {"quality": 90, "subsampling": 2}


def picture(seed: int, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Smooth shapes with some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, channels)).astype(np.float32)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).reshape(*size, channels)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", **options)
    return file.getvalue()


def write_video(folder: Path, size=SIZES[0], frames: int = FRAMES, **options) -> None:
    folder.mkdir(parents=True)
    for i in range(1, frames + 1):
        (folder / f"{i:05d}.jpg").write_bytes(jpeg(picture(i, size), **(PLAIN | options)))
        for axis, name in enumerate("xy" if i < frames else ""):
            _, data = cv2.imencode(".jpg", picture(100 * i + axis, size, 1))
            (folder / f"TVL1jpg_{name}_{i:05d}.jpg").write_bytes(data.tobytes())
    (folder / "done").write_text(f"rgb {frames}\nflow {frames - 1}\n")


def run(*words) -> None:
    pack.main(pack.parse_args([str(word) for word in (*words, "--workers", "1")]))


def tree(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A root with frames/ and packed/."""
    root = tmp_path_factory.mktemp("pack")
    for number, size in enumerate(SIZES):
        for subsampling in (0, 1, 2):
            write_video(root / "frames" / "c" / f"v{number}{subsampling}", size, subsampling=subsampling)
    (root / "frames" / "frames.json").write_text('{"fps": 12.5}\n')
    run(root / "frames", root / "packed", "--verify")
    return root


@pytest.fixture
def clips(packed) -> PackedVideos:
    return PackedVideos(packed / "packed")


def video_in(store, name: str) -> Video:
    folder = store.locate(f"c/{name}")
    return Video(name, folder, 0, FRAMES)


@st.composite
def views(draw, size):
    height, width = size
    rows, columns = draw(st.integers(1, height)), draw(st.integers(1, width))
    box = Box(draw(st.integers(0, height - rows)), draw(st.integers(0, width - columns)), rows, columns)
    out = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return View(box, out, Box(0, 0, *out)), draw(st.booleans())


@given(data=st.data(), number=st.integers(0, len(SIZES) - 1), subsampling=st.integers(0, 2))
@pytest.mark.parametrize("decode", [("exact", "auto"), ("exact", "python"), ("fast", "auto")])
def test_every_view_of_a_pack_has_the_pixels_of_the_frames(packed, decode, data, number, subsampling):
    view, flip = data.draw(views(SIZES[number]))
    placement = Placement(lambda _height, _width: view, flip)
    numbers = data.draw(st.lists(st.integers(1, FRAMES - 1), min_size=1, max_size=4))
    stores = (
        FrameFolders(packed / "frames", "sts", *decode),
        PackedVideos(packed / "packed", *decode),
    )
    for stream in (RGB, FLOW):
        frames, clips = (s.read(video_in(s, f"v{number}{subsampling}"), stream, numbers, placement) for s in stores)
        np.testing.assert_array_equal(clips, frames)


def test_grey_frames_are_those_of_the_files(packed, clips):
    frames, numbers = FrameFolders(packed / "frames"), [2, 1, FRAMES]
    expected = frames.grey(video_in(frames, "v12"), numbers)
    np.testing.assert_array_equal(clips.grey(video_in(clips, "v12"), numbers), expected)


def test_unpacking_restores_every_byte(packed, tmp_path):
    run(packed / "packed", tmp_path / "again", "--unpack")
    assert tree(tmp_path / "again") == tree(packed / "frames")


ODD = {
    "progressive": lambda image: jpeg(image, quality=90, progressive=True),
    "own tables": lambda image: jpeg(image, quality=90, optimize=True),
    "restarts": lambda image: jpeg(image, quality=90, restart_marker_blocks=2),
    "grey": lambda image: jpeg(image[..., :1], quality=90),
    "more bytes at the end": lambda image: jpeg(image, quality=90) + b"\0\xff\xd8more",
    "exif": lambda image: jpeg(image, quality=90, exif=b"Exif\0\0" + bytes(100), comment=b"a comment"),
    "other quality": lambda image: jpeg(image, quality=40),
    "PNG": lambda image: cv2.imencode(".png", image)[1].tobytes(),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A video of images that are coded in many ways."""
    root = tmp_path_factory.mktemp("odd")
    folder = root / "frames" / "c" / "v"
    folder.mkdir(parents=True)
    for number, make in enumerate(ODD.values(), 1):
        (folder / f"{number:05d}.jpg").write_bytes(make(picture(number, SIZES[1])))
    (folder / "notes.txt").write_text("kept, too")
    run(root / "frames", root / "packed", "--verify")
    return root


@pytest.mark.parametrize("kinds", ["JPEG", "JPEG and PNG"])
def test_a_clip_of_images_coded_in_many_ways_has_their_pixels_and_bytes(odd, tmp_path, kinds):
    numbers = [number for number, name in enumerate(ODD, 1) if name in kinds or name != "PNG"]
    frames, clips = FrameFolders(odd / "frames"), PackedVideos(odd / "packed")
    view = View(Box(20, 30, 21, 40), (15, 20), Box(1, 2, 12, 16))
    placement = Placement(lambda _height, _width: view, flip=True)
    expected = frames.read(video_in(frames, "v"), RGB, numbers, placement)
    np.testing.assert_array_equal(clips.read(video_in(clips, "v"), RGB, numbers, placement), expected)
    run(odd / "packed", tmp_path / "again", "--unpack")
    assert tree(tmp_path / "again") == tree(odd / "frames")


@pytest.mark.parametrize("layout", ["denseflow", "ibm", "feicht"])
def test_other_layouts_are_packed_located_and_unpacked(tmp_path, layout):
    write_video(tmp_path / "sts" / "c" / "v")
    names = {
        "denseflow": {"": "v/img_{:05d}.jpg", "x": "v/flow_x_{:05d}.jpg", "y": "v/flow_y_{:05d}.jpg"},
        "ibm": {"": "c/v/{:05d}.jpg", "x": "c/v/{:05d}_x.jpg", "y": "c/v/{:05d}_y.jpg"},
        "feicht": {"": "c/separated_images/v/v_{}.jpg", "x": "u/v/frame{:06d}.jpg", "y": "v/v/frame{:06d}.jpg"},
    }[layout]
    for axis, name in names.items():
        for i in range(1, FRAMES + (axis == "")):
            target = tmp_path / "frames" / name.format(i)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = f"TVL1jpg_{axis}_{i:05d}.jpg" if axis else f"{i:05d}.jpg"
            shutil.copyfile(tmp_path / "sts" / "c" / "v" / source, target)
    run(tmp_path / "frames", tmp_path / "packed", "--layout", layout, "--verify")
    frames, clips = FrameFolders(tmp_path / "frames", layout), PackedVideos(tmp_path / "packed")
    needs = {"rgb", "flow"}
    assert clips.flow_lag == frames.flow_lag
    assert clips.counts(clips.locate("c/v"), needs) == frames.counts(frames.locate("c/v"), needs)
    for stream in (RGB, FLOW):
        a, b = (s.read(video_in(s, "v"), stream, [1, 4], Placement(whole)) for s in (frames, clips))
        np.testing.assert_array_equal(a, b)
    run(tmp_path / "packed", tmp_path / "again", "--unpack")
    assert tree(tmp_path / "again") == tree(tmp_path / "frames")


def test_a_pack_takes_hardly_more_disk_than_its_files(packed):
    for stream, pattern in (("rgb", "[0-9]*.jpg"), ("flow", "TVL1*.jpg")):
        before = sum(file.stat().st_size for file in (packed / "frames" / "c" / "v00").glob(pattern))
        assert (packed / "packed" / "c" / f"v00.{stream}.clips").stat().st_size <= 1.03 * before + 300


def test_frames_that_lie_together_are_read_at_once_and_others_one_by_one(packed, monkeypatch):
    file = PackFile(packed / "packed" / "c" / "v00.flow.clips")
    reads, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: reads.append(arguments) or pread(*arguments))
    together, apart = file.load([2, 3, 4]), file.load([0, 9])
    assert [size for _, size, _ in reads] == [sum(map(len, together)), *map(len, apart)]
    folder = packed / "frames" / "c" / "v00"
    names = ["x_00002", "y_00002", "x_00003", "x_00001", "y_00005"]
    assert [*together, *apart] == [(folder / f"TVL1jpg_{name}.jpg").read_bytes() for name in names]


def test_an_interrupted_run_goes_on_where_it_was(packed, tmp_path, caplog):
    shutil.copytree(packed / "packed", tmp_path / "packed")
    damaged, kept = (tmp_path / "packed" / "c" / f"{name}.rgb.clips" for name in ("v00", "v01"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    before = kept.stat().st_mtime_ns
    run(packed / "frames", tmp_path / "packed", "--verify")
    assert kept.stat().st_mtime_ns == before
    assert tree(tmp_path / "packed") == tree(packed / "packed")


def test_other_options_are_refused_in_the_same_folder(packed):
    with pytest.raises(ValueError, match=r"pack.json: layout sts there, ibm now; use another output folder"):
        run(packed / "frames", packed / "packed", "--layout", "ibm")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/frames"], "DST is missing"),
        (["{}/packed", "{}/x", "--unpack", "--verify"], "leave out --verify"),
        (["{}/frames", "{}/frames/x"], "is SRC or lies in it"),
        (["{}/frames", "{}/x", "--layout", "denseflow"], "holds no frames of --layout denseflow"),
        (["{}/nowhere", "{}/x"], "nowhere: no such folder"),
        (["{}/packed", "{}/x"], "there is nothing to pack"),
        (["{}/frames", "{}/x", "--unpack"], "SRC must hold packed clips"),
        (["{}/frames", "--verify"], "holds no packed clips"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(packed, words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(*(word.format(packed) for word in words))


def test_verification_names_a_file_that_is_no_longer_what_was_packed(packed, tmp_path, capsys):
    shutil.copytree(packed / "frames", tmp_path / "frames")
    changed = tmp_path / "frames" / "c" / "v00" / "00002.jpg"
    changed.write_bytes(jpeg(picture(77, SIZES[0]), **PLAIN))
    shutil.copytree(packed / "packed", tmp_path / "packed")
    with pytest.raises(ValueError, match="1 of 9 videos failed"):
        run(tmp_path / "frames", tmp_path / "packed", "--verify")
    assert f"{changed}: is not what was packed" in capsys.readouterr().err


def test_verification_finds_any_changed_byte_of_a_pack(packed, tmp_path):
    shutil.copytree(packed / "packed" / "c", tmp_path / "c")
    for file in (tmp_path / "c").glob("*"):
        if file.name != "v22.rgb.clips":
            file.unlink()
    file = tmp_path / "c" / "v22.rgb.clips"
    sound = file.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(sound), 40):
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 16]) + sound[place + 1 :])
        with pytest.raises(ValueError, match="1 of 1 video failed"):
            run(tmp_path, "--verify")


def damaged_copies(sound: bytes, seed: int, number: int):
    """Files cut short, with changed bytes, and with changed bytes whose checksum is right."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        yield sound[: rng.integers(0, len(sound))]
        data = bytearray(sound)
        data[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        yield bytes(data)
        start, (*_, files, text) = HEAD.size + CRC.size, HEAD.unpack_from(sound)
        data = bytearray(sound)
        data[rng.integers(len(MAGIC) + 4, start + files * INDEX.itemsize + text)] = rng.integers(0, 256)
        head, front = bytes(data[: HEAD.size]), bytes(data[start : start + files * INDEX.itemsize + text])
        yield head + CRC.pack(front_crc(head, front)) + bytes(data[start:])


@pytest.mark.parametrize("stream", [RGB, FLOW], ids=["rgb", "flow"])
def test_damaged_packs_give_pixels_or_one_line_and_never_crash(packed, tmp_path, stream):
    sound = (packed / "packed" / "c" / f"v12.{stream.name}.clips").read_bytes()
    placement = Placement(lambda _height, _width: View(Box(9, 9, 30, 50), (20, 20), Box(0, 0, 20, 20)))
    refused = 0
    for number, data in enumerate(damaged_copies(sound, 0, 40)):
        path = tmp_path / "c" / f"v{number}.{stream.name}.clips"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        clips = PackedVideos(tmp_path)
        try:
            assert clips.rate(clips.locate(f"c/v{number}")) == 12.5
            clip = clips.read(video_in(clips, f"v{number}"), stream, [1, 2, 5], placement)
            assert clip.shape == (stream.channels, 3, 20, 20)
        except (ValueError, FileNotFoundError) as error:
            refused += 1
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)
    assert refused >= 60


def test_a_damaged_pack_is_named_with_the_cure(packed, tmp_path):
    path = tmp_path / "v.rgb.clips"
    sound = (packed / "packed" / "c" / "v00.rgb.clips").read_bytes()
    for data, reason in (
        (sound[:-7], "bytes instead of"),
        (b"", "holds no packed clips"),
        (b"x" + sound[1:], "no packed"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"v\.rgb\.clips: .*{reason}.*; pack the video again"):
            PackedVideos(tmp_path).counts(tmp_path / "v", {"rgb"})


def write_images(path: Path, *images: bytes, names: tuple[str, ...] = ()) -> None:
    """A file of packed clips with one image a frame, and empty files of further names."""
    description = Description(1, len(images), None, [*(f"v/{i}.jpg" for i in range(len(images))), *names])
    with path.open("wb") as file:
        write_pack(file, description, [*images, *(b"" for _ in names)])


def test_what_is_wrong_with_an_image_is_said_with_the_cure_of_a_pack(tmp_path):
    write_images(tmp_path / "v.rgb.clips", jpeg(picture(0, SIZES[0]), **PLAIN)[:-300])
    video = Video("v", tmp_path / "v", 0, 1)
    for decoder in ("auto", "python"):
        with pytest.raises(ValueError, match=r"v\.rgb\.clips frame 1: damaged image \(.*\); pack the video again$"):
            PackedVideos(tmp_path, decoder=decoder).read(video, RGB, [1], Placement(whole))


def test_packs_with_restart_markers_of_before_are_refused_with_the_cure(packed, tmp_path, capsys):
    data = bytearray((packed / "packed" / "c" / "v00.rgb.clips").read_bytes())
    data[8] = 1
    old = tmp_path / "old"
    old.mkdir()
    (old / "v.rgb.clips").write_bytes(data)
    (old / "pack.json").write_text('{"layout": "sts", "flow_lag": 1, "restart": "auto"}')
    message = r"v\.rgb\.clips: is of version 1, but this program reads version 2; pack the video again"
    with pytest.raises(ValueError, match=message):
        PackedVideos(old).counts(old / "v", {"rgb"})
    for words in (["--verify"], [tmp_path / "again", "--unpack"]):
        with pytest.raises(ValueError, match="1 of 1 video failed"):
            run(old, *words)
        assert re.search(f"bad video: .*{message}", capsys.readouterr().err)
    with pytest.raises(ValueError, match=r"version not stated there, 2 now; use another output folder"):
        run(packed / "frames", old)


def test_videos_are_located_whatever_their_capitals_and_only_below_the_root(packed, clips, tmp_path):
    assert clips.locate("C/V00") == packed / "packed" / "c" / "v00"
    with pytest.raises(FileNotFoundError, match=r"c/v99\.rgb\.clips: no such file, the video is not packed"):
        clips.locate("c/v99")
    with pytest.raises(ValueError, match="leads out of"):
        clips.locate("../packed/c/v00")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "v.rgb.clips").symlink_to(packed / "packed" / "c" / "v00.rgb.clips")
    with pytest.raises(ValueError, match="a symbolic link leads out of"):
        PackedVideos(tmp_path).locate("c/v")


def test_counts_and_rate_are_in_the_heads_of_the_files(clips, tmp_path):
    folder = clips.locate("c/v00")
    assert clips.counts(folder, {"rgb", "flow"}) == {"rgb": FRAMES, "flow": FRAMES - 1}
    assert clips.counts(folder, {"rgb"}) == {"rgb": FRAMES}
    assert clips.rate(folder) == 12.5
    shutil.copyfile(file_of(folder, "rgb"), tmp_path / "v.rgb.clips")
    assert PackedVideos(tmp_path).counts(tmp_path / "v", {"rgb"}) == {"rgb": FRAMES}
    with pytest.raises(FileNotFoundError, match=r"v\.flow\.clips: no such file; pack this stream, too"):
        PackedVideos(tmp_path).counts(tmp_path / "v", {"flow"})


def test_frames_beyond_the_end_are_refused(clips):
    video = video_in(clips, "v00")._replace(first=2)
    assert clips.read(video, RGB, [FRAMES - 2], Placement(whole)).shape[1] == 1
    with pytest.raises(FileNotFoundError, match=f"has no frame {FRAMES + 1}, but frames 1 to {FRAMES}"):
        clips.read(video, RGB, [1, FRAMES - 1], Placement(whole))


def test_a_store_in_use_can_be_sent_to_another_process(clips):
    expected = clips.read(video_in(clips, "v00"), FLOW, [1], Placement(whole))
    again = pickle.loads(pickle.dumps(clips))
    np.testing.assert_array_equal(again.read(video_in(again, "v00"), FLOW, [1], Placement(whole)), expected)


def test_frames_of_two_sizes_are_named(tmp_path):
    write_images(tmp_path / "v.rgb.clips", *(jpeg(picture(0, size)) for size in SIZES[:2]))
    with pytest.raises(ValueError, match=r"v\.rgb\.clips frame 2: 83x57, unlike the other"):
        PackedVideos(tmp_path).read(Video("v", tmp_path / "v", 0, 2), RGB, [1, 2], Placement(whole))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "it is empty"),
        (jpeg(picture(0, SIZES[0]))[:-50], "it is cut short"),
        (b"no image", "no image format that is known"),
    ],
)
def test_an_image_that_is_none_is_named(tmp_path, capsys, image, reason):
    write_video(tmp_path / "frames" / "c" / "v")
    (tmp_path / "frames" / "c" / "v" / "00003.jpg").write_bytes(image)
    with pytest.raises(ValueError, match="1 of 1 video failed"):
        run(tmp_path / "frames", tmp_path / "packed")
    assert f"00003.jpg: damaged image ({reason}); extract the video again" in capsys.readouterr().err
    assert not list((tmp_path / "packed").rglob("*.clips"))
    assert not list((tmp_path / "packed").rglob(".*"))


def test_files_are_not_written_outside_of_the_folder(tmp_path, capsys):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "pack.json").write_text("{}")
    write_images(tmp_path / "packed" / "v.rgb.clips", jpeg(picture(0, SIZES[0])), names=("../../evil",))
    with pytest.raises(ValueError, match="1 of 1 video failed"):
        run(tmp_path / "packed", tmp_path / "again", "--unpack")
    assert "'../../evil', which leads out of" in capsys.readouterr().err
    assert not (tmp_path.parent / "evil").exists()


def test_a_file_is_as_documented(packed):
    data = (packed / "packed" / "c" / "v00.flow.clips").read_bytes()
    magic, version, planes, images, files, text, crc = struct.unpack_from("<8sHHIIII", data)
    assert (magic, version, planes, images, files) == (b"\x89CLIPS\r\n", 2, 2, 2 * (FRAMES - 1), 2 * (FRAMES - 1))
    table, at = list(struct.iter_unpack("<QI", data[28 : 28 + 12 * files])), 28 + 12 * files + text
    assert crc == zlib.crc32(data[:24] + data[28:at])
    record = json.loads(zlib.decompress(data[28 + 12 * files : at]))
    assert (record["rate"], record["names"][:2]) == (12.5, ["c/v00/TVL1jpg_x_00001.jpg", "c/v00/TVL1jpg_y_00001.jpg"])
    for (size, checksum), name in zip(table, record["names"], strict=True):
        content = (packed / "frames" / name).read_bytes()
        assert (data[at : at + size], checksum) == (content, zlib.crc32(content))
        at += size
    assert at == len(data)


def test_an_opened_file_may_be_replaced_and_is_closed_in_the_end(packed, tmp_path):
    path = tmp_path / "v.rgb.clips"
    shutil.copyfile(packed / "packed" / "c" / "v00.rgb.clips", path)
    file = PackFile(path)
    path.unlink()
    assert file.content(0) == (packed / "frames" / "c" / "v00" / "00001.jpg").read_bytes()
    number = file.file
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
