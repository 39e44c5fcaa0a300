"""Damaged files of every kind that is read, each tried in this process: `python damage.py FOLDER`.

Says in lines of JSON which case begins and how it ended, so that whoever started it sees which one hangs or crashes.
Everything is drawn from fixed seeds.
"""

import json
import os
import random
import resource
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datasets.clips.views import Placement, whole
from datasets.corpora import DATASETS
from datasets.decoding.video.containers import DamagedVideo
from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.records.manifest import MANIFEST, Facts, read_manifest, write_manifest
from datasets.records.quarantine import QUARANTINE, read_quarantine, update_quarantine
from datasets.stores.detect import ReadOptions, open_store
from datasets.streams import FLOW, RGB
from datasets.video import ClipReader, VideoDataset
from sts_common.workers import SharedCounters, Worker
from workflows.auditing.checks import Job, check_video

FRAMES = 6
LONGEST = 5000  # characters of a line that may be shown: twenty problems of a list
WORKER = Worker(0, SharedCounters(1, 1, 1))
Damage = Callable[[bytes, random.Random], bytes]


class Case(NamedTuple):
    """A damaged file: its name, and what reads it and raises what it raises."""

    name: str
    read: Callable[[], None]


def cut(share: float, data: bytes, rng: random.Random) -> bytes:
    return data[: int(len(data) * share)]


def cut_end(count: int, data: bytes, rng: random.Random) -> bytes:
    return data[:-count]


def flip(count: int, data: bytes, rng: random.Random) -> bytes:
    """Turn over single bits anywhere."""
    broken = bytearray(data)
    for _ in range(count):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def spoil_head(length: int, data: bytes, rng: random.Random) -> bytes:
    """Replace some of the first bytes."""
    broken = bytearray(data)
    for _ in range(4):
        broken[rng.randrange(min(length, len(broken)))] = rng.randrange(256)
    return bytes(broken)


def blank(data: bytes, rng: random.Random) -> bytes:
    """Zeros where a sector was lost."""
    start = rng.randrange(len(data))
    return data[:start] + bytes(len(data[start : start + 512])) + data[start + 512 :]


def drop(data: bytes, rng: random.Random) -> bytes:
    """Take some bytes out."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 40) :]


def swap(data: bytes, rng: random.Random) -> bytes:
    """Put random bytes between the others."""
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.randrange(1, 20)) + data[start:]


def constant(content: bytes, data: bytes, rng: random.Random) -> bytes:
    return content


def of_binary_files(many: int) -> Iterator[tuple[str, Damage]]:
    """Ways to damage a file of images or of a video."""
    for share in (0.02, 0.1, 0.25, 0.5, 0.75, 0.95):
        yield f"cut to {share:.0%}", partial(cut, share)
    for count in (1, 2, 9):
        yield f"cut by {count} bytes", partial(cut_end, count)
    for i in range(many):
        yield f"flipped bits {i}", partial(flip, 1 + 3 * i)
        yield f"damaged header {i}", partial(spoil_head, 60 + 60 * i)
    for i in range(3):
        yield f"lost sector {i}", blank
        yield f"lost bytes {i}", drop
    yield "empty", partial(constant, b"")
    yield "one byte", partial(constant, b"\xff")
    yield "text", partial(constant, b"404 Not Found\n")
    yield "random bytes", lambda data, rng: rng.randbytes(len(data))


def of_text_files() -> Iterator[tuple[str, Damage]]:
    """Ways to damage a list."""
    for i in range(3):
        yield f"flipped bits {i}", partial(flip, 1 + 3 * i)
        yield f"lost bytes {i}", drop
        yield f"random bytes {i}", swap
    yield "cut", partial(cut, 0.5)
    yield "empty", partial(constant, b"")
    yield "binary", lambda data, rng: rng.randbytes(500)
    yield "deep", partial(constant, b"[" * 100_000)


def png(size: int) -> bytes:
    """A square image of zeros whose file is a five-hundredth of its pixels: each row is one block of deflate."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    packer, row = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(3 * size + 1)
    block = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = size * len(row) % 65521 << 16 | 1  # Adler-32 of zeros
    rows = b"\x78\xda" + block * size + b"\x03\x00" + checksum.to_bytes(4)
    head = size.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def claiming(width: int, height: int, data: bytes, rng: random.Random) -> bytes:
    """A JPEG whose header states another size."""
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + height.to_bytes(2) + width.to_bytes(2) + data[place + 4 :]


def of_images(many: int) -> Iterator[tuple[str, Damage]]:
    """Ways to damage a JPEG."""
    yield from of_binary_files(many)
    yield "PNG bomb", partial(constant, png(15000))
    yield "PNG", partial(constant, png(40))
    for width, height in ((65000, 65000), (65000, 8), (0, 40), (48, 0), (16, 16), (48, 400)):
        yield f"claims {width}x{height}", partial(claiming, width, height)
    yield "smaller", lambda data, rng: cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


def write_frames(folder: Path, flow: bool = True) -> None:
    """A small video as a folder of frames with content that compresses like a film."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(1, FRAMES + 1):
        image = cv2.resize(rng.integers(0, 256, (10, 12, 3), np.uint8), (48, 40))
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), image)
        for axis in "xy" if flow and i < FRAMES else "":
            cv2.imwrite(str(folder / f"TVL1jpg_{axis}_{i:05d}.jpg"), image[..., 0])


def load(root: Path, path: str, layout: str, flow: bool, decoder: str) -> None:
    """Read a clip of all frames as training does, and audit the video; the audit must notice what stops the loader."""
    streams = (RGB, FLOW) if flow else (RGB,)
    needs = frozenset(stream.name for stream in streams)
    entries = [Entry(path, 0, path)]
    store = open_store(layout, root, entries, ReadOptions(decoder=decoder))
    look = check_video(Job(store, path, needs, deep=True), WORKER)
    assert all("\n" not in problem.text for problem in look.problems)
    try:
        videos = find_videos(entries, store, needs=needs)
        reader = ClipReader(streams, store, lambda rng: Placement(whole))
        frames = range(1, 1 + videos[0].num_frames)
        clip = VideoDataset(videos, reader, sample=lambda *_: list(frames), length=len(frames), seed=0)[0]
        assert clip["rgb"].shape[1] == len(frames)
    except (ValueError, FileNotFoundError):
        assert look.problems, "the audit found nothing"
        raise


def damaged(file: Path, name: str, damage: Damage, read: Callable[[], None]) -> Case:
    """A case that damages a file, reads it, and restores it."""

    def run() -> None:
        data = file.read_bytes()
        try:
            file.write_bytes(damage(data, random.Random(name)))
            read()
        finally:
            file.write_bytes(data)

    return Case(f"{file.name}: {name}", run)


def replaced(file: Path, name: str, make: Callable[[Path], None], read: Callable[[], None]) -> Case:
    """A case that puts something else in place of a file, reads it, and restores it."""

    def run() -> None:
        data = file.read_bytes()
        file.unlink()
        try:
            make(file)
            read()
        finally:
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
            file.write_bytes(data)

    return Case(f"{file.name}: {name}", run)


def frames(root: Path) -> Iterator[Case]:
    """Images of frame folders, decoded in both ways."""
    write_frames(root / "a" / "v")
    for decoder in ("auto", "python"):
        for file, many in (("00003.jpg", 6), ("00001.jpg", 2), ("TVL1jpg_y_00003.jpg", 2)):
            image, read = root / "a" / "v" / file, partial(load, root, "a/v", "sts", True, decoder)
            for name, damage in of_images(many):
                yield damaged(image, f"{name} ({decoder})", damage, read)
            yield replaced(image, f"folder ({decoder})", Path.mkdir, read)
            yield replaced(image, f"pipe ({decoder})", os.mkfifo, read)
            yield replaced(image, f"link to nothing ({decoder})", lambda path: path.symlink_to("x.jpg"), read)
            yield replaced(image, f"link to itself ({decoder})", lambda path: path.symlink_to(path.name), read)
            yield replaced(image, f"missing ({decoder})", lambda path: None, read)


def write_video(path: Path, codec: str, count: int = 20) -> None:
    """A video of a moving square."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, (64, 48))
    for i in range(count):
        image = np.full((48, 64, 3), 90, np.uint8)
        image[10:30, i : i + 20] = (200, 30, 255)
        writer.write(image)
    writer.release()


def write_sound(path: Path) -> None:
    """A file with a sound and no picture."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n",
}


def videos(root: Path) -> Iterator[Case]:
    """Video files of two containers."""
    write_video(root / "v.mp4", "mp4v")
    write_video(root / "w.avi", "MJPG")
    write_video(root / "other.mp4", "mp4v")
    for path in (root / "v.mp4", root / "w.avi"):
        read = partial(load, root, path.stem, "video", False, "auto")
        for name, damage in of_binary_files(6):
            yield damaged(path, name, damage, read)
        for name, text in PLAYLISTS.items():
            content = text.format(other=root / "other.mp4").encode()
            yield damaged(path, f"playlist {name}", partial(constant, content), read)
        yield replaced(path, "folder", Path.mkdir, read)
        yield replaced(path, "link to nothing", lambda path: path.symlink_to("x.mp4"), read)
        yield replaced(path, "no frame", lambda path: write_video(path, "mp4v", 0), read)
        yield replaced(path, "one frame", lambda path: write_video(path, "mp4v", 1), read)
        yield replaced(path, "missing", lambda path: None, read)
    read = partial(load, root, "v", "video", False, "auto")
    yield replaced(root / "v.mp4", "sound only", write_sound, read)


def packs(root: Path) -> Iterator[Case]:
    """Packed clips."""
    from utils1 import pack

    write_frames(root / "src" / "a" / "v")
    pack.main(pack.parse_args([str(root / "src"), str(root / "dst")]))
    for stream in ("rgb", "flow"):
        (file,) = (root / "dst").glob(f"**/*.{stream}.*")
        read = partial(load, root / "dst", "a/v", "pack", True, "auto")
        for name, damage in of_binary_files(5):
            yield damaged(file, name, damage, read)
        yield replaced(file, "folder", Path.mkdir, read)
        yield replaced(file, "missing", lambda path: None, read)


LISTS: dict[str, tuple[str, str, str]] = {
    "HMDB51": ("HMDB51", "run_test_split1.txt", "a_run.avi 1 \nb_run.avi 2 \nc_run.avi 0 \n"),
    "UCF101": ("UCF101", "trainlist01.txt", "Run/v_Run_g01_c01.avi 1\r\nWalk/v_Walk_g01_c01.avi 2\r\n"),
    "UCF101 classes": ("UCF101", "classInd.txt", "1 Run\r\n2 Walk\r\n"),
    "Kinetics": ("Kinetics", "Kinetics_train_labels.txt", "train/a run/x_1 0 300\ntrain/walk/y_1 1 300\n"),
    "IBM": ("List", "train.txt", "run/a 1 30 0\nrun/b 1 30 0\nwalk/c 1 30 1\n"),
    "CSV": ("List", "videos.csv", 'path,label,split\nrun/a,run,train\n"run/b, c",run,test\nwalk/d,walk,train\n'),
    "JSON": (
        "JSON",
        "list.json",
        json.dumps(
            {
                "labels": ["run", "walk"],
                "database": {
                    "a": {"subset": "training", "annotations": {"label": "run", "segment": [1, 30]}},
                    "b": {"subset": "validation", "annotations": {"label": "walk"}},
                },
            }
        ),
    ),
}


def lists(root: Path) -> Iterator[Case]:
    """Annotation files of every form; what they list stays below the root."""
    for form, (dataset, name, text) in LISTS.items():
        folder = root / form
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
        if form.startswith("UCF101"):
            (folder / "classInd.txt").write_text("1 Run\n2 Walk\n")
            (folder / "trainlist01.txt").write_text("Run/v_Run_g01_c01.avi 1\n")
        place = folder / name if dataset == "JSON" else folder

        def read(dataset: str = dataset, place: Path = place) -> None:
            for entry in DATASETS[dataset](place, 1, "train").entries:
                assert entry.label >= 0
                assert entry.path

        for kind, damage in of_text_files():
            yield damaged(folder / name, f"{form}, {kind}", damage, read)


def tables(root: Path) -> Iterator[Case]:
    """The manifest and the quarantine."""
    names = [f"run/{i}" for i in range(5)]
    write_manifest(root, "sts", [Facts(name, None, 20, 19, 1, 48, 40, None, "0f") for name in names])
    update_quarantine(root, dict.fromkeys(names, "empty"), names)

    def look_up() -> None:
        manifest = read_manifest(root)
        assert manifest is not None
        assert all(Path(facts.folder).is_relative_to(root) for facts in manifest.located.values())

    for kind, damage in of_text_files():
        yield damaged(root / MANIFEST, kind, damage, look_up)
        yield damaged(root / QUARANTINE, kind, damage, lambda: read_quarantine(root) and None)


GROUPS = {"frames": frames, "videos": videos, "packs": packs, "lists": lists, "tables": tables}


def run(case: Case, folder: Path) -> str:
    """How a case ends: "read", or with an error that may be shown to a user, or with what is wrong with that."""
    try:
        case.read()
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        if type(error) not in (ValueError, FileNotFoundError, DamagedVideo):
            return f"WRONG: {type(error).__name__}: {text}"
        if "\n" in text or len(text) > LONGEST or str(folder) not in text:
            return f"WRONG: not one line that names the file: {text[:LONGEST]!r}"
        return f"{type(error).__name__}: {text}"
    except Exception as error:  # noqa: BLE001 - what must not come
        return f"WRONG: {type(error).__name__}: {error}"
    return "read"


def megabytes() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main(folder: Path) -> None:
    """Try all cases of all groups."""
    cv2.setNumThreads(1)
    for group, cases in GROUPS.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for case in cases(folder / group):
            print(json.dumps({"group": group, "begins": case.name}), flush=True)
            before = megabytes()
            ended = run(case, folder)
            print(json.dumps({"ended": ended, "grown": megabytes() - before}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
