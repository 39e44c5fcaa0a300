"""Extraction of one video to its folder of frames and flow images."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from datasets.decoding.video.containers import DamagedVideo
from datasets.decoding.video.outline import outline
from datasets.decoding.video.reading import read_video
from datasets.stores.frames import count_usable_frames
from datasets.stores.layouts import DONE, FPS, LAYOUTS
from datasets.stores.numbering import stated_counts
from sts_common.workers import IMAGES, SIZE, Worker

from .extraction_recipe import Recipe
from .image_folder import ImageFolder, write
from .machine import CPU
from .shared_solvers import shared_solver
from .tasks import Tasks


@dataclass(frozen=True)
class Job:
    """One video, its bytes, its target folder, the settings, and the devices of which each worker takes one."""

    video: Path
    size: int
    folder: Path
    recipe: Recipe
    devices: tuple[str, ...] = (CPU,)


@dataclass(frozen=True)
class Outcome:
    """Result of a job: images per stream and bytes on the disk, or the problem; and notes on reading it."""

    job: Job
    counts: dict[str, int]
    size: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


def is_complete(folder: Path, *, flow: bool) -> bool:
    """Whether a finished folder holds all required images; files are counted if another tool's `done` is empty."""
    try:
        if stated := stated_counts(folder):
            return "flow" in stated or not flow
        return count_usable_frames(folder, LAYOUTS["sts"], {"rgb", "flow"} if flow else {"rgb"}) > 0
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


@contextmanager
def made_whole(folder: Path, attempt: str = "") -> Iterator[Path]:
    """Yield a hidden folder that becomes `folder` when the block ends, and is deleted when it fails.

    `attempt` names this attempt, where another one may be under way: that one fails, and no two share a folder.
    """
    hidden = folder.with_name(f".part-{folder.name}")
    part = hidden / attempt
    if attempt:
        take_away(hidden, attempt)
    else:
        shutil.rmtree(hidden, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():  # renamed first, for a folder that loses its files must not keep its `done`
            folder.rename(part / "old")
            shutil.rmtree(part / "old")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if attempt:
            with suppress(OSError):  # of another attempt
                hidden.rmdir()


def take_away(hidden: Path, attempt: str) -> None:
    """Delete what earlier attempts left, under another name, so that one that still lives cannot finish it."""
    for attempt_folder in list(hidden.iterdir()) if hidden.is_dir() else []:
        removed = hidden / f"{attempt}-{attempt_folder.name}"
        with suppress(FileNotFoundError):  # it has just been finished
            attempt_folder.rename(removed)
            removed.unlink() if removed.is_file() else shutil.rmtree(removed, ignore_errors=True)


def extract_video(job: Job, worker: Worker) -> Outcome:
    """Extract one video to a hidden folder beside its target, which is renamed when all is written."""
    try:
        with made_whole(job.folder, worker.attempt) as part:
            counts, size = write_images(job, part, worker)
            index = outline(job.video, job.recipe.allow_short)  # known by now
            if job.recipe.fps is None:
                write(part / FPS, f"{counts['rgb'] / index.length:.6g}\n".encode())
            write(part / DONE, "".join(f"{stream} {count}\n" for stream, count in counts.items()).encode())
    except (ValueError, FileNotFoundError) as error:
        return Outcome(job, {}, problem=refusal(job.video, error))
    return Outcome(job, counts, size, notes=index.notes)


def lost_video(job: Job, reason: str) -> Outcome:
    """Return the outcome of a video during which workers of a cluster die."""
    return Outcome(job, {}, problem=refusal(job.video, ValueError(reason)))


def refusal(video: Path, error: Exception) -> str:
    """Describe why a video is not extracted, on one line."""
    reason = str(error).removeprefix(f"{video}: ")
    cure = ", or take what is there with --allow_short" if isinstance(error, DamagedVideo) else ""
    return " ".join(f"{video}: {reason}{cure}".split())


def write_images(job: Job, folder: Path, worker: Worker) -> tuple[dict[str, int], int]:
    """Write the images of a video; return their number per stream, and their bytes on the disk."""
    recipe, counters, total = job.recipe, worker.counters, []

    def count(stream: str, images: int, size: int) -> None:
        total.append(size)
        counters.add(SIZE, size)
        if stream == recipe.streams[-1]:
            counters.add(IMAGES, images)

    solver = shared_solver(recipe.flow, job.devices[worker.number % len(job.devices)]) if recipe.flow else None
    frames = read_video(job.video, recipe.fps, recipe.short_side, recipe.allow_short, bgr=True)
    with Tasks(counters.threads, counters.cores) as tasks:
        counts = ImageFolder(folder, recipe, count).write_all(frames, solver, tasks)
    return counts, sum(total)
