"""The native image loader equals Pillow byte for byte, on every code path, and survives any bytes."""

import io
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.clips.views import Box, View, whole
from datasets.decoding.jpeg import native
from datasets.decoding.jpeg.build import KERNEL
from datasets.decoding.jpeg.clip_records import DAMAGED, FOREIGN, ImageError, in_memory
from sts_common.native import BuildError

pytestmark = pytest.mark.skipif(bool(native.missing()), reason="no native image loader")
SIZES = ((64, 48), (48, 85), (17, 33), (97, 201), (1, 1), (31, 16), (8, 9))
KINDS = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"subsampling": 2, "progressive": True},
    "restarts": {"subsampling": 2, "restart_marker_blocks": 3},
    "grey": {},
}


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def isa(request) -> str:
    """A code path of this processor."""
    if request.param not in native.isa_paths():
        pytest.skip("not on this processor")
    return request.param


def picture(seed: int, height: int, width: int, kind: str = "4:2:0") -> bytes:
    """A JPEG of edges and noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8))
    noise = rng.integers(-20, 21, (height, width, 3))
    levels = np.clip(np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST)) + noise, 0, 255)
    image = Image.fromarray(levels.astype(np.uint8))
    file = io.BytesIO()
    image.convert("L" if kind == "grey" else "RGB").save(file, "JPEG", quality=85, **KINDS[kind])
    return file.getvalue()


def by_pillow(data: bytes, view: View, channels: int) -> np.ndarray:
    """(channels, height, width); first along rows, as all versions of Pillow do unless heights shrink much more."""
    image = Image.open(io.BytesIO(data))
    if channels == 1:
        image.draft("L", image.size)
    image = image.convert("RGB" if channels == 3 else "L")
    box, window = view.box, view.window
    image = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    for size in ((view.size[1], box.height), (view.size[1], view.size[0])):
        image = image.resize(size, Image.Resampling.BILINEAR)
    shown = np.asarray(image).reshape(*view.size, channels)
    shown = shown[window.top : window.top + window.height, window.left : window.left + window.width]
    return (shown[:, ::-1] if view.flip else shown).transpose(2, 0, 1)


def decode(images: list[bytes], channels: int, view: View, fast: bool = False, isa: str = "auto") -> np.ndarray:
    given = in_memory(images)
    out = np.empty((channels, len(images), view.window.height, view.window.width), np.uint8)
    native.decode(given, channels, native.image_size(given), view, out, fast, isa)
    return out


def random_view(rng: np.random.Generator, height: int, width: int) -> View:
    rows, columns = (int(rng.integers(1, side + 1)) for side in (height, width))
    box = Box(int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns)
    size = [(rows, columns), (rows, 20), (20, columns), tuple(map(int, rng.integers(1, 120, 2)))][rng.integers(4)]
    if rng.random() < 0.5:
        return View(box, size, Box(0, 0, *size), bool(rng.random() < 0.5))
    kept = [int(rng.integers(1, side + 1)) for side in size]
    corner = [int(rng.integers(side - length + 1)) for side, length in zip(size, kept, strict=True)]
    return View(box, size, Box(*corner, *kept), bool(rng.random() < 0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_any_part_at_any_size_equals_pillow(kind, isa):
    rng = np.random.default_rng(sum(kind.encode()))
    for number, (height, width) in enumerate(SIZES):
        images = [picture(2 * number + i, height, width, kind) for i in range(2)]
        for view in [whole(height, width), *(random_view(rng, height, width) for _ in range(8))]:
            for channels in (1, 3):
                expected = np.stack([by_pillow(data, view, channels) for data in images], 1)
                assert np.array_equal(decode(images, channels, view, isa=isa), expected), (height, width, view)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_decoded_frames_are_resized_like_images(isa, channels):
    rng = np.random.default_rng(5)
    for height, width in SIZES:
        frames = rng.integers(0, 256, (3, height, width, channels), np.uint8)
        for view in [whole(height, width), *(random_view(rng, height, width) for _ in range(10))]:
            shown = native.resample(frames, view, isa)
            for c in range(channels):
                for t in range(3):
                    file = io.BytesIO()
                    Image.fromarray(frames[t, :, :, c]).save(file, "PNG")
                    assert np.array_equal(shown[c, t], by_pillow(file.getvalue(), view, 1)[0]), view


def test_a_usual_training_crop_and_a_usual_test_view_equal_pillow_in_one_step():
    data = picture(1, 256, 341)
    image = Image.open(io.BytesIO(data))
    crop = View(Box(38, 80, 181, 181), (112, 112), Box(0, 0, 112, 112), True)
    expected = np.asarray(image.crop((80, 38, 261, 219)).resize((112, 112), Image.Resampling.BILINEAR))[:, ::-1]
    assert np.array_equal(decode([data], 3, crop)[:, 0], expected.transpose(2, 0, 1))
    test = View(Box(0, 0, 256, 341), (112, 149), Box(0, 18, 112, 112))
    expected = np.asarray(image.resize((149, 112), Image.Resampling.BILINEAR))[:, 18:130]
    assert np.array_equal(decode([data], 3, test)[:, 0], expected.transpose(2, 0, 1))


def at_half_size(data: bytes, box: Box) -> np.ndarray:
    """Decode JPEG at half the size and resize it to 112 pixels by Pillow; that looks beyond the box's edges."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // 2, image.height // 2))
    left, right, top, bottom = box.left / 2, (box.left + box.width) / 2, box.top / 2, (box.top + box.height) / 2
    image = image.resize((112, image.height), Image.Resampling.BILINEAR, box=(left, 0, right, image.height))
    image = image.resize((112, 112), Image.Resampling.BILINEAR, box=(0, top, 112, bottom))
    return np.asarray(image)[:, ::-1].transpose(2, 0, 1)


def test_fast_decodes_at_half_the_size_where_that_is_still_enough(isa):
    data = picture(3, 255, 341)
    for box, edge in ((Box(0, 0, 255, 341), 0), (Box(3, 7, 225, 227), 2), (Box(30, 85, 224, 256), 2)):
        view = View(box, (112, 112), Box(0, 0, 112, 112), True)
        fast = decode([data], 3, view, True, isa)[:, 0]
        inner = np.s_[:, edge : 112 - edge, edge : 112 - edge]
        assert np.array_equal(fast[inner], at_half_size(data, box)[inner])
        assert not np.array_equal(fast, decode([data], 3, view, isa=isa)[:, 0])
    close = View(Box(0, 0, 223, 300), (112, 112), Box(0, 0, 112, 112))
    assert np.array_equal(*(decode([data], 3, close, fast, isa) for fast in (False, True)))


def test_every_libjpeg_turbo_that_is_there_gives_the_same_pixels(monkeypatch):
    data, view = [picture(4, 97, 201)], View(Box(3, 9, 80, 150), (50, 60), Box(0, 0, 50, 60))
    expected, found = decode(data, 3, view), []
    for name in native.jpeg_libraries():
        monkeypatch.setattr(native, "jpeg_libraries", lambda name=name: [name])
        try:
            kernel = native.load.__wrapped__()
        except BuildError:
            continue
        found.append(name)
        monkeypatch.setattr(native, "load", lambda kernel=kernel: kernel)
        assert np.array_equal(decode(data, 3, view), expected)
        monkeypatch.undo()
    native.load.__wrapped__()  # the first again
    assert found


def test_without_a_fitting_libjpeg_it_says_what_brings_one(monkeypatch):
    monkeypatch.setattr(native, "jpeg_libraries", lambda: ["libc.so.6", "/no/such/library.so"])
    with pytest.raises(BuildError, match=r"no libjpeg-turbo of the kind .* Pillow brings one"):
        native.load.__wrapped__()
    assert np.array_equal(decode([picture(4, 8, 9)], 3, whole(8, 9)), decode([picture(4, 8, 9)], 3, whole(8, 9)))


def test_threads_do_not_disturb_each_other():
    work = [([picture(i, 40 + i, 60)] * 3, View(Box(0, i, 40, 50), (20, 30), Box(0, 0, 20, 30))) for i in range(4)]
    expected = [decode(images, 3, view) for images, view in work]
    wrong: list[int] = []

    def run(i: int) -> None:
        wrong.extend(i for _ in range(30) if not np.array_equal(decode(*work[i][:1], 3, work[i][1]), expected[i]))

    threads = [threading.Thread(target=run, args=(i % 4,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_code_path_is_refused():
    with pytest.raises(ValueError, match=r"this processor has no code path 'neon'; it has auto, baseline"):
        decode([picture(0, 8, 9)], 3, whole(8, 9), isa="neon")


def outcome(data: bytes, view: View, first: bytes) -> str:
    try:
        return f"pixels of {decode([first, data], 3, view).shape}"
    except ImageError as error:
        assert error.index == 1
        assert error.reason
        return str(error.code)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_end_in_pixels_or_a_reason(kind):
    rng, whole_file = np.random.default_rng(7), picture(9, 48, 85, kind)
    view = View(Box(4, 4, 44, 60), (30, 30), Box(0, 0, 30, 30))
    outcomes = set()
    for cut in rng.integers(0, len(whole_file) - 2, 60):
        outcomes.add(outcome(whole_file[:cut], view, whole_file))
    assert outcomes <= {str(DAMAGED), str(FOREIGN)}
    for _ in range(300):
        damaged = bytearray(whole_file)
        for place in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[place] ^= 1 << rng.integers(8)
        outcomes.add(outcome(bytes(damaged), view, whole_file))
    assert str(DAMAGED) in outcomes
    assert any("pixels" in text for text in outcomes)  # some damage does not show


def in_scans(count: int) -> bytes:
    """A colour JPEG whose components come in scans of their own, the first again and again."""
    grey = picture(2, 16, 24, "grey")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    parts = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    header = (
        grey[:frame] + b"\xff\xc0\x00\x11" + grey[frame + 4 : frame + 9] + b"\x03" + parts + grey[frame + 13 : scan]
    )
    numbers = [*[1] * (count - 2), 2, 3]
    scans = [
        b"\xff\xda\x00\x08\x01" + bytes([number]) + b"\x00\x00\x3f\x00" + grey[scan + 10 : -2] for number in numbers
    ]
    return header + b"".join(scans) + b"\xff\xd9"


def test_thousands_of_scans_are_refused():
    assert decode([in_scans(3)], 3, whole(16, 24)).shape == (3, 1, 16, 24)
    with pytest.raises(ImageError, match="it has too many scans"):
        decode([in_scans(3000)], 3, whole(16, 24))


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["aarch64-linux-gnu-g++", "clang++", "g++"])
def test_it_compiles_without_a_warning(compiler, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    headers = [f"-idirafter{path.parent}" for path in Path("/usr/include").glob("**/jconfig.h")]
    command = [compiler, *KERNEL.flags, "-Wall", "-Wextra", "-Werror", "-idirafter/usr/include", *headers, "-shared"]
    sources = [KERNEL.folder / source for source in KERNEL.sources]
    subprocess.run([*command, *sources, "-o", tmp_path / "clip.so"], check=True)


@pytest.mark.slow
def test_code_for_any_processor_gives_the_same_pixels(tmp_path, monkeypatch):
    data, view = [picture(4, 97, 201)], View(Box(3, 9, 80, 150), (50, 60), Box(0, 0, 50, 60), True)
    expected = decode(data, 3, view)
    sources = [KERNEL.folder / source for source in KERNEL.sources]
    command = [shutil.which("c++"), *KERNEL.flags, "-DCLIP_PLAIN", "-shared", *sources, "-o", tmp_path / "plain.so"]
    subprocess.run([*command, *KERNEL.libraries], check=True)
    monkeypatch.setattr(native, "library_path", lambda: tmp_path / "plain.so")
    kernel = native.load.__wrapped__()
    monkeypatch.setattr(native, "load", lambda: kernel)
    assert np.array_equal(decode(data, 3, view), expected)
