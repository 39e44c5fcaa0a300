"""Damage is noticed by time and by the decoder, colours follow one rule, and names need not be UTF-8."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from films import patched, picture, spelled, write_film

from datasets.decoding.video.containers import DamagedVideo
from datasets.decoding.video.index import index_video
from datasets.decoding.video.pictures import Pictures, upright
from datasets.decoding.video.reading import read_positions, read_video
from datasets.stores.video_files import VideoFiles
from utils1 import extract_frames, extract_frames_flows
from workflows.extracting.extraction import find_videos
from workflows.predicting.video_streams import read_frames

FASTSTART = {"movflags": "faststart"}


def cut(share: float) -> Callable[[bytearray], bytearray]:
    return lambda data: data[: int(share * len(data))]


def holed(data: bytearray) -> None:
    """Zeros in the middle of the pictures."""
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)


DAMAGED = {
    "cut.avi": (cut(0.6), {"codec": "mpeg4"}),
    "cut_b.avi": (cut(0.6), {"b_frames": 2}),
    "cut.mp4": (cut(0.7), {"muxing": FASTSTART}),
    "cut_sound.mp4": (cut(0.6), {"muxing": FASTSTART, "sound": 1.6}),
    "cut.mkv": (cut(0.7), {"b_frames": 2}),
    "cut_sound.mkv": (cut(0.5), {"sound": 1.6}),
    "cut.webm": (cut(0.7), {"codec": "libvpx"}),
    "cut.flv": (cut(0.6), {"b_frames": 2}),
    "holed.mp4": (holed, {"b_frames": 2}),
    "holed.mkv": (holed, {"b_frames": 2}),
    "holed.avi": (holed, {"codec": "mpeg4"}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named_in_one_line_and_what_is_there_can_be_had(tmp_path, name, capfd):
    change, options = DAMAGED[name]
    path = patched(write_film(tmp_path / "v" / "a" / name, size=(480, 320), **options), change)
    with pytest.raises(DamagedVideo, match=rf"{name}: .*; get the file again$"):
        list(read_video(path))
    numbers = [spelled(frame) for frame in read_video(path, None, None, allow_short=True)]
    assert len(numbers) >= 6
    assert numbers[:5] == list(range(5))
    assert capfd.readouterr() == ("", "")


@pytest.fixture(autouse=True)
def folders(tmp_path) -> None:
    (tmp_path / "v" / "a").mkdir(parents=True)


def extract(root: Path, out: Path, *words: str, script=extract_frames) -> None:
    script.main(script.parse_args([str(root), str(out), "--workers", "1", *words]))


def test_extraction_names_a_damaged_film_and_the_option_that_takes_it(tmp_path, capfd):
    write_film(tmp_path / "v" / "a" / "sound.mp4")
    patched(write_film(tmp_path / "v" / "a" / "cut.mp4", muxing=FASTSTART), cut(0.7))
    with pytest.raises(ValueError, match="1 of 2 videos could not be extracted"):
        extract(tmp_path / "v", tmp_path / "out")
    assert "cut.mp4: " in (said := capfd.readouterr().err)
    assert "get the file again, or take what is there with --allow_short" in said
    extract(tmp_path / "v", tmp_path / "out", "--allow_short")
    assert (tmp_path / "out" / "a" / "cut" / "done").is_file()


def test_no_flow_is_computed_of_a_film_that_is_refused(tmp_path, monkeypatch):
    patched(write_film(tmp_path / "v" / "a" / "holed.mp4", b_frames=2, size=(320, 240)), holed)
    solved = []
    monkeypatch.setattr(
        "workflows.extracting.image_folder.ImageFolder.write_flow", lambda *arguments: solved.append(arguments)
    )
    with pytest.raises(ValueError, match="1 of 1 videos could not be extracted"):
        extract(tmp_path / "v", tmp_path / "out", "--flow=dis", script=extract_frames_flows)
    assert not solved


def test_packets_that_hold_no_frame_repeat_the_one_before(tmp_path):
    """MP4 files of some recorders have samples of no bytes."""

    def drop(packets):
        return [packet for i, packet in enumerate(packets) if i % 5 != 4]

    path = write_film(tmp_path / "x.mp4", "mjpeg", pixels="yuvj420p", change=drop)
    assert [spelled(frame) for frame in read_video(path, 25.0, None)][:7] == [0, 1, 2, 3, 3, 5, 6]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_pause_in_a_film_of_an_even_rate_is_named(tmp_path, ending):
    def lose(lost):
        return lambda packets: [packet for i, packet in enumerate(packets) if i not in lost]

    def notes_of(name, lost, **options):
        path = write_film(tmp_path / f"{name}.{ending}", "mjpeg", pixels="yuvj420p", change=lose(lost), **options)
        return index_video(path).notes

    (note,) = notes_of("once", range(10, 20))
    assert note.startswith("it has no frame for up to 0.44 s, once, after 0.36 s: a part of it may be missing; ")
    (note,) = notes_of("twice", {*range(10, 16), *range(30, 38)})
    assert "up to 0.36 s, 2 times, first after 0.36 s" in note
    assert notes_of("few", range(10, 13)) == ()
    uneven = np.cumsum(np.random.default_rng(1).choice([1, 2, 3, 9], 40)).tolist()
    assert notes_of("uneven", (), times=uneven) == ()


def test_joined_recordings_come_in_their_order(tmp_path):
    first = write_film(tmp_path / "a.ts", b_frames=2).read_bytes()
    second = write_film(tmp_path / "b.ts", b_frames=2, size=(192, 128)).read_bytes()
    (tmp_path / "joined.ts").write_bytes(first + second)
    index = index_video(tmp_path / "joined.ts")
    assert [note for note in index.notes if "jump back" in note]
    numbers = [spelled(frame) for frame in read_video(tmp_path / "joined.ts", None, None)]
    assert numbers == [*range(40), *range(40)]
    assert [spelled(frame) for frame in read_positions(tmp_path / "joined.ts", range(80))] == numbers
    assert (np.diff(index.seconds) > 0).all()


# Colours

HDR = "colorprim=bt2020:colormatrix=bt2020nc:transfer="
TAGS = {"pq": f"{HDR}smpte2084", "hlg": f"{HDR}arib-std-b67", "wide": f"{HDR}bt2020-10"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TAGS)
def test_hdr_is_converted_the_same_by_every_path(tmp_path, name):
    path = write_film(tmp_path / "v" / "a" / f"{name}.mp4", b_frames=2, count=6, options={"x264-params": TAGS[name]})
    extracted = np.stack(list(read_video(path, 25.0, None)))
    assert [spelled(frame) for frame in extracted] == list(range(6))
    assert np.array_equal(np.stack(list(read_positions(path, range(6)))), extracted)
    assert np.array_equal(next(read_positions(path, [4])), extracted[4])
    spread = np.ptp(extracted[..., 20:28, :, :].astype(int), axis=-1)  # grey stays grey
    assert np.median(spread) <= 2


@pytest.mark.slow
def test_white_of_hdr_is_white_and_its_highlights_are_clipped():
    """Graphics white of BT.2408, 203 cd/m2, is 58 % of the PQ signal and 75 % of the HLG signal."""
    av = pytest.importorskip("av")
    for transfer, white in ((16, 0.58), (18, 0.75)):
        image = np.full((64, 64, 3), round(white * 65535), np.uint16)
        image[:, :16] = 65535
        image[:, 16:32] = 0
        frame = av.VideoFrame.from_ndarray(image, format="rgb48le")
        frame.color_trc, frame.color_primaries = transfer, 9
        shown = Pictures("x")(frame)
        assert (shown[:, :16] == 255).all()
        assert (shown[:, 16:32] == 0).all()
        assert 235 <= shown[0, 40, 0] <= 255
        assert np.ptp(shown[0, 40]) <= 2


@pytest.mark.parametrize(
    ("matrix", "name"), [("YCgCo", "YCgCo"), ("ICtCp", "ICtCp"), ("bt2020c", "BT.2020 with constant luminance")]
)
def test_colours_that_cannot_be_converted_are_named_by_every_path(tmp_path, matrix, name):
    path = write_film(tmp_path / "v" / "a" / "x.mp4", options={"x264-params": f"colormatrix={matrix}"})
    for read in (lambda: list(read_video(path)), lambda: list(read_positions(path, [3]))):
        with pytest.raises(ValueError, match=rf"x\.mp4: its colours \(yuv420p, {name}\) cannot be converted to RGB"):
            read()
    with pytest.raises(ValueError, match="1 of 1 videos could not be extracted"):
        extract(tmp_path / "v", tmp_path / "out")


@pytest.mark.parametrize(
    "tags", ["colormatrix=bt709", "colormatrix=fcc:transfer=log100:colorprim=film", "transfer=linear"]
)
def test_other_tags_change_nothing_but_the_matrix(tmp_path, tags):
    av = pytest.importorskip("av")
    path = write_film(tmp_path / "x.mp4", options={"x264-params": tags})
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24", interpolation="BICUBIC") for frame in container.decode(video=0)]
    assert np.array_equal(np.stack(list(read_video(path, None, None))), np.stack(plain))


# Interlaced films, and films held otherwise


def test_two_fields_become_one_sharp_frame(tmp_path):
    """A bar that moves by 6 pixels from field to field is a comb when the fields are woven."""

    av = pytest.importorskip("av")

    def at(field: int) -> np.ndarray:
        image = np.full((96, 128, 3), 40, np.uint8)
        image[:, 10 + 6 * field : 30 + 6 * field] = 220
        return image

    with av.open(str(tmp_path / "x.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(8):
            image = at(2 * i)
            image[1::2] = at(2 * i + 1)[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    frames = list(read_video(tmp_path / "x.mkv", None, None))
    assert len(frames) == 8
    for i, frame in enumerate(frames):
        rows = frame[8:-8, :, 1].astype(int)
        assert np.abs(np.diff(rows, axis=0)).max() < 40
        assert np.abs(rows - at(2 * i + 1)[8:-8, :, 1]).mean() < 8


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    ],
)
def test_films_are_turned_and_mirrored_as_they_say(matrix, expected):
    image = picture(5)
    assert np.array_equal(upright(image, np.array(matrix, np.int32) << 16), expected(image))


# Names

LATIN, GBK = b"caf\xe9.mp4", "\u8dd1\u6b65.avi".encode("gbk")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are UTF-8 there")
def test_names_that_are_no_utf8_are_read_and_extracted(tmp_path):
    folder = os.fsencode(tmp_path / "v" / "a")
    plain = write_film(tmp_path / "plain.mp4")
    for name in (LATIN, GBK, b"good.mp4"):
        shutil.copy(plain, os.path.join(folder, name))  # noqa: PTH118 - bytes
    for path in find_videos(tmp_path / "v", slice(None)):
        assert [spelled(frame) for frame in read_video(path, 25.0, None)] == list(range(40))
        assert VideoFiles(tmp_path).counts(path, {"rgb"}) == {"rgb": 40}
    extract(tmp_path / "v", tmp_path / "out")
    made = {os.fsencode(path.name) for path in (tmp_path / "out" / "a").iterdir()}
    assert made == {LATIN[:-4], GBK[:-4], b"good"}


def test_a_prediction_says_how_an_unusual_film_is_read(tmp_path, caplog):
    path = write_film(tmp_path / "fast.mp4", rate=10_000)
    assert len(list(read_frames(path, {}))) == 40
    assert [message for message in caplog.messages if "fast.mp4: its timestamps cannot be right" in message]
