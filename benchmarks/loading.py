"""Cost of loading a clip: the published loader, the storage forms of this project, and decoding of the bytes alone.

All take the same clips of made-up videos in turn, each on one core, and CPU time is counted: the ratios hold on a busy
machine too. Files are in the memory of the system, as those of a small data set are from the second epoch on. Workers
are compared by the clock.
"""

import ctypes
import logging
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, choose, environment, publish
from benchmarks.readers.forms import available_forms, kilobytes
from benchmarks.readers.subjects import SUBJECTS, Draw, Subject, draw_clips
from benchmarks.readers.tables import disk_table, listing_table, speed_table, workers_table
from benchmarks.readers.workers import worker_rates
from benchmarks.synthetic.videos import RGB_NAME, write_videos
from datasets.decoding.jpeg import native
from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.records.manifest import Facts, read_manifest, write_manifest
from datasets.stores.frames import FrameFolders
from datasets.stores.store import Store, Video
from engine.command import cli
from sts_common.processors import single_threaded_libraries
from sts_common.timing import alternated

MALLOC = {-1: 2**30, -3: 2**25}  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h; the latter takes no more
FURTHER = ("workers", "list")  # that are measured beside `SUBJECTS`
COMPARED_ROUNDS = 2  # rounds whose pixels are compared
LISTED_FRAMES = 60  # of a listed video

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("loading", __doc__, rounds=15)
    parser.add_argument("--videos", type=int, default=8, help="made up")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help=f"of {', '.join([*SUBJECTS, *FURTHER])}")
    parser.add_argument("--listed", type=int, default=2000, help="videos of the list that is indexed")
    parser.add_argument("--seed", type=int, default=0, help="of the videos and clips")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the tables, write the JSON."""
    check_least(opt, videos=1, rounds=1, listed=1)
    wanted = choose([*SUBJECTS, *FURTHER], opt.only, "nothing that is measured")
    record: Record = {"environment": environment(), "rounds": opt.rounds}
    with TemporaryDirectory() as folder:
        record |= measure(Path(folder), opt, wanted)
    tables = (speed_table, disk_table, workers_table, listing_table)
    return publish(opt.out, record, *(table(record) for table in tables))


def measure(root: Path, opt: Namespace, wanted: Sequence[str]) -> Record:
    """Measure loading by subject and storage form, workers, and the finding of a list's videos."""
    keep_memory()
    record: Record = {"subjects": {}}
    subjects = {name: SUBJECTS[name] for name in wanted if name in SUBJECTS}
    if subjects or "workers" in wanted:
        log.info("making %d videos", opt.videos)
        counts = write_videos(root / "frames", opt.videos, opt.seed)
        videos = [Video(path, root / "frames" / path, 0, frames - 1) for path, frames in counts.items()]
        with single_threaded_libraries():
            forms, record["missing"] = available_forms(root)
            record["disk"] = {name: kilobytes(store, videos) for name, store in forms.items()}
            for name, subject in subjects.items():
                log.info("%s", name)
                record["subjects"][name] = compare(subject, forms, videos, opt)
        if "workers" in wanted:
            log.info("workers")
            record["workers"] = worker_rates(videos, opt.rounds, opt.seed)
    if "list" in wanted:
        log.info("a list of %d videos", opt.listed)
        record["list"] = time_listing(root / "list", opt.listed)
    return record


def keep_memory() -> None:
    """Make the C library keep freed memory, where it has such a setting.

    Otherwise it gives Pillow's images back to the system each time, and the original takes a third longer.
    """
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        for parameter, size in MALLOC.items():
            library.mallopt(parameter, size)


def compare(subject: Subject, forms: Mapping[str, Store], videos: Sequence[Video], opt: Namespace) -> dict[str, Any]:
    """Measure CPU seconds per clip, or per video in evaluation, in each round, and the differences of pixels."""
    rows: dict[str, Any] = {
        name: {"cpu_s": []} for name in ("original", *forms, *([] if native.missing() else ["floor"]))
    }
    for number in range(-1, opt.rounds):  # the first one is not counted
        draws = draw_clips(subject, videos, opt.seed, number + 1)
        calls = calls_of(subject, forms, draws)
        seconds = alternated({name: calls[name] for name in (list(calls)[::-1] if number % 2 else calls)}, 1)[0]
        if number < 0:
            continue
        for name in rows:
            rows[name]["cpu_s"].append(seconds[name].cpu / len(draws))
        if number < COMPARED_ROUNDS:
            truth = [subject.original_levels(draw) for draw in draws]
            for name, store in forms.items():
                note_differences(rows[name], [subject.levels(store, draw) for draw in draws], truth)
    return rows


def calls_of(subject: Subject, forms: Mapping[str, Store], draws: Sequence[Draw]) -> dict[str, Callable[[], None]]:
    """Return the measured calls by name; each takes all draws."""
    loads: dict[str, Callable[[Draw], object]] = {"original": subject.original}
    loads |= {name: partial(subject.load, store) for name, store in forms.items()}

    def each(load: Callable[[Any], object], items: Sequence[Any]) -> None:
        deque(map(load, items), maxlen=0)  # one after the other, keeping none

    calls: dict[str, Callable[[], None]] = {name: partial(each, load, draws) for name, load in loads.items()}
    if not native.missing():
        images = [image for draw in draws for image in subject.images(draw)]
        calls["floor"] = partial(each, lambda image: native.decode_floor(*image), images)
    return calls


def note_differences(row: dict[str, Any], levels: Sequence[torch.Tensor], truth: Sequence[torch.Tensor]) -> None:
    """Add the differing pixels, and the largest and the mean absolute difference, in levels of 255."""
    apart = torch.cat([(a.int() - b.int()).abs().flatten() for a, b in zip(levels, truth, strict=True)])
    old = row.setdefault("pixels", {"compared": 0, "differing": 0, "sum": 0, "max": 0})
    row["pixels"] = {
        "compared": old["compared"] + apart.numel(),
        "differing": old["differing"] + int((apart > 0).sum()),
        "sum": old["sum"] + int(apart.sum()),
        "max": max(old["max"], int(apart.max())),
    }


def time_listing(root: Path, videos: int) -> dict[str, Any]:
    """Measure wall-clock seconds for a list of videos, each a folder of empty files."""
    paths = [f"class{number % 100:03d}/video{number:05d}" for number in range(videos)]
    for path in paths:
        (root / path).mkdir(parents=True)
        for frame in range(1, LISTED_FRAMES + 1):
            (root / path / RGB_NAME.format(frame)).touch()
    entries = [Entry(path, int(path[5:8]), path) for path in paths]
    store = FrameFolders(root, "sts")
    write_manifest(root, "sts", (Facts(path, None, LISTED_FRAMES, None, 1, 341, 256, 25.0, path) for path in paths))

    def by_manifest() -> int:
        manifest = read_manifest(root)
        assert manifest is not None
        manifest.check(store)
        return len(find_videos(entries, store, needs={"rgb"}, located=manifest.located))

    def by_folders() -> int:
        return len(find_videos(entries, store, needs={"rgb"}))

    seconds = {}
    for name, find in (("folders", by_folders), ("manifest", by_manifest)):
        start = time.perf_counter()
        assert find() == videos
        seconds[name] = time.perf_counter() - start
    return {"videos": videos, "frames": LISTED_FRAMES, "seconds": seconds}


if __name__ == "__main__":
    cli.run(main, parse_args)
