"""Start of a training or an extraction: seconds and memory until the first batch or video, for made-up lists.

    python benchmarks/startup.py --rows 300000 1000000
    python benchmarks/startup.py --only extraction --files 100000

A list of videos (train.txt, "path label") and the manifest of an audit are made up; of the frame folders only those
are real that a start looks at. The stages are those of a training, in one process for each number of rows: lists and
held-out videos, the manifest and every video, once more for the held-out ones, the loaders, fingerprints, the order of
an epoch. "resident" is what the process holds after a stage, "peak" the most so far, both without what Python and the
libraries hold before the first; "worker" what a loader process holds of what it is sent. An extraction lists a tree of
empty files, once with nothing extracted and once with everything.
"""

import mmap
import multiprocessing
import random
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, choose, environment, markdown, publish
from benchmarks.synthetic.videos import RGB_NAME
from datasets import Annotation, ClipOptions, make_dataset, make_loader, open_videos
from datasets.records.fingerprint import describe_videos
from datasets.records.manifest import MANIFEST, VERSION
from datasets.records.manifest_rows import HASH, Facts
from datasets.stores.layouts import DONE
from engine.command import cli
from sts_common import counted
from sts_common.json_text import as_json
from workflows.extracting.extraction import list_jobs
from workflows.extracting.extraction_recipe import Recipe
from workflows.extracting.machine import Machine
from workflows.extracting.video_folder import is_complete

SPAWN = multiprocessing.get_context("spawn")
SUBJECTS = ("training", "extraction")
CLASSES, FRAMES, SEED = 700, 250, 1


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("startup", __doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[300_000], help="videos of the lists")
    parser.add_argument("--files", type=int, nargs="+", default=[20_000], help="videos that an extraction finds")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help=f"of {', '.join(SUBJECTS)}")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the tables, write the JSON."""
    check_least(opt, rows=CLASSES, files=1)
    subjects = choose(SUBJECTS, opt.only, "no subject")
    record: Record = {"environment": environment()}
    for subject, sizes, measure in (("training", opt.rows, training), ("extraction", opt.files, extraction)):
        if subject in subjects:
            record[subject] = {str(size): in_new_process(measure, size) for size in sizes}
    return publish(opt.out, record, *(table(name, record[name]) for name in subjects))


def in_new_process(measure: Any, size: int) -> list[Record]:
    """Return the stages of a measurement, made in a process that has done nothing else."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, SPAWN) as pool:
        stages: list[Record] = pool.submit(measure, Path(folder), size).result()
    return stages


class Stages:
    """Times the stages of a start and notes their memory."""

    def __init__(self) -> None:
        self.before, self.rows = resident(), list[Record]()
        self.begin()

    def end(self, name: str, **more: Any) -> None:
        """Note the end of a stage, and begin the next one."""
        cpu, wall = time.process_time() - self.start[0], time.perf_counter() - self.start[1]
        memory = {"resident": resident() - self.before, "peak": peak() - self.before}
        self.rows.append({"stage": name, "cpu_seconds": cpu, "seconds": wall, **memory, **more})
        self.begin()

    def begin(self) -> None:
        """Begin a stage here."""
        self.start = time.process_time(), time.perf_counter()


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * mmap.PAGESIZE


def peak() -> int:
    """Return the most bytes of memory that this process has held."""
    import resource  # not everywhere

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def paths(rows: int) -> Iterator[tuple[str, int]]:
    """Yield made-up paths, sorted, with their labels."""
    for label in range(CLASSES):
        for number in range(label, rows, CLASSES):
            yield f"class_{label:03d}/{number:011d}_000{label:03d}_000{label:03d}", label


def write_lists(root: Path, rows: int) -> None:
    """Write the list, the manifest, and the few frame folders by which a start checks the manifest."""
    header = {"manifest": VERSION, "layout": "sts", "made": "2020-05-01 12:00", "videos": rows}
    header |= {"columns": list(Facts._fields), "hash": HASH}
    looked_at = set(random.Random(SEED).sample(range(rows), 8))
    with (
        (root / "train.txt").open("w", encoding="utf-8") as lists,
        (root / MANIFEST).open("w", encoding="utf-8") as manifest,
    ):
        manifest.write(as_json(header) + "\n")
        for number, (path, label) in enumerate(paths(rows)):
            lists.write(f"{path} {label}\n")
            manifest.write(f'["{path}", null, {FRAMES}, null, 1, 340, 256, 25.0, "{number:032x}"]\n')
            if number in looked_at:
                (root / path).mkdir(parents=True)
                for frame in range(1, FRAMES + 1):
                    (root / path / RGB_NAME.format(frame)).touch()


def training(root: Path, rows: int) -> list[Record]:
    """Measure the start of a training."""
    write_lists(root, rows)
    stages = Stages()
    annotation = Annotation(root / "train.txt", dataset="List")
    annotation.list_subset("train")
    stages.end("lists")
    train = open_videos(annotation, root, only_rgb=True, seed=SEED)
    stages.end("training videos")
    val = open_videos(annotation, root, subset="val", only_rgb=True, seed=SEED)
    stages.end("held-out videos")
    clips = ClipOptions(seed=SEED)
    loader, _ = (make_loader(videos, clips, batch_size=32, n_workers=0) for videos in (train, val))
    stages.end("loaders")
    for videos in (train, val):
        describe_videos(make_dataset(videos, clips))
    stages.end("fingerprints")
    for epoch in range(2):
        loader.set_epoch(epoch)
        next(iter(loader.batches))
    stages.end("order of 2 epochs")
    with ProcessPoolExecutor(1, SPAWN) as pool:
        before = pool.submit(memory_with, None).result()
        stages.end("loader process", worker=pool.submit(memory_with, loader.dataset).result() - before)
    return stages.rows


def memory_with(_: Any) -> int:
    """Return the bytes that this process holds with the argument that it was sent."""
    return resident()


def extraction(root: Path, files: int) -> list[Record]:
    """Measure the start of an extraction."""
    source, target = root / "videos", root / "frames"
    for path, _ in paths(files):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / f"{path}.mp4").touch()
    stages = Stages()
    jobs = list_jobs(source, target, slice(None), Recipe(), Machine())
    stages.end("videos")
    assert sum(is_complete(job.folder, flow=False) for job in jobs) == 0
    stages.end("none is complete")
    for job in jobs:
        job.folder.mkdir(parents=True)
        (job.folder / DONE).write_text(f"rgb {FRAMES}\n", "ascii")
    stages.begin()
    assert sum(is_complete(job.folder, flow=False) for job in jobs) == files
    stages.end("all are complete")
    return stages.rows


def table(subject: str, record: Record) -> str:
    """Format the stages of each size."""
    header = [f"start of {subject}", "stage", "CPU s", "s", "resident, MB", "peak, MB", "worker, MB"]
    rows = [
        [
            counted(int(size), "video"),
            row["stage"],
            f"{row['cpu_seconds']:.2f}",
            f"{row['seconds']:.2f}",
            *(f"{row[name] / 1e6:.0f}" if name in row else "" for name in ("resident", "peak", "worker")),
        ]
        for size, stages in record.items()
        for row in stages
    ]
    return markdown(header, rows)


if __name__ == "__main__":
    cli.run(main, parse_args)
