"""Estimate of the time and disk space of an extraction, from a few frames of a few videos."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import is_even, mean_rate
from datasets.decoding.video.reading import read_video
from sts_common import counted, size_in_words
from sts_common.pool import map_unordered
from sts_common.processors import single_threaded_libraries
from sts_common.workers import SharedCounters, Worker

from .image_folder import ImageFolder, Solver
from .machine import CPU, Machine
from .progress import say
from .shared_solvers import shared_solver
from .tasks import Tasks
from .video_folder import Job, refusal

MAX_OUTLINES = 200  # videos whose rate is read, and up to which this process looks at all of them
SAMPLED, FRAMES = 5, 36  # videos tried, frames of each


@dataclass
class Sample:
    """Cost of the frames of a sample: images, bytes on the disk, seconds in the solver, seconds elsewhere."""

    frames: int = 0
    size: int = 0
    solving: float = 0.0
    other: float = 0.0


def estimate(jobs: Sequence[Job], machine: Machine) -> str:
    """Estimate frames, files, bytes and time of jobs, as if every CPU core were as fast alone as with all at work.

    Every video is looked at as the extraction does before it decodes one, and those that it would refuse are named;
    damage that only decoding shows is seen in those of the sample alone. Raises ValueError if none of the videos, or
    of those sampled, can be read.
    """
    processes = machine.processes(len(jobs)) if len(jobs) > MAX_OUTLINES else 1
    estimates = list(map_unordered(estimate_length, jobs, SharedCounters(len(jobs), processes, processes)))
    lengths = {estimated.job: estimated.frames for estimated in estimates if not estimated.problem}
    name_refused([estimated.problem for estimated in estimates if estimated.problem], len(jobs))
    frames = sum(lengths.values())
    with single_threaded_libraries():
        tried = spread(sorted(lengths, key=lambda job: job.video), SAMPLED)
        # The first one twice, of which the second counts: compilers, caches and GPUs have to warm up.
        samples = try_videos([tried[0], *tried])
    sample = Sample(*map(sum, zip(*map(astuple, samples.values()), strict=True)))
    bad = len(jobs) - len(lengths) + len(tried) - len(samples)
    solving, other, size = (x / sample.frames * frames for x in (sample.solving, sample.other, sample.size))
    if machine.devices == (CPU,):
        seconds = (solving + other) / machine.cores
    else:  # both at the same time
        seconds = max(other / machine.cores, solving / len(machine.devices))
    files = frames * (3 if jobs[0].recipe.flow else 1)
    free = shutil.disk_usage(next(path for path in jobs[0].folder.parents if path.exists())).free
    refused = f"; {bad:,} of {counted(len(jobs), 'video')} would be refused (named above)" if bad else ""
    return (
        f"about {frames:,.0f} frames, {files:,.0f} files of {size_in_words(size)} in all "
        f"({size_in_words(free)} are free), "
        f"{tqdm.format_interval(seconds)} at {frames / seconds:.1f} frames/s{refused}"
    )


class LengthEstimate(NamedTuple):
    """Estimated number of frames of a video, or the reason why it is refused."""

    job: Job
    frames: float
    problem: str


def estimate_length(job: Job, worker: Worker) -> LengthEstimate:
    """Estimate the frames of a video without decoding it, as its extraction begins."""
    try:
        index = outline(job.video, job.recipe.allow_short)
    except (ValueError, FileNotFoundError) as error:
        return LengthEstimate(job, 0.0, refusal(job.video, error))
    return LengthEstimate(job, index.length * (job.recipe.fps or mean_rate(index)), "")


def name_refused(problems: Sequence[str], videos: int) -> None:
    """Name the videos that would be refused; raises ValueError if none is left."""
    for problem in sorted(problems):
        say(f"bad video: {problem}")
    if len(problems) == videos:
        raise ValueError(f"none of {counted(videos, 'video')} can be read (named above)")


def uneven(jobs: Sequence[Job]) -> Iterator[str]:
    """Yield one line on videos whose frames are unevenly spaced at the rate that is asked for, if there are any."""
    fps, rates = jobs[0].recipe.fps, Counter[str]()
    sampled = spread(jobs, MAX_OUTLINES)
    for job in sampled:
        with suppress(ValueError, FileNotFoundError):  # the extraction names it
            index = outline(job.video, job.recipe.allow_short)
            if fps and not is_even(job.video, index, fps):
                rates[f"{mean_rate(index):.4g}"] += 1
    if rates:
        note = " looked at" if len(sampled) < len(jobs) else ""
        yield (
            f"{rates.total():,} of {counted(len(sampled), 'video')}{note} (of {rates.most_common(1)[0][0]} frames a "
            f"second, most of them): at --fps {fps:g} the steps from frame to frame differ, and flow jumps with them; "
            "--fps source takes each frame once"
        )


def spread(jobs: Sequence[Job], most: int) -> list[Job]:
    """Choose at most so many jobs, evenly spaced."""
    count = min(len(jobs), most)
    return [jobs[(2 * i + 1) * len(jobs) // (2 * count)] for i in range(count)]


def try_videos(jobs: Sequence[Job]) -> dict[Job, Sample]:
    """Extract the first frames of the videos that can be read; the others are named."""
    samples: dict[Job, Sample] = {}
    problems = []
    for job in jobs:
        try:
            samples[job] = try_frames(job)
        except (ValueError, FileNotFoundError) as error:
            problems.append(refusal(job.video, error))
    name_refused(sorted(set(problems)), len({job.video for job in jobs}))
    return samples


def try_frames(job: Job) -> Sample:
    """Extract the first frames of a video to a temporary folder, in this thread."""
    sample = Sample()

    def count(stream: str, images: int, size: int) -> None:
        sample.size += size
        sample.frames += images if stream == "rgb" else 0

    recipe = job.recipe
    solver = TimedSolver(shared_solver(recipe.flow, job.devices[0])) if recipe.flow else None
    frames = islice(read_video(job.video, recipe.fps, recipe.short_side, recipe.allow_short, bgr=True), FRAMES)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Tasks(lambda: 1, 1) as tasks:
        ImageFolder(Path(folder), recipe, count).write_all(frames, solver, tasks)
        sample.other = time.perf_counter() - start
    if solver:
        sample.solving = solver.seconds
        sample.other -= solver.seconds
    return sample


class TimedSolver:
    """Solver that adds up the seconds spent in another one."""

    def __init__(self, solver: Solver) -> None:
        self.solver, self.pairs, self.seconds = solver, solver.pairs, 0.0

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]:
        start = time.perf_counter()
        levels = self.solver(previous, following)
        self.seconds += time.perf_counter() - start
        return levels
