"""Parallel checks of the videos of an audit, in processes that a damaged video may kill."""

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from ..shared.processes import SharedCounters, map_unordered
from .checks import Job, Problem, VideoCheck, check_video


def check_all(jobs: Sequence[Job], processes: int) -> Iterator[VideoCheck]:
    """Run the jobs; a video that crashes a process is found by checking the last ones alone."""
    left = {job.path: job for job in jobs}
    while left:
        try:
            for check in map_unordered(
                check_video, list(left.values()), SharedCounters(len(left), processes, processes)
            ):
                del left[check.path]
                yield check
        except ValueError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            for job in list(left.values())[: 2 * processes]:
                del left[job.path]
                yield check_alone(job)


def check_alone(job: Job) -> VideoCheck:
    """Run one job in a process of its own."""
    try:
        return next(iter(map_unordered(check_video, [job], SharedCounters(1, 2, 1))))
    except ValueError as error:
        if not isinstance(error.__cause__, BrokenProcessPool):
            raise
        return VideoCheck(job.path, None, [Problem("crash", job.path, f"{job.path}: crashes the decoder")])
