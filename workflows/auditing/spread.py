"""Parallel checks of the videos of an audit, in processes that a damaged video may kill."""

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from ..shared.processes import Board, map_unordered
from .checks import Job, Look, Problem, look_at_video


def looks_at(jobs: Sequence[Job], processes: int) -> Iterator[Look]:
    """Run the jobs; a video that crashes a process is found by checking the last ones alone."""
    left = {job.path: job for job in jobs}
    while left:
        try:
            for look in map_unordered(look_at_video, list(left.values()), Board(len(left), processes, processes)):
                del left[look.path]
                yield look
        except ValueError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            for job in list(left.values())[: 2 * processes]:
                del left[job.path]
                yield look_alone(job)


def look_alone(job: Job) -> Look:
    """Run one job in a process of its own."""
    try:
        return next(iter(map_unordered(look_at_video, [job], Board(1, 2, 1))))
    except ValueError as error:
        if not isinstance(error.__cause__, BrokenProcessPool):
            raise
        return Look(job.path, None, [Problem("crash", job.path, f"{job.path}: crashes the decoder")])
