"""Workers of a Dask cluster: whether they are like this command and see its files, and jobs for them."""

import asyncio
import json
import logging
import pickle
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar, cast

from .cluster_worker import SAME_VERSIONS, Call, Needs, answer, cannot_write, lacks, run, versions
from .commands import HERE
from .files import existing_part
from .stopping import ended_in_order
from .words import counted
from .workers import IMAGES, SIZE, Counters, LostJobError, Pool, Worker

Job = TypeVar("Job")
Result = TypeVar("Result")

TIMEOUT = 10.0  # seconds in which a scheduler answers
WORKER_TIMEOUT = 30.0  # seconds in which a first worker comes
CLUSTER = "Dask scheduler (host:8786, or its .json file) whose workers do the work, in place of this machine"
JOBS_PER_WORKER = 2  # jobs under way for each worker: while it does one, another is on its way to it
COUNT_EVERY = 5.0  # seconds between two counts of the workers
STOP_EFFECT = "ends the videos that are under way; run this again for the others"
MAX_NAMES = 8  # names in a folder by which it is recognised


class Cluster:
    """Cluster whose workers, also those that come later, do the jobs of one command; `address` as it was given."""

    def __init__(self, address: str, client: Any, needs: Needs) -> None:
        self.address, self.client, self.needs = address, client, needs
        self.counted_at, self.workers = -COUNT_EVERY, 1

    def __str__(self) -> str:
        return f"--cluster {self.address}"

    def described(self) -> str:
        """Return the cluster and its workers in words."""
        return f"{counted(len(self.client.nthreads()), 'worker')} of {self.address}"

    def room(self) -> int:
        """Return the jobs that may be under way; workers are counted now and then, for they come and go."""
        if time.monotonic() - self.counted_at > COUNT_EVERY:
            with suppress(OSError):  # the futures tell that the scheduler is gone
                self.workers = max(1, len(self.client.nthreads()))
            self.counted_at = time.monotonic()
        return JOBS_PER_WORKER * self.workers

    @contextmanager
    def pool(self, function: Callable[[Job, Worker], Result], counters: Counters) -> Iterator[Pool[Job, Result]]:
        """Yield the workers as a pool; at the end, jobs that wait are cancelled, and those that run come to their end.

        The function is of a module; the images and bytes of each job that is done are added to the counters. Raises
        ValueError if the scheduler ends.
        """
        from distributed import KilledWorker

        executor, numbers = self.client.get_executor(pure=False), count()

        def submit(job: Job) -> "Future[Any]":
            work = pickle.dumps(Call(run, function, job, self.needs, counters.cores))
            key = f"{function.__name__}-{self.needs.run}-{next(numbers)}"
            future: Future[Any] = executor.submit(pickle.loads, work, key=key)
            return future

        def result(future: "Future[Any]") -> Result:
            try:
                value, (images, size) = future.result()
            except KilledWorker as error:
                workers = counted(error.allowed_failures + 1, "worker")
                raise LostJobError(f"{workers} died at it (out of memory, or it crashes the decoder)") from error
            except ImportError as error:
                raise ValueError(describe_missing_modules(self, error)) from None
            except CancelledError:
                raise ValueError(f"{self}: the scheduler has ended; start it and run this again") from None
            counters.add(IMAGES, images)
            counters.add(SIZE, size)
            return cast(Result, value)

        try:
            yield Pool(submit, self.room, result)
        finally:
            executor.shutdown(wait=False)


def ask(cluster: Cluster | None, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of a module here, or on all workers of a cluster; raises ValueError if answers differ."""
    if cluster is None:
        return function(*arguments)
    answers = cluster.client.run(answer, pickle.dumps((function, arguments)), cluster.needs)
    (first, same), *others = sorted(answers.items())
    for worker, other in others:
        if other != same:
            raise ValueError(f"{cluster}: workers differ: {first} has {same}, {worker} has {other}; {SAME_VERSIONS}")
    return cast(Result, same)


@contextmanager
def open_cluster(address: str | None, sources: Sequence[Path], target: Path | None = None) -> Iterator[Cluster | None]:
    """Connect to a cluster whose workers can do what this command does; yields None where none is named.

    Args:
        address: "host:8786", also with "tcp://" or "tls://" before it, or the scheduler's file.
        sources: Folders that all workers read; what is not there is not asked for.
        target: Folder that they write to; it need not exist.

    Raises:
        ValueError: If no scheduler answers or it has no workers, they are of another version, have more than one thread
            or do not see the folders.
        SystemExit: If SIGTERM came, see `ended_in_order`, as KeyboardInterrupt at Ctrl-C.
    """
    if not address:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(f"--cluster {address}: needs Dask: pip install distributed") from None
    place = scheduler_of(address)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it says of lost connections is said here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on other versions, which are looked at below
        client = Client(place, timeout=TIMEOUT, set_as_default=False)
    try:
        cluster = Cluster(address, client, needs_of(sources, target))
        with ended_in_order(f"{cluster} {STOP_EFFECT}"):
            check_workers(cluster)
            if target:
                check_target(cluster, target)
            yield cluster
    finally:
        client.close()


def refuse_workers(option: str, workers: int | None, cluster: str | None) -> None:
    """Refuse a number of processes of this machine beside a cluster, whose workers are counted where they start."""
    if cluster and workers is not None:
        raise ValueError(f"{option} {workers}: is of this machine; leave it out with --cluster {cluster}")


def scheduler_of(address: str) -> str:
    """Return the address of a scheduler that answers; raises ValueError if none does."""
    from distributed.core import rpc
    from distributed.security import Security

    if address.endswith(".json"):
        try:
            address = str(json.loads(Path(address).read_text("utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"--cluster {address}: not a file that `dask scheduler --scheduler-file` wrote") from None

    async def identify() -> str:
        async with rpc(address, timeout=TIMEOUT, connection_args=Security().get_connection_args("client")) as answering:
            return str((await asyncio.wait_for(answering.identity(), TIMEOUT))["type"])

    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop of events, as in a notebook
            kind = thread.submit(asyncio.run, identify()).result()
    except (OSError, ValueError, RuntimeError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or "no answer"
        raise ValueError(f"--cluster {address}: {reason}; start a scheduler there: dask scheduler") from None
    if kind != "Scheduler":
        raise ValueError(f"--cluster {address}: is that of a {kind.lower()}; give the scheduler's")
    return address


def needs_of(sources: Sequence[Path], target: Path | None) -> Needs:
    """Return what workers must have to read some folders and to write to another."""
    files = [path for source in sources if source.is_dir() for path in (source, *islice(source.iterdir(), MAX_NAMES))]
    files += [] if target is None else [existing_part(target)]
    folder = "" if all(path.is_absolute() for path in (*sources, *files)) else str(Path.cwd())
    return Needs(secrets.token_hex(4), folder, tuple(map(str, files)), versions())


def check_workers(cluster: Cluster) -> None:
    """Refuse workers that cannot do the jobs of this command, or a cluster that has none."""
    try:
        cluster.client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
    except TimeoutError:
        raise ValueError(f"{cluster}: has no workers; start them: dask worker ADDRESS --nthreads 1") from None
    for worker, threads in sorted(cluster.client.nthreads().items()):
        if threads != 1:
            raise ValueError(
                f"{cluster}: worker {worker} has {threads} threads, which would share a process and its fate; start "
                f"workers with --nthreads 1 --nworkers {threads}"
            )
    try:
        answers = cluster.client.run(lacks, cluster.needs)
    except (ImportError, AttributeError) as error:
        raise ValueError(describe_missing_modules(cluster, error)) from None
    refuse(cluster, answers)


def describe_missing_modules(cluster: Cluster, error: Exception) -> str:
    """Return what to do about a worker without the modules of this command."""
    return f"{cluster}: a worker does not have this program ({error}); start workers with PYTHONPATH={HERE}"


def check_target(cluster: Cluster, target: Path) -> None:
    """Refuse workers that write elsewhere than this command, or not at all."""
    token = existing_part(target) / f".cluster-{cluster.needs.run}"
    token.touch()
    try:
        answers = cluster.client.run(cannot_write, str(token), cluster.needs)
    finally:
        token.unlink()
    refuse(cluster, answers)


def refuse(cluster: Cluster, answers: dict[str, str]) -> None:
    """Raise ValueError for the first worker that has a problem, if one has."""
    for worker, problem in sorted(answers.items()):
        if problem:
            raise ValueError(f"{cluster}: worker {worker} {problem}")
