"""What an extraction will take, from a few frames of a few videos."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.decoding.outline import outline
from datasets.decoding.video import read_video

from .images import ImageFolder, Solver
from .machine import CPU, Machine
from .parallel import single_threaded_libraries
from .progress import in_words, say
from .solvers import shared_solver
from .threads import Tasks
from .video_folder import Job

COUNTED, SAMPLED, FRAMES = 200, 5, 36  # videos asked for their length, videos tried, frames of each

Value = TypeVar("Value")


@dataclass
class Sample:
    """What the frames of a sample took: images, bytes on the disk, seconds in the solver, seconds elsewhere."""

    frames: int = 0
    size: int = 0
    solving: float = 0.0
    other: float = 0.0

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(*(x + y for x, y in zip(astuple(self), astuple(other), strict=True)))


def estimate(jobs: Sequence[Job], machine: Machine) -> str:
    """Frames, files, bytes and time of jobs; on CPUs as if each core were as fast alone as with all others at work.

    Raises:
        ValueError: None of the sampled videos can be read.
    """
    counted = readable(spread(jobs, COUNTED), count_frames)
    frames = sum(counted.values()) * sum(job.size for job in jobs) / sum(job.size for job in counted)
    with single_threaded_libraries():
        tried = spread(list(counted), SAMPLED)
        # The first one twice, of which the second counts: compilers, caches and GPUs have to warm up.
        sample = sum(readable([tried[0], *tried], try_frames).values(), Sample())
    solving, other, size = (x / sample.frames * frames for x in (sample.solving, sample.other, sample.size))
    if machine.devices == (CPU,):
        seconds = (solving + other) / machine.cores
    else:  # both at the same time
        seconds = max(other / machine.cores, solving / len(machine.devices))
    files = frames * (3 if jobs[0].recipe.flow else 1)
    free = shutil.disk_usage(next(path for path in jobs[0].folder.parents if path.exists())).free
    return (
        f"about {frames:,.0f} frames, {files:,.0f} files of {in_words(size)} in all ({in_words(free)} are free), "
        f"{tqdm.format_interval(seconds)} at {frames / seconds:.1f} frames/s"
    )


def spread(jobs: Sequence[Job], most: int) -> list[Job]:
    """At most so many jobs, evenly from all."""
    count = min(len(jobs), most)
    return [jobs[(2 * i + 1) * len(jobs) // (2 * count)] for i in range(count)]


def readable(jobs: Sequence[Job], function: Callable[[Job], Value]) -> dict[Job, Value]:
    """Results for the videos that can be read; the others are named."""
    results = {}
    for job in jobs:
        try:
            results[job] = function(job)
        except (ValueError, FileNotFoundError) as error:
            say(f"bad video: {' '.join(str(error).split())}")
    if not results:
        raise ValueError(f"none of the {len(jobs)} sampled videos can be read (named above)")
    return results


def count_frames(job: Job) -> float:
    """Frames that a video becomes, about: without decoding it."""
    index = outline(job.video, job.recipe.allow_short)
    return index.length * job.recipe.fps if job.recipe.fps else index.length / index.period


def try_frames(job: Job) -> Sample:
    """Extract the first frames of a video to a temporary folder, in this thread."""
    sample = Sample()

    def count(stream: str, images: int, size: int) -> None:
        sample.size += size
        sample.frames += images if stream == "rgb" else 0

    recipe = job.recipe
    solver = TimedSolver(shared_solver(recipe.flow, job.devices[0])) if recipe.flow else None
    frames = islice(read_video(job.video, recipe.fps, recipe.short_side, recipe.allow_short), FRAMES)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Tasks(lambda: 1, 1) as tasks:
        ImageFolder(Path(folder), recipe, count).write_all(frames, solver, tasks)
        sample.other = time.perf_counter() - start
    if solver:
        sample.solving = solver.seconds
        sample.other -= solver.seconds
    return sample


class TimedSolver:
    """Knows how long another solver has worked."""

    def __init__(self, solver: Solver) -> None:
        self.solver, self.pixels, self.seconds = solver, solver.pixels, 0.0

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]:
        start = time.perf_counter()
        levels = self.solver(previous, following)
        self.seconds += time.perf_counter() - start
        return levels
