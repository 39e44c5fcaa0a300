"""Decoded frames that are kept: the same pixels, decoded once, and nothing left behind."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import FRAMES, SIZE, write_frames

from datasets.clips.views import Box, Placement, View, whole
from datasets.stores import cache, cache_folder
from datasets.stores.cache import DecodedCache
from datasets.stores.cache_folder import OWNER, PREFIX, SharedMemory
from datasets.stores.frames import FrameFolders
from datasets.stores.store import Video
from datasets.streams import FLOW, RGB

VIEW = View(Box(3, 5, 30, 40), (17, 20), Box(1, 2, 15, 16))
PLACEMENT = Placement(lambda _height, _width: VIEW, flip=True)


class Counting(FrameFolders):
    """Knows how many frames were decoded."""

    frames = 0

    def read(self, video, stream, numbers, placement):
        self.frames += len(numbers)
        return super().read(video, stream, numbers, placement)


@pytest.fixture
def store(tmp_path) -> Counting:
    for seed, name in enumerate(("v0", "v1")):
        write_frames(tmp_path / "frames" / "c" / name, seed)
    return Counting(tmp_path / "frames")


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Path:
    """Stands in for /dev/shm."""
    monkeypatch.setattr(cache_folder, "SHARED", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


@pytest.fixture
def cached(store, tmp_path) -> DecodedCache:
    return DecodedCache(store, tmp_path / "kept")


def video_in(store, name: str = "v0", first: int = 0) -> Video:
    return Video(name, store.locate(f"c/{name}"), 0, FRAMES - 1 - first, first)


@pytest.mark.parametrize("stream", [RGB, FLOW], ids=["rgb", "flow"])
@pytest.mark.parametrize("numbers", [[1, 2, 3], [9, 2, 2, 7], [5]])
@pytest.mark.parametrize("first", [0, 4])
def test_clips_are_those_of_the_store(store, cached, stream, numbers, first):
    for view in (PLACEMENT, Placement(whole)):
        expected = store.read(video_in(store, first=first), stream, numbers, view)
        clip = cached.read(video_in(cached, first=first), stream, numbers, view)
        np.testing.assert_array_equal(clip, expected)
        assert clip.dtype == np.uint8


def test_what_is_not_pixels_is_asked_of_the_store(store, cached):
    folder = cached.locate("c/v1")
    assert folder == store.locate("c/v1")
    assert cached.counts(folder, {"rgb", "flow"}) == store.counts(folder, {"rgb", "flow"})
    assert (cached.root, cached.streams, cached.flow_lag) == (store.root, store.streams, store.flow_lag)
    np.testing.assert_array_equal(cached.grey(video_in(cached), [1, 3]), store.grey(video_in(store), [1, 3]))


def test_frames_are_decoded_once_also_for_later_runs(store, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 7)
    for _ in range(2):
        kept = DecodedCache(store, tmp_path / "kept")
        for numbers in ([1, 2], [8, 9]):
            kept.read(video_in(kept), RGB, numbers, PLACEMENT)
        assert store.frames == FRAMES


def test_a_video_that_has_changed_is_decoded_again_and_its_old_frames_go(store, tmp_path):
    kept = DecodedCache(store, tmp_path / "kept")
    before = kept.read(video_in(kept), RGB, [1], PLACEMENT)
    shutil.rmtree(tmp_path / "frames" / "c" / "v0")
    write_frames(tmp_path / "frames" / "c" / "v0", seed=9)
    kept = DecodedCache(store, tmp_path / "kept")
    after = kept.read(video_in(kept), RGB, [1], PLACEMENT)
    assert (before != after).any()
    np.testing.assert_array_equal(after, store.read(video_in(store), RGB, [1], PLACEMENT))
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == 1


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:3], lambda data: b""])
def test_an_array_that_is_not_whole_is_made_again(store, tmp_path, damage):
    kept = DecodedCache(store, tmp_path / "kept")
    expected = kept.read(video_in(kept), RGB, [2], PLACEMENT)
    (file,) = (tmp_path / "kept").rglob("*.npy")
    file.write_bytes(damage(file.read_bytes()))
    kept = DecodedCache(store, tmp_path / "kept")
    np.testing.assert_array_equal(kept.read(video_in(kept), RGB, [2], PLACEMENT), expected)


def test_a_video_that_cannot_be_decoded_leaves_nothing_behind(cached, tmp_path):
    broken = tmp_path / "frames" / "c" / "v0" / "00007.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"00007\.jpg"):
        cached.read(video_in(cached), RGB, [1], PLACEMENT)
    assert not [file for file in (tmp_path / "kept").rglob("*") if file.is_file()]


def test_frames_beyond_the_end_are_refused(cached):
    with pytest.raises(FileNotFoundError, match=f"v0: has {FRAMES - 1} flow images, not {FRAMES}"):
        cached.read(video_in(cached), FLOW, [FRAMES], PLACEMENT)


def test_many_readers_at_once_make_each_array_once(store, tmp_path):
    expected = store.read(video_in(store), RGB, [4, 5], PLACEMENT)
    store.frames = 0
    readers = [DecodedCache(store, tmp_path / "kept") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda kept: kept.read(video_in(kept), RGB, [4, 5], PLACEMENT), readers))
    assert all((clip == expected).all() for clip in clips)
    assert store.frames == FRAMES
    assert [file.suffix for file in (tmp_path / "kept").rglob("*") if file.is_file()] == [".npy"]


def test_memory_is_shared_with_copies_and_freed_with_its_owner(store, memory):
    kept = DecodedCache(store, "ram")
    expected = kept.read(video_in(kept), RGB, [1], PLACEMENT)
    copy = pickle.loads(pickle.dumps(kept))
    np.testing.assert_array_equal(copy.read(video_in(copy), RGB, [1], PLACEMENT), expected)
    assert copy.store.frames == FRAMES  # counted before it was copied
    copy.memory = None
    del copy
    assert len(list(memory.rglob("*.npy"))) == 1
    del kept
    assert not list(memory.iterdir())


def test_memory_is_freed_at_the_end_of_the_process_and_after_it_was_killed(memory):
    code = (
        "import sys, signal, os; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import cache_folder\n"
        "cache_folder.SHARED = Path(sys.argv[2])\n"
        "memory = cache_folder.SharedMemory()\n"
        "(memory.folder / 'x.npy').write_bytes(b'x')\n"
        "os.kill(os.getpid(), int(sys.argv[3])) if sys.argv[3] != '0' else None\n"
    )
    command = [sys.executable, "-c", code, str(Path(cache_folder.__file__).parent), str(memory)]
    assert subprocess.run([*command, "0"], check=True).returncode == 0
    assert not list(memory.iterdir())
    assert subprocess.run([*command, str(int(signal.SIGKILL))], check=False).returncode == -signal.SIGKILL
    (left,) = memory.glob(f"{PREFIX}*")
    living = SharedMemory()
    another = SharedMemory()
    assert not left.exists()
    assert (living.folder / OWNER).exists()
    assert (another.folder / OWNER).exists()


def test_a_forked_process_leaves_the_memory_alone(memory):
    owner = SharedMemory()
    if (child := os.fork()) == 0:
        owner.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert (owner.folder / OWNER).exists()


def test_what_is_needed_is_known_before_anything_is_decoded(store, cached, tmp_path, monkeypatch):
    videos = [video_in(store, "v0"), video_in(store, "v0", first=3), video_in(store, "v1")]
    assert cached.prepare(videos, (RGB, FLOW)) == 2 * (FRAMES - 1) * SIZE[0] * SIZE[1] * 5
    assert not (tmp_path / "kept").exists()
    with monkeypatch.context() as patch:
        patch.setattr(cache, "free_space", lambda *_: 100_000)
        with pytest.raises(
            ValueError, match=r"2 videos need about 218\.9 kB decoded, but 100\.0 kB are free in .*kept"
        ):
            cached.prepare(videos, (RGB,))
    monkeypatch.setattr(cache_folder, "free_memory", lambda: 10_000)
    with pytest.raises(ValueError, match=r"but 9\.0 kB are free in memory; use --cache DIR on a disk"):
        DecodedCache(store, "ram").prepare(videos, (RGB,))


def test_arrays_that_are_there_count_as_room(store, cached, monkeypatch):
    monkeypatch.setattr(cache, "free_space", lambda *_: 0)
    with pytest.raises(ValueError, match="need about"):
        cached.prepare([video_in(store)], (RGB,))
    cached.read(video_in(store), RGB, [1], PLACEMENT)
    assert cached.prepare([video_in(store)], (RGB,)) > 0


def test_free_memory_heeds_the_limit_of_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_folder, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(cache_folder, "GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable: 50 kB\n")
    assert cache_folder.free_memory() == 50 * 1024
    (tmp_path / "memory.current").write_text("30000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cache_folder.free_memory() == 50 * 1024
    (tmp_path / "memory.max").write_text("40000\n")
    assert cache_folder.free_memory() == 10_000
