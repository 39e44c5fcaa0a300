"""Video files read directly: the frames of an extraction, from any place, and whatever is wrong is said in one line."""

import os
import pickle
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from films import spelled, write_film

from datasets.clips.views import Box, Placement, View, resample, whole
from datasets.decoding.images import resample_frames
from datasets.decoding.video import frames, index
from datasets.decoding.video import reading as video
from datasets.decoding.video.index import index_video
from datasets.decoding.video.reading import read_video
from datasets.lists.entries import Entry, Segment
from datasets.records.lookup import find_videos
from datasets.stores.detect import ReadOptions, detect_layout, open_store
from datasets.stores.store import Video
from datasets.stores.video_files import VideoFiles
from datasets.streams import FLOW, RGB

SHOWN = Placement(whole)
COUNT = 60

# name: codec, frames per second, B-frames, options of the codec
FILES = {
    "b_frames.mp4": ("libx264", 30, 3, {"x264-params": "scenecut=0"}),
    "open_gop.mp4": ("libx264", 30, 3, {"x264-params": "open-gop=1:keyint=12"}),
    "hevc.mp4": ("libx265", 30, 2, {"x265-params": "log-level=none:keyint=12"}),
    "ntsc.mp4": ("libx264", Fraction(30000, 1001), 2, {}),
    "fast.mov": ("libx264", 50, 2, {}),
    "slow.m4v": ("mpeg4", 10, 0, {}),
    "rounded.mkv": ("libx264", 30, 3, {}),
    "vp9.webm": ("libvpx-vp9", 30, 0, {"cpu-used": "8", "deadline": "realtime"}),
    "rounded.flv": ("libx264", 30, 2, {}),
    "wmv.wmv": ("wmv2", 30, 0, {}),
    "stream.ts": ("libx264", 30, 2, {}),
    "stream.mpg": ("mpeg2video", 30, 2, {}),
    "plain.avi": ("mpeg4", 30, 0, {}),
    "b_frames.avi": ("mpeg4", 30, 2, {}),
    "untimed.avi": ("libx264", 30, 2, {}),
    "intra.avi": ("mjpeg", 25, 0, {}),
}


def make_video(path: Path, name: str = "", times: Sequence[int] = (), count: int = COUNT) -> Path:
    """A video of `count` frames with a frame to begin at every 12; `times` are milliseconds of each frame."""
    codec, rate, b_frames, options = FILES[name or path.name]
    return write_film(
        path,
        codec,
        rate,
        times=times or None,
        unit=Fraction(1, 1000) if times else None,
        count=count,
        b_frames=b_frames,
        pixels="yuvj420p" if codec == "mjpeg" else "yuv420p",
        options=options,
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name in FILES:
        make_video(root / name)
    steps = np.random.default_rng(1).integers(5, 90, COUNT)
    make_video(root / "variable.mkv", "rounded.mkv", (300 + np.cumsum(steps)).tolist())
    make_video(root / "late.mp4", "b_frames.mp4", (7_000 + 40 * np.arange(COUNT)).tolist())
    return root


def frames_of(store: VideoFiles, path: Path, numbers: Sequence[int]) -> np.ndarray:
    """Frames (T, H, W, 3) by number."""
    return store.read(Video("", path, 0, 0), RGB, numbers, SHOWN).transpose(1, 2, 3, 0)


@pytest.mark.parametrize("fps", [25.0, 60.0, 7.0])
@pytest.mark.parametrize("name", [*FILES, "variable.mkv", "late.mp4"])
def test_frames_are_those_of_an_extraction_wherever_reading_begins(videos, name, fps):
    path, store = videos / name, VideoFiles(videos, fps=fps)
    expected = np.stack(list(read_video(path, fps, None)))
    assert store.counts(path, {"rgb"}) == {"rgb": len(expected)}
    every = np.arange(1, len(expected) + 1)
    assert np.array_equal(frames_of(store, path, every), expected)
    rng = np.random.default_rng(0)
    for size in (1, 1, 1, 2, 5, 16):
        numbers = rng.integers(1, len(expected) + 1, size)  # in any order, also one twice
        got = frames_of(store, path, numbers)
        assert [spelled(frame) for frame in got] == [spelled(expected[n - 1]) for n in numbers]
        assert np.array_equal(got, expected[numbers - 1])


@pytest.mark.parametrize("name", [*FILES, "variable.mkv"])
def test_every_frame_of_the_file_is_there_once_at_its_own_rate(videos, name):
    store = VideoFiles(videos, fps=None)
    shown = frames_of(store, videos / name, range(1, COUNT + 1))
    assert [spelled(frame) for frame in shown] == list(range(COUNT))


@pytest.mark.parametrize("name", ["b_frames.mp4", "rounded.mkv", "vp9.webm", "plain.avi", "b_frames.avi", "intra.avi"])
def test_no_more_is_decoded_than_from_the_frame_before_where_decoding_can_begin(videos, name, monkeypatch):
    store = VideoFiles(videos, fps=None)
    store.counts(videos / name, {"rgb"})
    decoded = []
    packets_of = frames.packets_of
    monkeypatch.setattr(frames, "packets_of", lambda c: (decoded.append(packet) or packet for packet in packets_of(c)))
    frames_of(store, videos / name, [COUNT - 1])
    assert len(decoded) < 30


def test_an_index_is_made_without_decoding_and_again_when_the_file_changes(tmp_path, monkeypatch):
    path = make_video(tmp_path / "b_frames.mp4")
    monkeypatch.setattr(index, "decoded_index", None)
    first = index_video(path)
    assert index_video(path) is first
    assert first.keys.tolist() == [0, 12, 24, 36, 48]
    assert np.allclose(first.seconds, np.arange(COUNT) / 30)
    make_video(path, count=30)
    assert len(index_video(path).seconds) == 30


def test_a_seek_that_misses_is_noticed(videos, monkeypatch):
    """Some files seek too far; then all is decoded from the first frame, and nothing else is shown."""
    path, store = videos / "b_frames.mp4", VideoFiles(videos, fps=None)
    known = index_video(path)
    monkeypatch.setattr(video, "index_video", lambda p: known._replace(keys=np.array([0, 20, 50])))
    assert [spelled(frame) for frame in frames_of(store, path, [22, 23, 40, 52])] == [21, 22, 39, 51]


@pytest.mark.parametrize("decoder", ["auto", "python"])
@pytest.mark.parametrize("name", ["b_frames.mp4", "plain.avi"])
def test_training_samples_equal_those_of_frames_extracted_without_loss(videos, name, decoder):
    store = VideoFiles(videos, decoder=decoder)
    extracted = np.stack(list(read_video(videos / name, 25.0, None)))
    view = View(Box(8, 10, 40, 60), (30, 45), Box(2, 4, 24, 32), flip=True)
    numbers = [40, 41, 42, 43, 1, 1]
    chosen = extracted[np.array(numbers) - 1]
    clip = store.read(
        Video("", videos / name, 0, 50), RGB, numbers, Placement(lambda h, w: view._replace(flip=False), True)
    )
    assert clip.shape == (3, 6, 24, 32)
    assert clip.flags.c_contiguous
    assert np.array_equal(clip, resample_frames(chosen, view, store.resize))
    by_torch = resample(torch.from_numpy(chosen).permute(0, 3, 1, 2), view).transpose(0, 1).numpy()
    assert np.abs(clip.astype(int) - by_torch).max() <= 1


def test_a_segment_and_its_seconds_count_from_the_first_frame(videos):
    store = VideoFiles(videos, fps=10.0)
    segment = Entry("late", 0, "late", Segment(1.0, 2.0, "seconds"))
    (video,) = find_videos([segment], store, needs={"rgb"})
    assert (video.first, video.num_frames) == (10, 10)
    clip = store.read(video, RGB, [1, 10], SHOWN).transpose(1, 2, 3, 0)
    assert [spelled(frame) for frame in clip] == [26, 48]  # at 1.04 s and 1.92 s, which are nearest to ticks 10 and 19
    assert VideoFiles(videos, fps=None).rate(videos / "late.mp4") == pytest.approx(25.0)


def test_grey_frames_are_those_of_the_rgb_frames(videos):
    store = VideoFiles(videos)
    video = Video("", videos / "b_frames.mp4", 0, 50)
    rgb = frames_of(store, video.folder, [3, 9, 3]).astype(float)
    grey = store.grey(video, [3, 9, 3])
    assert grey.dtype == np.uint8
    assert np.abs(grey - rgb @ [0.299, 0.587, 0.114]).max() <= 1


def test_a_film_held_upright_is_shown_upright(videos, tmp_path):
    data = bytearray((videos / "b_frames.mp4").read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "v.mp4").write_bytes(data)
    expected = np.stack(list(read_video(tmp_path / "v.mp4", 25.0, None)))
    got = frames_of(VideoFiles(tmp_path), tmp_path / "v.mp4", [1, 30])
    assert np.array_equal(got, expected[[0, 29]])
    assert np.array_equal(np.rot90(got[1]), list(read_video(videos / "b_frames.mp4", 25.0, None))[29])


def test_videos_are_found_by_any_extension_and_capitals(videos, tmp_path):
    for name in ("a/Long.Name.v1.avi", "a/upper.AVI", "b/v_HandstandPushups.webm", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((videos / "plain.avi").read_bytes())
    store = VideoFiles(tmp_path)
    assert store.locate("a/Long.Name.v1").name == "Long.Name.v1.avi"
    assert store.locate("a/upper").name == "upper.AVI"
    assert store.locate("b/v_HandStandPushups").name == "v_HandstandPushups.webm"
    for path in ("b/notes", "b", "c/v", "a/Long"):
        with pytest.raises(FileNotFoundError, match=rf"{path}: no such video file with any of \.3gp"):
            store.locate(path)
    (tmp_path / "a/Long.Name.v1.mp4").touch()
    with pytest.raises(ValueError, match=r"Long\.Name\.v1\.avi: and Long\.Name\.v1\.mp4 have one name"):
        store.locate("a/Long.Name.v1")
    assert detect_layout(tmp_path, [Entry("a/upper", 0, "")]) == "video"
    assert open_store("auto", tmp_path, [Entry("a/upper", 0, "")], ReadOptions(fps=None)).fps is None


def test_the_rate_of_a_file_is_that_of_its_pictures_not_of_its_slots(tmp_path):
    write_film(tmp_path / "v.avi", "mpeg4", 30, times=[(6 * i + 2) // 5 for i in range(40)], count=40)
    assert VideoFiles(tmp_path, fps=None).rate(tmp_path / "v.avi") == pytest.approx(25, abs=0.2)


def test_nothing_outside_the_root_is_opened(videos, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    store = VideoFiles(root)
    (root / "link.avi").symlink_to(videos / "plain.avi")
    (root / "LINK2.avi").symlink_to(videos / "plain.avi")
    for path in ("../x", str(videos / "plain"), "link", "link2"):
        with pytest.raises(ValueError, match="leads out"):
            store.locate(path)


def test_flow_is_asked_for_in_vain(videos):
    store = VideoFiles(videos)
    assert store.streams == {"rgb"}
    with pytest.raises(ValueError, match=r"plain\.avi: a video file has no flow: .*--modality RGB"):
        store.counts(videos / "plain.avi", {"rgb", "flow"})
    with pytest.raises(ValueError, match=r"plain\.avi: a video file has no flow"):
        store.read(Video("", videos / "plain.avi", 0, 9), FLOW, [1], SHOWN)


@pytest.mark.parametrize("number", [0, 51, 10**9])
def test_a_frame_that_is_not_there_is_refused(videos, number):
    with pytest.raises(ValueError, match=rf"plain\.avi: frame {number} is asked for, but it has 50"):
        frames_of(VideoFiles(videos), videos / "plain.avi", [1, number])


def write_damaged(folder: Path, videos: Path) -> None:
    """Files that hold no video."""
    (folder / "text.avi").write_text("hello\n" * 100)
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    (folder / "playlist.mp4").write_text(f"ffconcat version 1.0\nfile {videos / 'b_frames.mp4'}\n")
    segments = f"#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{videos / 'stream.ts'}\n#EXT-X-ENDLIST\n"
    (folder / "playlist.ts").write_text(f"#EXTM3U\n{segments}")
    for name, part in (("b_frames.mp4", 0.5), ("plain.avi", 0.6), ("rounded.mkv", 0.5), ("plain.avi", 0.02)):
        data = (videos / name).read_bytes()
        (folder / f"cut{part}_{name}").write_bytes(data[: int(part * len(data))])


def test_what_is_no_video_or_cut_short_is_named_in_one_line_and_nothing_is_printed(videos, tmp_path, capfd):
    write_damaged(tmp_path, videos)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            VideoFiles(tmp_path).counts(path, {"rgb"})
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"cut0.6_plain\.avi: .*packets are damaged; get the file again"):
        VideoFiles(tmp_path).counts(tmp_path / "cut0.6_plain.avi", {"rgb"})
    with pytest.raises(FileNotFoundError, match=r"absent\.avi: no such video file"):
        VideoFiles(tmp_path).counts(tmp_path / "absent.avi", {"rgb"})
    assert capfd.readouterr() == ("", "")


def test_a_frame_that_cannot_be_decoded_is_not_replaced_by_another_one(videos, tmp_path):
    path = tmp_path / "v.avi"
    data = bytearray((videos / "intra.avi").read_bytes())
    at = data.index(b"movi")
    for _ in range(30):  # the 30th picture
        at = data.index(b"00dc", at + 4)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(data)
    store = VideoFiles(tmp_path)
    assert spelled(frames_of(store, path, [29])[0]) == 28
    with pytest.raises(ValueError, match=r"v\.avi: frame 30 of the file cannot be decoded; get the file again"):
        frames_of(store, path, [30])


@pytest.mark.parametrize(
    "name", ["b_frames.mp4", "rounded.mkv", "b_frames.avi", "stream.mpg", "vp9.webm", "untimed.avi"]
)
def test_damaged_files_end_in_frames_or_in_one_line(videos, tmp_path, name):
    sound = (videos / name).read_bytes()
    for seed in range(25):
        rng = np.random.default_rng(seed)
        data = bytearray(sound)
        for at in rng.integers(0, len(data) if seed % 2 else min(len(data), 2000), rng.integers(1, 40)):
            data[at] = rng.integers(256)
        path = tmp_path / f"{seed}_{name}"
        path.write_bytes(data[: int(len(data) * rng.uniform(0.3, 1))] if seed % 3 == 0 else data)
        store = VideoFiles(tmp_path)
        try:
            count = store.counts(path, {"rgb"})["rgb"]
            numbers = sorted({1, max(count // 2, 1), count})
            assert frames_of(store, path, numbers).shape[0] == len(numbers)
        except ValueError as error:
            assert path.name in str(error)
            assert "\n" not in str(error)


def test_the_store_can_be_sent_to_another_process(videos):
    store = pickle.loads(pickle.dumps(VideoFiles(videos, fps=None)))
    assert spelled(frames_of(store, videos / "plain.avi", [7])[0]) == 6


def test_a_library_that_is_not_installed_is_named_when_it_is_needed(videos, monkeypatch):
    path = videos / "fast.mov"
    os.utime(path)  # no index of it is kept
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"video files are read with PyAV .*pip install av"):
        VideoFiles(videos).counts(path, {"rgb"})
