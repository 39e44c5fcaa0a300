"""Jobs on the processes of this machine or on the workers of a cluster, a bounded number of them at a time.

Not `tqdm.contrib.concurrent`: its maps take every job at once, know no cluster, and lose the rest when a worker dies.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from .cluster import Cluster
from .processes import processes, this_process
from .workers import LEFT, Counters, LostJobError, Pool, Worker

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_unordered(
    function: Callable[[Job, Worker], Result],
    jobs: Iterable[Job],
    counters: Counters,
    cluster: Cluster | None = None,
    lost: Callable[[Job, str], Result] | None = None,
) -> Iterator[Result]:
    """Yield results of `function` in the order in which they are ready.

    Args:
        function: A function of a module, so that another process finds it.
        jobs: Its arguments; as many are taken ahead as keep all processes busy.
        counters: With the number of processes; 1 works in this one.
        cluster: Its workers do the jobs, with `counters.cores` threads each.
        lost: With a cluster: the result of a job during which workers die again and again, given the reason.

    Raises:
        ValueError: If a process of this machine dies, or the cluster ends.
    """
    pools: AbstractContextManager[Pool[Job, Result]]
    if cluster:
        pools = cluster.pool(function, counters)
    else:
        pools = (this_process if counters.processes == 1 else processes)(function, counters)
    suspects: list[Job] = []
    with pools as pool:
        for job, future in under_way(pool.submit, jobs, pool.room):
            try:
                result = pool.result(future)
            except LostJobError:  # perhaps it was next to one that kills: each is tried again alone
                suspects.append(job)
                continue
            counters.add(LEFT, -1)
            yield result
        for job, future in under_way(pool.submit, suspects, lambda: 1):
            try:
                result = pool.result(future)
            except LostJobError as error:
                assert lost is not None
                result = lost(job, str(error))
            counters.add(LEFT, -1)
            yield result


def under_way(
    submit: Callable[[Job], Future[Result]], jobs: Iterable[Job], room: Callable[[], int]
) -> Iterator[tuple[Job, Future[Result]]]:
    """Submit jobs, never more than there is room for, and yield them as they are done."""
    done: SimpleQueue[tuple[Job, Future[Result]]] = SimpleQueue()
    waiting, count = iter(jobs), 0
    while True:
        for job in islice(waiting, max(0, room() - count)):
            submit(job).add_done_callback(lambda future, job=job: done.put((job, future)))  # type: ignore[misc]
            count += 1
        if not count:
            return
        ready = done.get()
        count -= 1
        yield ready
