"""The C++ program: the published command, the same flow as from Python, and its folders of a video."""

import re
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from extraction import expected_names, make_video, names, tree
from source_files import ROOT

from flow import build_flow, encode, read_flo
from flow.tvl1.build import KERNEL
from utils1 import extract_frames_flows

SOURCE = ROOT / "tvl1_videoframes.cpp"
SIZE = (96, 72)  # width, height
MOTION = (2, -1)  # pixels per frame to the right and up
FRAMES = 8

pytestmark = pytest.mark.slow  # compiles for several seconds


def documented_command() -> list[str]:
    """The g++ line of the program's header comment."""
    lines = re.search(r"(g\+\+ .*\\\n.*)\n", SOURCE.read_text())
    assert lines
    return lines[1].replace("\\\n *", " ").split()


def compile_program(target: Path, *options: str, kernel: str = "flow/tvl1/tvl1.cpp") -> None:
    command = documented_command()
    command[command.index("-o") + 1] = str(target)
    command[command.index("flow/tvl1/tvl1.cpp")] = kernel
    result = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


@pytest.fixture(scope="module")
def program(no_opencv, tmp_path_factory) -> Path:
    """Built as its header comment says, and without a warning."""
    if no_opencv:
        pytest.skip(no_opencv)
    path = tmp_path_factory.mktemp("bin") / "tvl1_videoframes"
    compile_program(path, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow")
    return path


@pytest.fixture(scope="module")
def checked(sanitized) -> Path:
    """The folder of `sanitized`."""
    if sanitized is None:
        pytest.skip("needs cmake, g++ and the OpenCV headers")
    return sanitized


def run(program: Path, *arguments: object, **options) -> subprocess.CompletedProcess:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **options)


def succeed(program: Path, *arguments: object, **options) -> str:
    """Run it and return its one line."""
    result = run(program, *arguments, **options)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def fail(program: Path, *arguments: object, code: int = 2, **options) -> str:
    """Run it and return its one line after "error: "."""
    result = run(program, *arguments, **options)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip()


def write_images(folder: Path, pattern: str = "{:05d}.jpg", count: int = FRAMES) -> list[np.ndarray]:
    """A grey texture that moves by MOTION; the images as they are read back."""
    noise = cv2.GaussianBlur(np.random.default_rng(5).standard_normal((160, 240)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / pattern.format(i + 1) for i in range(count)]
    for i, path in enumerate(paths):
        x, y = 60 - MOTION[0] * i, 40 - MOTION[1] * i
        path.write_bytes(cv2.imencode(path.suffix, texture[y : y + SIZE[1], x : x + SIZE[0]])[1].tobytes())
    return [cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) for path in paths]


@pytest.fixture
def images(tmp_path) -> list[np.ndarray]:
    (tmp_path / "out").mkdir()
    return write_images(tmp_path / "in")


# The published command


@pytest.mark.parametrize("preset", ["opencv", "fixed", "fast"])
def test_the_flow_is_that_of_the_python_binding_to_the_last_bit(program, images, tmp_path, preset):
    command = ("in/%05d.jpg", FRAMES, "out/%05d_flow256crop.flo")
    line = succeed(program, *command, *(() if preset == "opencv" else (f"--preset={preset}",)), cwd=tmp_path)
    assert line == f"wrote {FRAMES - 1} .flo files\n"
    assert names(tmp_path / "out") == {f"{i:05d}_flow256crop.flo" for i in range(1, FRAMES)}
    solve = build_flow("tvl1", backend="native", preset=preset)
    for i in range(1, FRAMES):
        flow = read_flo(tmp_path / "out" / f"{i:05d}_flow256crop.flo")
        np.testing.assert_array_equal(flow, solve(images[i - 1], images[i]))
        np.testing.assert_allclose(np.median(flow, (0, 1)), MOTION, atol=0.1)


def test_the_flow_does_not_depend_on_the_number_of_threads(program, images, tmp_path):
    for threads in (1, 3, 64):  # batches of 1, 2, 4, ...; of 3, 6; all at once
        (tmp_path / f"out{threads}").mkdir()
        succeed(program, "in/%05d.jpg", FRAMES, f"out{threads}/%d.flo", "--threads", threads, cwd=tmp_path)
    assert tree(tmp_path / "out1") == tree(tmp_path / "out3") == tree(tmp_path / "out64")
    assert len(tree(tmp_path / "out1")) == FRAMES - 1


def test_one_image_has_no_flow_and_this_is_said(program, images, tmp_path):
    assert succeed(program, "in/%05d.jpg", 1, "out/%d.flo", cwd=tmp_path) == (
        "wrote 0 .flo files: one image has no flow\n"
    )
    assert names(tmp_path / "out") == set()


@pytest.mark.parametrize(
    ("pattern", "names_of"),
    [
        ("%d.png", "{}.png"),
        ("%02d", "{:02d}"),
        ("%09d.png", "{:09d}.png"),
        ("100%%%03d%%n.png", "100%{:03d}%n.png"),
        ("%%%d%%", "%{}%"),
        ("{:05d} [a]'\"&!#\n\u00e9\u4e2d%d.png", "{{:05d}} [a]'\"&!#\n\u00e9\u4e2d{}.png"),
        ("x" * 240 + "%05d", "x" * 240 + "{:05d}"),
    ],
)
def test_any_name_with_one_number_works(program, tmp_path, pattern, names_of):
    write_images(tmp_path / "png", "{}.png", 2)
    for i in (1, 2):
        (tmp_path / "png" / f"{i}.png").rename(tmp_path / names_of.format(i))
    succeed(program, pattern, 2, "f%%%d\n.flo", cwd=tmp_path)
    assert (tmp_path / "f%1\n.flo").is_file()
    assert not list(tmp_path.glob(".*"))


def test_words_after_two_dashes_are_no_options(program, tmp_path):
    write_images(tmp_path, "-{}.png", 2)
    succeed(program, "--preset", "fast", "--", "-%d.png", 2, "-%d.flo", cwd=tmp_path)
    assert (tmp_path / "-1.flo").is_file()


HOSTILE = """a.jpg % a% %% %n %s %s%s%s %d%d %d%n %05d%s %x %i %u %ld %5d %00d %0d %010d %-5d %+d %*d %.3d %1$d %d% %05
    %0 %%% %99999999999999999999d""".split()


@pytest.mark.parametrize("pattern", ["", "% d", "%" * 100_001, "%s" * 50_000, *HOSTILE], ids=lambda text: text[:12])
def test_any_other_pattern_is_refused_on_either_side(program, images, tmp_path, pattern):
    rule = "must hold exactly one number, written %d or with its digits as %05d, and %% for every percent sign"
    expected = f"IN_PATTERN '{pattern}': {rule}"
    assert fail(program, pattern, 2, "out/%d.flo", cwd=tmp_path) == " ".join(expected.split())
    assert fail(program, "in/%05d.jpg", 2, f"{pattern}.flo", cwd=tmp_path).startswith("OUT_PATTERN '")
    assert names(tmp_path) == {"in", "out"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("in/%05d.jpg", 9, "out/%d.flo"), "in/00009.jpg: no such image; N = 9 asks for images 1 to 9"),
        (("in/%d.jpg", 2, "out/%d.flo"), "in/1.jpg: no such image"),
        (("in/%05d.jpg" + "x" * 300, 2, "out/%d.flo"), "x: File name too long"),
        (("in/%05d.jpg", 2, "absent/%d.flo"), "absent: no such folder for the .flo files; make it"),
        (("in/%05d.jpg", 2, "in/00001.jpg/%d.flo"), "in/00001.jpg: no such folder"),
        (("in/%05d.jpg", 2, "out/%d"), "OUT_PATTERN 'out/%d': must end in .flo"),
        (("in/%05d.jpg", 2, "out/%d.jpg"), "OUT_PATTERN 'out/%d.jpg': must end in .flo"),
        *(
            (("in/%05d.jpg", count, "out/%d.flo"), f"N '{count}': must be a number from 1 to 9999999")
            for count in ("0", "10000000", "1e300", "nan", "inf", "x", "", "3x", " 3", "0x", "99999999999999999999")
        ),
        (("in/%05d.jpg", "2.5", "out/%d.flo"), "N '2.5': must be a whole number"),
        (("in/%05d.jpg", "-2", "out/%d.flo"), "unknown option -2 (see --help)"),
        ((), "needs IN_PATTERN N OUT_PATTERN, got 0 arguments (see --help)"),
        (("in/%05d.jpg", 2), "needs IN_PATTERN N OUT_PATTERN, got 2 arguments"),
        (("in/%05d.jpg", 2, "out/%d.flo", "more"), "got 4 arguments"),
        (("--video", "v.avi"), "--video needs IN_VIDEO OUT_FOLDER, got 1 arguments"),
        (("--verbose",), "unknown option --verbose (see --help)"),
        (("--thread", 2), "unknown option --thread (see --help)"),
        (("--threads",), "--threads needs a value"),
        (("--threads=",), "--threads needs a value"),
        (("--threads", 0), "--threads '0': must be a number from 1 to 1024"),
        (("--cuda=1",), "--cuda takes no value"),
        (("--preset", "slow", "in/%05d.jpg", 2, "out/%d.flo"), "--preset slow does not exist; choose from"),
        (("--fps=10", "in/%05d.jpg", 2, "out/%d.flo"), "--fps is only for --video"),
        (("--video", "--fps=1000"), "--fps '1000': must be a number from 0 to 999"),
        (("--video", "--fps=0.001"), "--fps '0.001': must be a number from 0.01 to 999"),
        (("--video", "--short_side=-1"), "--short_side '-1': must be a number from 0 to 8192"),
        (("--video", "--quality=101"), "--quality '101': must be a number from 1 to 100"),
        (("--video", "--bound=0"), "--bound '0': must be a number from 1e-06 to 1000000"),
        (("--video", "--quant=floor"), "--quant 'floor' does not exist; choose from truncate, round"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_wrong_words_are_one_error_that_names_them_and_leave_nothing(program, images, tmp_path, arguments, message):
    before = tree(tmp_path)
    assert message in fail(program, *arguments, cwd=tmp_path)
    assert tree(tmp_path) == before


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "another size":
        path.write_bytes(cv2.imencode(".jpg", np.zeros((40, 30), np.uint8))[1].tobytes())
    elif how == "claims gigabytes":
        header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x0f\xff\xff\x00\x0f\xff\xff\x08\x00\x00\x00\x00"
        path.write_bytes(header + data)
    else:
        path.write_bytes({"empty": b"", "text": b"no image\n" * 99, "cut short": data[:-20], "half": data[:900]}[how])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        *((how, "is no image, or damaged") for how in ("empty", "text", "cut short", "half", "claims gigabytes")),
        ("folder", "is a folder, not an image"),
        ("another size", f"30x40 pixels, but in/00001.jpg has {SIZE[0]}x{SIZE[1]}; flow needs one size"),
    ],
)
def test_an_unusable_image_is_named_and_what_was_written_is_whole(program, images, tmp_path, how, message):
    damage(tmp_path / "in" / "00006.jpg", how)
    line = fail(program, "in/%05d.jpg", FRAMES, "out/%d.flo", "--threads=2", cwd=tmp_path)
    assert line.startswith(f"in/00006.jpg: {message}")
    written = names(tmp_path / "out")
    assert written <= {f"{i}.flo" for i in range(1, 5)}
    assert all(read_flo(tmp_path / "out" / name).shape == (SIZE[1], SIZE[0], 2) for name in written)


def test_an_image_cut_short_is_noticed_at_any_byte_and_a_whole_one_never(program, images, tmp_path):
    data = (tmp_path / "in" / "00002.jpg").read_bytes()
    for length in range(2, len(data), 397):
        (tmp_path / "in" / "00002.jpg").write_bytes(data[:length])
        assert "00002.jpg: is no image" in fail(program, "in/%05d.jpg", 2, "out/%d.flo", cwd=tmp_path)
    (tmp_path / "in" / "00002.jpg").write_bytes(data + b"trailing bytes")
    succeed(program, "in/%05d.jpg", 2, "out/%d.flo", cwd=tmp_path)


def test_a_name_that_cannot_be_written_is_named_and_nothing_is_left(program, images, tmp_path):
    (tmp_path / "out" / "2.flo").mkdir()
    line = fail(program, "in/%05d.jpg", FRAMES, "out/%d.flo", "--threads=1", cwd=tmp_path)
    assert line == "out/2.flo: Is a directory"
    assert names(tmp_path / "out") == {"1.flo", "2.flo"}


def test_existing_flow_is_replaced(program, images, tmp_path):
    (tmp_path / "out" / "1.flo").write_text("old")
    succeed(program, "in/%05d.jpg", 2, "out/%d.flo", cwd=tmp_path)
    assert read_flo(tmp_path / "out" / "1.flo").shape == (SIZE[1], SIZE[0], 2)


FULL_DISK = """
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* All writes to files together have ROOM bytes. */
extern "C" ssize_t write(int file, const void *data, size_t size) {
    static long room = atol(getenv("ROOM"));
    static const auto original = (ssize_t (*)(int, const void *, size_t)) dlsym(RTLD_NEXT, "write");
    if (file <= 2) return original(file, data, size);
    if (room == 0) { errno = ENOSPC; return -1; }
    if ((long) size > room) size = (size_t) room;
    room -= (long) size;
    return original(file, data, size);
}
"""


@pytest.fixture(scope="module")
def full_disk(program) -> Path:
    path = program.with_name("full.so")
    command = ["g++", "-D_GNU_SOURCE", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path), "-ldl"]
    subprocess.run(command, input=FULL_DISK, text=True, check=True)
    return path


@pytest.mark.parametrize("room", [0, 5, 12, 40_000, 130_000])
def test_a_full_disk_has_its_own_exit_code_and_leaves_whole_files_only(program, full_disk, images, tmp_path, room):
    env = {"LD_PRELOAD": str(full_disk), "ROOM": str(room)}
    line = fail(program, "in/%05d.jpg", FRAMES, "out/%d.flo", "--threads=1", code=5, cwd=tmp_path, env=env)
    size = 12 + 8 * SIZE[0] * SIZE[1]
    assert line == f"out/{room // size + 1}.flo: No space left on device"
    assert names(tmp_path / "out") == {f"{i + 1}.flo" for i in range(room // size)}
    assert all((tmp_path / "out" / name).stat().st_size == size for name in names(tmp_path / "out"))


@pytest.mark.parametrize("room", [0, 2_000, 40_000])
def test_a_full_disk_leaves_no_folder_of_a_video(program, full_disk, tmp_path, room):
    make_video(tmp_path / "v.avi", 20)
    env = {"LD_PRELOAD": str(full_disk), "ROOM": str(room)}
    line = fail(program, "--video", "v.avi", "frames", code=5, cwd=tmp_path, env=env)
    assert re.fullmatch(r"/.*/\.part-frames/\w+\.jpg: No space left on device", line)
    assert names(tmp_path) == {"v.avi"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_whole_files_only(program, images, tmp_path, number, code):
    for i in range(1, 5001):  # minutes of work
        (tmp_path / f"{i}.jpg").symlink_to(tmp_path / "in" / f"{1 + i % 2:05d}.jpg")
    process = subprocess.Popen(
        [program, "%d.jpg", "5000", "out/%d.flo", "--threads=2"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not names(tmp_path / "out") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == code
    assert 0 < len(names(tmp_path / "out")) < 4999
    assert {path.stat().st_size for path in (tmp_path / "out").iterdir()} == {12 + 8 * SIZE[0] * SIZE[1]}


# Folders of videos

EXTRACTIONS = {  # (which videos, options)
    "by default": ("25.avi", ()),
    "at the same rate": ("*", ("--short_side=40", "--preset=opencv")),
    "slower": ("*.mp4", ("--fps=10", "--short_side=20")),
    "faster": ("*.avi", ("--fps=60", "--short_side=0", "--quality=80")),
    "as it is": ("*", ("--fps=0", "--short_side=0")),
    "rounded": ("*.avi", ("--quant=round", "--bound=15", "--short_side=41")),
}


def extract(source: Path, target: Path, *options: str) -> None:
    words = [str(source), str(target), "0", "99", "0", "--workers=1", *options]
    extract_frames_flows.main(extract_frames_flows.parse_args(words))


def grey_images(folder: Path, pattern: str) -> np.ndarray:
    paths = sorted(folder.glob(pattern))
    return np.stack([cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) for path in paths]).astype(int)


def write_videos(folder: Path) -> None:
    """An AVI, an MP4 of another rate, and the same one to be turned to either side."""
    make_video(folder / "25.avi", 9)
    writer = cv2.VideoWriter(str(folder / "30.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (64, 48))
    noise = cv2.GaussianBlur(np.random.default_rng(3).standard_normal((80, 100, 3)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for i in range(10):
        writer.write(np.ascontiguousarray(texture[2 * i :, i:][:48, :64]))
    writer.release()
    data = (folder / "30.mp4").read_bytes()
    at = data.index(b"tkhd") + 44
    for name, turn in (("left", -65536), ("right", 65536)):
        matrix = np.array([0, turn, 0, -turn, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
        (folder / f"{name}.mp4").write_bytes(data[:at] + matrix + data[at + 36 :])


@pytest.mark.parametrize(("videos", "options"), EXTRACTIONS.values(), ids=EXTRACTIONS)
def test_a_video_becomes_what_the_python_extractor_makes_of_it(program, tmp_path, videos, options):
    source = tmp_path / "videos" / "class"
    source.mkdir(parents=True)
    write_videos(source)
    for video in source.iterdir():
        if not video.match(videos):
            video.unlink()
    extract(tmp_path / "videos", tmp_path / "python", *options)
    for video in source.iterdir():
        ours, theirs = tmp_path / "cpp" / "class" / video.stem, tmp_path / "python" / "class" / video.stem
        succeed(program, "--video", video, ours, *options)
        assert names(ours) == names(theirs)
        for name in names(ours) & {"done", "fps"}:
            assert (ours / name).read_text() == (theirs / name).read_text()
        for pattern in ("0*.jpg", "TVL1jpg_x_*.jpg", "TVL1jpg_y_*.jpg"):
            difference = np.abs(grey_images(ours, pattern) - grey_images(theirs, pattern))
            assert (difference <= 1).mean() >= 0.98, (video.name, pattern)


@pytest.mark.parametrize(("quant", "bound"), [("truncate", 20.0), ("round", 1.5)])
def test_flow_images_are_those_of_the_frames_as_they_were_written(program, tmp_path, quant, bound):
    make_video(tmp_path / "v.avi", 6)
    succeed(program, "--video", "v.avi", "f", f"--quant={quant}", f"--bound={bound}", "--threads=2", cwd=tmp_path)
    assert names(tmp_path / "f") == expected_names(6, flow=True)
    grey = grey_images(tmp_path / "f", "0*.jpg").astype(np.uint8)
    levels = encode(build_flow("tvl1", backend="native")(grey[:-1], grey[1:]), bound, quant)
    for axis, name in enumerate("xy"):
        expected = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for image in levels[..., axis]]
        expected = np.stack([cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) for data in expected])
        np.testing.assert_array_equal(grey_images(tmp_path / "f", f"TVL1jpg_{name}_*.jpg"), expected)


def test_a_video_of_one_frame_has_no_flow(program, tmp_path):
    make_video(tmp_path / "v.avi", 1)
    succeed(program, "--video", "v.avi", "f", cwd=tmp_path)
    assert names(tmp_path / "f") == {"00001.jpg", "done"}
    assert (tmp_path / "f" / "done").read_text() == "rgb 1\nflow 0\n"


def test_a_complete_folder_is_left_alone_and_a_crashed_one_replaced(program, tmp_path):
    make_video(tmp_path / "v.avi", 3)
    (tmp_path / "a" / ".part-f").mkdir(parents=True)
    (tmp_path / "a" / ".part-f" / "00007.jpg").touch()
    (tmp_path / "a" / "f").mkdir()  # empty
    succeed(program, "--video", "v.avi", "a/f/", cwd=tmp_path)
    assert names(tmp_path / "a") == {"f"}
    assert names(tmp_path / "a" / "f") == expected_names(3, flow=True)
    before = tree(tmp_path)
    assert "is complete already; remove it" in succeed(program, "--video", "v.avi", "./a/../a/f", cwd=tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["-x", "a b'\"[(#%05d&!)", "\u00e9\u4e2d", "100%d%n%s", "new\nline", "http:x"])
def test_any_name_of_video_and_folder_works(program, tmp_path, name):
    make_video(tmp_path / "plain.avi", 2).rename(tmp_path / f"{name}.avi")
    succeed(program, "--video", "--", f"{name}.avi", name, cwd=tmp_path)
    assert names(tmp_path / name) == expected_names(2, flow=True)
    assert names(tmp_path) == {name, f"{name}.avi"}


def test_what_cannot_be_extracted_is_named_and_nothing_appears(program, tmp_path):
    data = make_video(tmp_path / "v.avi", 20).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "text.avi").write_text("no video\n" * 99)
    (tmp_path / "empty.avi").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    before = tree(tmp_path)
    for video, folder, message in (
        ("absent.avi", "f", "absent.avi: no such video file"),
        ("own", "f", "own: is not a file"),
        ("text.avi", "f", "text.avi: is not a video, or damaged at the start"),
        ("empty.avi", "f", "empty.avi: is not a video, or damaged at the start"),
        ("cut.avi", "f", r"cut.avi: only \d+ of 20 frames can be decoded; get the file again or use --allow_short"),
        ("v.avi", "own", r".*/own: is there, but holds no complete video; remove it or choose another"),
        ("v.avi", "text.avi", r".*/text.avi: is there, but holds no complete video; .*"),
        ("v.avi", "text.avi/f", r".*/text.avi/.part-f: Not a directory"),
        ("v.avi", "", "OUT_FOLDER is empty"),
        ("v.avi", "/", "OUT_FOLDER '/': must have a name"),
    ):
        assert re.fullmatch(message, fail(program, "--video", video, folder, cwd=tmp_path))
        assert tree(tmp_path) == before
    assert fail(program, "--video", "--short_side=8192", "v.avi", "f", cwd=tmp_path) == (
        "v.avi: would become 9830x8192, more than 8192x8192"
    )
    succeed(program, "--video", "--allow_short", "cut.avi", "f", cwd=tmp_path)
    counts = (tmp_path / "f" / "done").read_text()
    assert 5 < int(counts.split()[1]) < 19


# The program as a whole


def test_the_help_tells_of_every_option(program):
    result = run(program, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    known = re.findall(r'{"(--\w+)",', (ROOT / "cpp" / "options.h").read_text())
    assert len(known) == 11
    assert set(re.findall(r"--\w+", result.stdout)) == set(known)
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            assert subprocess.run([program, "--help"], stdout=full, stderr=subprocess.DEVNULL).returncode == 2


def test_without_opencv_on_a_gpu_the_error_says_how_to_get_it(program, images, tmp_path):
    line = fail(program, "--cuda", "in/%05d.jpg", 2, "out/%d.flo", cwd=tmp_path)
    assert "WITH_CUDA=ON" in line or "finds no GPU" in line


CUDA_HEADER = """
#include <opencv2/core/cuda.hpp>
#include <opencv2/core.hpp>
namespace cv { namespace cuda {
struct OpticalFlowDual_TVL1 : Algorithm {  // the part of OpenCV's interface that is used
    virtual void calc(InputArray, InputArray, InputOutputArray, Stream & = Stream::Null()) = 0;
    static Ptr<OpticalFlowDual_TVL1> create(double = 0.25, double = 0.15, double = 0.3, int = 5, int = 5,
                                            double = 0.01, int = 300, double = 0.8, double = 0, bool = false) {
        return {};
    }
};
}}
"""


def test_the_cuda_part_compiles_against_the_interface_and_says_when_there_is_no_gpu(program, images, tmp_path):
    (tmp_path / "opencv2").mkdir()
    (tmp_path / "opencv2" / "cudaoptflow.hpp").write_text(CUDA_HEADER)
    compile_program(tmp_path / "cuda", f"-I{tmp_path}", "-O0", "-Wall", "-Wextra", kernel=str(KERNEL.path()))
    line = fail(tmp_path / "cuda", "--cuda", "in/%05d.jpg", 2, "out/%d.flo", cwd=tmp_path)
    assert line == "--cuda: this OpenCV finds no GPU that it can use; leave --cuda out to compute on the CPU"


def test_cmake_builds_the_kernel_as_a_library_too(checked):
    (library,) = checked.glob("libtvl1.*")
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    assert {"tvl1_abi", "tvl1_defaults", "tvl1_flow", "tvl1_isa", "tvl1_message"} <= set(symbols.split())


def test_no_memory_error_or_undefined_behaviour_in_any_mode(checked, images, tmp_path):
    program = checked / "tvl1_videoframes"
    env = {"ASAN_OPTIONS": "detect_leaks=0"}  # of libraries, and not everywhere permitted
    succeed(program, "in/%05d.jpg", 5, "out/%d.flo", "--threads=3", cwd=tmp_path, env=env)
    for i in range(1, 5):
        np.testing.assert_allclose(np.median(read_flo(tmp_path / "out" / f"{i}.flo"), (0, 1)), MOTION, atol=0.1)
    make_video(tmp_path / "v.avi", 5)
    succeed(program, "--video", "v.avi", "f", "--short_side=33", "--fps=30", "--quant=round", cwd=tmp_path, env=env)
    damage(tmp_path / "in" / "00003.jpg", "half")
    (tmp_path / "text").write_text("no video\n" * 99)
    for words in (
        ("in/%05d.jpg", 5, "out/%d.flo"),
        ("in/%05d.jpg", 50, "out/%d.flo"),
        ("in/%05d.jpg", 2, "absent/%d.flo"),
        ("%", 2, "%n"),
        ("--video", "text", "g"),
        ("--video", "absent", "g"),
        ("--threads",),
        (),
    ):
        result = run(program, *words, cwd=tmp_path, env=env)
        assert result.returncode == 2, result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert "Sanitizer" not in result.stderr
        assert "runtime error" not in result.stderr
