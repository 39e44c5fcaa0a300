"""The door to pixels: both decoders show the same, and name the file that is wrong."""

import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.clips.views import Box, Placement, View, whole
from datasets.decoding import images
from datasets.decoding.images import Decode, decode_images, read_images, resample_frames
from datasets.decoding.jpeg import native
from datasets.decoding.timing import take

DECODERS = ["python", pytest.param("native", marks=pytest.mark.skipif(bool(native.missing()), reason="not there"))]
both = pytest.mark.parametrize("decoder", DECODERS)
HEIGHT, WIDTH = 60, 83


def frame(seed: int, channels: int = 3, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, channels), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def write(path: Path, seed: int, channels: int = 3, **size: int) -> Path:
    cv2.imwrite(str(path), frame(seed, channels, **size))
    return path


def centre(height: int, width: int) -> View:
    side = min(height, width) - 7
    return View(Box(3, 5, side, side), (40, 32), Box(2, 1, 36, 30))


@both
def test_rgb_is_what_pillow_crops_and_resizes(decoder, tmp_path):
    paths = [write(tmp_path / f"{i}.jpg", i) for i in range(3)]
    shown = read_images([paths], 3, Placement(centre, flip=True), Decode(decoder))
    assert shown.shape == (3, 3, 36, 30)
    assert shown.dtype == np.uint8
    assert shown.flags.c_contiguous
    box, size, window, _ = centre(HEIGHT, WIDTH)
    part = box.left, box.top, box.left + box.width, box.top + box.height
    for t, path in enumerate(paths):
        with Image.open(path) as image:
            resized = image.crop(part).resize(size[::-1], Image.Resampling.BILINEAR)
        rows = slice(window.top, window.top + window.height)
        expected = np.asarray(resized)[rows, window.left : window.left + window.width][:, ::-1].transpose(2, 0, 1)
        assert np.abs(shown[:, t].astype(int) - expected).max() <= (decoder == "python")


@both
def test_flow_has_a_channel_per_plane(decoder, tmp_path):
    planes = [[write(tmp_path / f"{axis}{i}.jpg", 10 * i + k, 1) for i in range(4)] for k, axis in enumerate("xy")]
    shown = read_images(planes, 1, centre, Decode(decoder))
    assert shown.shape == (2, 4, 36, 30)
    for k, plane in enumerate(planes):
        for t, path in enumerate(plane):
            assert np.array_equal(shown[k, t], read_images([[path]], 1, centre, Decode(decoder))[0, 0])


@both
def test_rgb_of_grey_images_has_three_equal_channels_and_grey_of_colour_is_luma(decoder, tmp_path):
    grey, colour = write(tmp_path / "grey.jpg", 1, 1), write(tmp_path / "colour.jpg", 2)
    shown = read_images([[grey]], 3, whole, Decode(decoder))
    assert (shown == shown[:1]).all()
    luma = read_images([[colour, colour]], 1, whole, Decode(decoder))[0]
    assert luma.shape == (2, HEIGHT, WIDTH)
    assert np.array_equal(luma[1], cv2.imread(str(colour), cv2.IMREAD_GRAYSCALE))


@pytest.mark.skipif(bool(native.missing()), reason="no native image loader")
def test_the_decoders_differ_by_one_level_at_most(tmp_path):
    paths = [write(tmp_path / f"{i}.jpg", i, height=120, width=150) for i in range(4)]
    for view in (centre(120, 150), View(Box(0, 0, 120, 150), (56, 70), Box(0, 7, 56, 56)), whole(120, 150)):
        shown = [read_images([paths], 3, lambda *_, view=view: view, Decode(name)) for name in ("native", "python")]
        difference = np.abs(shown[0].astype(int) - shown[1])
        assert difference.max() <= 1
        assert difference.mean() < 0.02


@both
def test_bytes_in_memory_show_the_same_as_files(decoder, tmp_path):
    paths = [write(tmp_path / f"{i}.jpg", i) for i in range(2)]
    data = [path.read_bytes() for path in paths]
    expected = read_images([paths], 3, centre, Decode(decoder))
    for given in (data, [memoryview(b"__" + image)[2:] for image in data], [bytearray(image) for image in data]):
        assert np.array_equal(decode_images([given], 3, centre, Decode(decoder)), expected)
    with pytest.raises(ValueError, match=r"^frame b: damaged image \(it is empty\)"):
        decode_images([[data[0], b""]], 3, centre, Decode(decoder), names=["frame a", "frame b"])
    with pytest.raises(ValueError, match=r"^image 1: damaged image"):
        decode_images([[data[0][:99]]], 3, centre, Decode(decoder))


@both
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_decoded_frames_are_resized(decoder, channels):
    frames = np.stack([frame(i, channels) for i in range(3)])
    view = centre(HEIGHT, WIDTH)._replace(flip=True)
    shown = resample_frames(frames, view, Decode(decoder))
    assert shown.shape == (channels, 3, 36, 30)
    box, size, window, _ = view
    for c in range(channels):
        part = Image.fromarray(frames[1, box.top : box.top + box.height, box.left : box.left + box.width, c])
        resized = np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
        expected = resized[2 : 2 + window.height, 1 : 1 + window.width][:, ::-1]
        assert np.abs(shown[c, 1] - expected).max() <= (decoder == "python")
    assert np.array_equal(resample_frames(frames[::-1], view, Decode(decoder)), shown[:, ::-1])


@both
def test_other_formats_are_decoded_too(decoder, tmp_path):
    frames = [frame(i) for i in range(2)]
    for suffix in (".png", ".bmp"):
        paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
        for path, image in zip(paths, frames, strict=True):
            cv2.imwrite(str(path), image[..., ::-1])
        assert np.array_equal(read_images([paths], 3, whole, Decode(decoder))[:, 1], frames[1].transpose(2, 0, 1))
    mixed = [write(tmp_path / "a.jpg", 0), tmp_path / "1.png"]
    assert read_images([mixed], 3, centre, Decode(decoder)).shape == (3, 2, 36, 30)
    file = tmp_path / "cmyk.jpg"
    Image.fromarray(frames[0]).convert("CMYK").save(file)
    assert read_images([[file]], 3, whole, Decode(decoder)).shape == (3, 1, HEIGHT, WIDTH)


@both
def test_the_placement_is_asked_once_with_the_size_of_the_first_image(decoder, tmp_path):
    asked = []

    def place(height: int, width: int) -> View:
        asked.append((height, width))
        return centre(height, width)

    read_images([[write(tmp_path / "a.jpg", 0), write(tmp_path / "b.png", 1)]], 3, place, Decode(decoder))
    assert asked == [(HEIGHT, WIDTH)]


@both
def test_rotation_by_metadata_is_ignored(decoder, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(frame(0)).save(tmp_path / "a.jpg", exif=exif)
    assert read_images([[tmp_path / "a.jpg"]], 3, whole, Decode(decoder)).shape == (3, 1, HEIGHT, WIDTH)


def damaged_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files and what is said of them."""
    good = write(folder / "good.jpg", 0).read_bytes()
    scan = good.index(b"\xff\xda")
    height = good.index(b"\xff\xc0") + 5
    contents = {
        "empty": (b"", r"damaged image \(it is empty\)"),
        "half": (good[: len(good) // 2], r"damaged image \(it is cut short\)"),
        "without its end": (good[:-2], r"damaged image \(it is cut short\)"),
        "only a header": (good[: scan - 3], r"damaged image \(.*\)"),
        "text": (b"no image at all, but text", r"damaged image \(.*\)"),
        "a bomb": (
            good[:height] + b"\x4e\x20\x4e\x20" + good[height + 4 :],
            r"damaged image \(20000x20000 pixels, more than 8192 are refused\)",
        ),
        "half a png": (cv2.imencode(".png", frame(0))[1].tobytes()[:40], r"damaged image \(.*\)"),
    }
    files = {}
    for name, (data, message) in contents.items():
        path = folder / f"{name} [x]#.jpg"
        path.write_bytes(data)
        files[name] = path, message + "; extract the video again$"
    return files | {
        "gone": (folder / "gone.jpg", "missing; extract the video again$"),
        "a folder": (folder, r"cannot be read \(.*\)$"),
        "another size": (write(folder / "small.jpg", 0, height=50, width=70), "70x50, unlike the other frames of the"),
    }


@both
def test_what_is_wrong_is_said_in_one_line_with_the_file(decoder, tmp_path):
    good, other = write(tmp_path / "a.jpg", 1), write(tmp_path / "b.jpg", 2)
    for name, (path, message) in damaged_files(tmp_path).items():
        with pytest.raises(FileNotFoundError if name == "gone" else ValueError, match=message) as error:
            read_images([[good, path, other]], 3, centre, Decode(decoder))
        assert str(error.value).startswith(f"{path}: "), name
        assert "\n" not in str(error.value)


@both
def test_a_png_that_states_a_huge_size_is_refused(decoder, tmp_path):
    header = bytearray(cv2.imencode(".png", frame(0))[1].tobytes())
    header[16:24] = (9000).to_bytes(4) + (9000).to_bytes(4)
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    (tmp_path / "a.png").write_bytes(header)
    with pytest.raises(ValueError, match=r"a\.png: damaged image \(.*refused\); extract the video again"):
        read_images([[tmp_path / "a.png"]], 3, whole, Decode(decoder))


@both
def test_bytes_behind_the_end_of_an_image_do_not_matter(decoder, tmp_path):
    data = write(tmp_path / "a.jpg", 1).read_bytes()
    shown = [decode_images([[image]], 3, centre, Decode(decoder)) for image in (data, data + b"\0" * 30)]
    assert np.array_equal(*shown)


@both
def test_any_file_name_is_read(decoder, tmp_path):
    data = write(tmp_path / "a.jpg", 1).read_bytes()
    for name in ("with space.jpg", "new\nline.jpg", "-dash.jpg", "a:b.jpg", "é.jpg", os.fsdecode(b"\xff.jpg")):
        (tmp_path / name).write_bytes(data)
        assert read_images([[tmp_path / name]], 3, centre, Decode(decoder)).shape == (3, 1, 36, 30)


@both
def test_reading_and_decoding_are_counted_as_such(decoder, tmp_path):
    paths = [write(tmp_path / f"{i}.jpg", i) for i in range(4)]
    take()
    read_images([paths], 3, centre, Decode(decoder))
    read, decoding, _ = take()
    assert read > 0
    assert decoding > 0


def test_decoders_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(ValueError, match="decoder 'gpu' is none of auto, native, python"):
        read_images([[write(tmp_path / "a.jpg", 0)]], 3, centre, Decode("gpu"))


def test_without_the_library_python_decodes_and_says_so_once(tmp_path, monkeypatch, caplog):
    images.native_is_missing.cache_clear()
    monkeypatch.setattr(native, "missing", lambda: "no C++ compiler: install one")
    paths = [write(tmp_path / "a.jpg", 0)]
    try:
        shown = [read_images([paths], 3, centre) for _ in range(2)]
        assert np.array_equal(shown[0], read_images([paths], 3, centre, Decode("python")))
        words = [record.message for record in caplog.records]
        assert words == ["images are decoded in Python, which takes twice as long: no C++ compiler: install one"]
        with pytest.raises(
            ValueError, match="no native decoder: no C\\+\\+ compiler: install one; or use the decoder py"
        ):
            read_images([paths], 3, centre, Decode("native"))
    finally:
        images.native_is_missing.cache_clear()


@pytest.mark.skipif(bool(native.missing()), reason="no native image loader")
def test_fast_is_for_boxes_of_twice_the_size(tmp_path):
    path = write(tmp_path / "a.jpg", 0, height=240, width=320)
    small = View(Box(0, 0, 240, 320), (60, 80), Box(0, 0, 60, 80))
    exact, fast = (read_images([[path]], 3, lambda *_: small, Decode("native", fast)) for fast in (False, True))
    assert 0 < np.abs(exact.astype(int) - fast).mean() < 3
    large = small._replace(size=(121, 160), window=Box(0, 0, 121, 160))
    exact, fast = (read_images([[path]], 3, lambda *_: large, Decode("native", fast)) for fast in (False, True))
    assert np.array_equal(exact, fast)


@both
def test_random_damage_ends_in_pixels_or_one_line(decoder):
    rng, file = np.random.default_rng(11), io.BytesIO()
    Image.fromarray(frame(0)).save(file, "JPEG", quality=80)
    data = file.getvalue()
    for _ in range(150):
        damaged = bytearray(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.3 else data)
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(256)
        try:
            assert decode_images([[damaged]], 3, centre_of_any, Decode(decoder)).shape == (3, 1, 8, 8)
        except ValueError as error:
            assert "\n" not in str(error)


def centre_of_any(height: int, width: int) -> View:
    return View(Box(0, 0, height, width), (8, 8), Box(0, 0, 8, 8))
