"""Videos to folders of frames and flow images: what the two extraction scripts share."""

import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike
from tqdm import tqdm

from datasets.decode import MAX_SIDE, read_video
from datasets.layouts import DONE, LAYOUTS
from datasets.provenance import FLOW_FILE, FRAMES_FILE, claim
from flow import build_flow, encode
from flow.encoding import check_bound

RGB, FLOW_XY = LAYOUTS["sts"]["rgb"][0], LAYOUTS["sts"]["flow"]
FLOW_QUALITY = 95  # OpenCV's default, which all published tools used
VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How images are made. None keeps the video's rate or size; without `flow` only frames are written."""

    fps: float | None = 25.0
    short_side: int | None = 256
    quality: int = 95
    allow_short: bool = False
    flow: str | None = None
    bound: float = 20.0
    quantisation: str = "truncate"

    def __post_init__(self) -> None:
        check_bound(self.bound)
        for name, value, least, most in (
            ("fps", self.fps, 0.01, 999),
            ("short_side", self.short_side, 1, MAX_SIDE),
            ("quality", self.quality, 1, 100),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"--{name} {value} is not between {least} and {most}")

    def records(self) -> dict[str, dict[str, Any]]:
        """Content of each provenance file, by file name."""
        geometry = {"fps": self.fps, "short_side": self.short_side}
        records = {FRAMES_FILE: geometry | {"quality": self.quality, "decoder": f"opencv {cv2.__version__}"}}
        if self.flow:
            encoding = {"bound": self.bound, "quantisation": self.quantisation, "quality": FLOW_QUALITY}
            records[FLOW_FILE] = build_flow(self.flow).description | geometry | encoding
        return records


@dataclass(frozen=True)
class Job:
    """One video, the folder it becomes, and how."""

    video: Path
    folder: Path
    recipe: Recipe


def extract(source: Path, target: Path, classes: slice, recipe: Recipe, workers: int) -> None:
    """Extract `source/class/video.ext` to `target/class/video/` for the chosen class folders.

    Complete videos are skipped, damaged ones named on stderr while the others go on.

    Args:
        source: Folder of class folders.
        target: Made if missing; its provenance files must agree with `recipe`.
        classes: Slice of the sorted class folders.
        recipe: What to write.
        workers: Processes; 1 works in this one.

    Raises:
        FileNotFoundError: No `source`.
        ValueError: Nothing to extract, another recipe in `target`, or videos that could not be extracted.
        OSError: The disk is full or not writable; every folder that is there is complete.
    """
    videos = find_videos(source, classes)
    if source.resolve() in target.resolve().parents:
        raise ValueError(f"{target}: lies inside the video folder and would count as a class; choose another DST")
    target.mkdir(parents=True, exist_ok=True)
    for file_name, record in recipe.records().items():
        claim(target, file_name, record)
    jobs = [Job(video, target / video.parent.name / video.stem, recipe) for video in videos]
    todo = [job for job in jobs if not is_complete(job.folder, flow=bool(recipe.flow))]
    failed, images = watch(run_jobs(todo, workers), len(todo), "flow" if recipe.flow else "rgb")
    made = ", ".join(f"{count} {stream}" for stream, count in images.items()) or "no images"
    complete = len(jobs) - len(todo)
    log.info(f"extracted {len(todo) - failed} videos ({made}), {complete} were already complete, {failed} failed")
    if failed:
        raise ValueError(f"{failed} of {len(jobs)} videos could not be extracted (named above); the rest are complete")


def watch(results: Iterable[tuple[dict[str, int], str]], total: int, stream: str) -> tuple[int, Counter[str]]:
    """Show progress and name bad videos; (number of bad videos, images written per stream)."""
    failed, images = 0, Counter[str]()
    with tqdm(total=total, unit="video", disable=None) as progress:
        for counts, problem in results:
            images.update(counts)
            if problem:
                failed += 1
                tqdm.write(f"bad video: {' '.join(problem.split())}", file=sys.stderr)
            rate = images[stream] / max(progress.format_dict["elapsed"], 1e-3)
            progress.set_postfix_str(f"{rate:.1f} {stream}/s", refresh=False)
            progress.update()
    return failed, images


def find_videos(source: Path, classes: slice) -> list[Path]:
    """Video files of the chosen class folders, sorted; no two of a class have the same name but for the ending."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; SRC must hold one folder of videos per class")
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    chosen = folders[classes]
    if not chosen:
        raise ValueError(
            f"{source}: START END = {classes.start} {classes.stop} chooses none of its {len(folders)} class folders"
        )
    files = sorted(path for folder in chosen for path in folder.iterdir())
    videos = [p for p in files if p.suffix.lower() in VIDEOS and not p.name.startswith(".") and p.is_file()]
    if not videos:
        raise ValueError(
            f"{source}: the {len(chosen)} chosen class folders hold no video; one ends in {' '.join(VIDEOS)}"
        )
    if len(files) > len(videos):
        log.info("%s: %d files that are not videos are ignored", source, len(files) - len(videos))
    first: dict[Path, Path] = {}
    for video in videos:
        if (other := first.setdefault(video.with_suffix(""), video)) is not video:
            raise ValueError(f"{other}: and {video.name} would become the same folder; rename or remove one")
    return videos


def is_complete(folder: Path, flow: bool) -> bool:
    """Whether a finished folder holds all that is asked; other tools leave an empty `done`, then files are counted."""
    try:
        counts = (folder / DONE).read_bytes().split()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if counts:
        return not flow or b"flow" in counts
    names = {path.name for path in folder.iterdir()}
    frames, x, y = (count_consecutive(names, pattern) for pattern in (RGB, *FLOW_XY))
    return frames > 0 and (not flow or x == y == frames - 1)


def count_consecutive(names: set[str], pattern: str) -> int:
    """Number of files named by `pattern` from 1 on without a gap."""
    count = 0
    while pattern.format(count + 1) in names:
        count += 1
    return count


def run_jobs(jobs: list[Job], workers: int) -> Iterator[tuple[dict[str, int], str]]:
    """Results of `extract_video` in the order in which they are ready."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(extract_video, jobs)
        return
    # spawn: a forked child of a process that has imported torch may hang in its thread pools.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=start_worker)
    waiting = iter(jobs)
    try:
        pending = {pool.submit(extract_video, job) for job in islice(waiting, workers)}
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {pool.submit(extract_video, job) for job in islice(waiting, len(ready))}
            yield from (future.result() for future in ready)
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker process died (out of memory, or a video crashes the decoder); the folders .part-* in DST show "
            "at which videos: run again with fewer --workers, or without them"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker() -> None:
    """Make a worker use one core, and end at once with Ctrl-C or with its parent, however that dies."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: wait_for_process([parent.sentinel]) and os._exit(1), daemon=True).start()


def extract_video(job: Job) -> tuple[dict[str, int], str]:
    """Make the folder of one video, in a hidden folder beside it that is renamed when all is written.

    Returns:
        Images written per stream, and why the video cannot be extracted or "".
    """
    part = job.folder.with_name(f".part-{job.folder.name}")
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(parents=True)
        counts = write_images(job.video, part, job.recipe)
        write(part / DONE, "".join(f"{stream} {count}\n" for stream, count in counts.items()).encode())
        if job.folder.exists():  # renamed first, for a folder that loses its files must not keep its `done`
            job.folder.rename(part / "old")
            shutil.rmtree(part / "old")
        part.rename(job.folder)
    except (ValueError, FileNotFoundError) as error:
        reason = str(error).removeprefix(f"{job.video}: ")
        return {}, f"{job.video}: {reason}"
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts, ""


def write_images(video: Path, folder: Path, recipe: Recipe) -> dict[str, int]:
    """Write frames 1..N and, if asked, flow 1..N-1 of a video.

    The flow is that of the written JPEG read back as grey, as the published tools had it.
    """
    solve = build_flow(recipe.flow) if recipe.flow else None
    previous: MatLike | None = None
    number = 0
    for frame in read_video(video, recipe.fps, recipe.short_side, recipe.allow_short):
        number += 1
        data = jpeg(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), recipe.quality)
        write(folder / RGB.format(number), data)
        if solve is None:
            continue
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        if previous is not None:
            levels = encode(solve(previous, grey), recipe.bound, recipe.quantisation)
            for axis, pattern in enumerate(FLOW_XY):
                write(folder / pattern.format(number - 1), jpeg(levels[..., axis], FLOW_QUALITY))
        previous = grey
    return {"rgb": number} | ({"flow": number - 1} if solve else {})


def jpeg(image: MatLike, quality: int) -> bytes:
    """`image` as the content of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def write(path: Path, data: bytes) -> None:
    """Write a file, raising an OSError with its name; cv2.imwrite does not even raise on a full disk."""
    try:
        path.write_bytes(data)
    except OSError as error:
        error.filename = str(path)
        raise
