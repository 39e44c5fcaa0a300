"""Loading by threads of this process: no copies between processes, where reading releases the interpreter."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import torch

PREFETCH = 2  # batches that are begun before they are asked for, at least


class Threads:
    """Pool of threads that make batches in order and a few ahead. The threads stay for the next epoch.

    `fetch` reads the sample of an address, `finish` makes a batch of its samples, in the thread that read the last one.
    """

    def __init__(self, fetch: Callable[[Any], Any], finish: Callable[[list[Any]], Any], threads: int) -> None:
        self.fetch, self.finish, self.threads = fetch, finish, threads
        self.pool: ThreadPoolExecutor | None = None

    def __call__(self, batches: Iterable[Sequence[Hashable]]) -> Iterator[Any]:
        """Yield batches of the samples at these addresses; pending ones are dropped when the iteration is left.

        Raises what reading a sample raised, in place of its batch.
        """
        pool, waiting = self.start(), deque[Batch]()
        addresses, samples = iter(batches), 0
        try:
            while True:
                while len(waiting) < PREFETCH or samples < 2 * self.threads:
                    if (batch_addresses := next(addresses, None)) is None:
                        break
                    waiting.append(Batch(batch_addresses, self.fetch, self.finish, pool))
                    samples += len(batch_addresses)
                if not waiting:
                    return
                result = waiting[0].result.result()
                samples -= len(waiting.popleft().samples)
                yield result
        finally:
            for batch in waiting:
                batch.drop()

    def start(self) -> ThreadPoolExecutor:
        """Start the threads, each with torch on one core; the calling thread keeps its own setting."""
        if self.pool is None:
            num_threads = torch.get_num_threads()
            started = threading.Barrier(self.threads + 1)
            pool = ThreadPoolExecutor(self.threads, "loader", limit_to_one_core, (started,))
            try:
                for _ in range(self.threads):
                    pool.submit(int)  # a pool starts its threads as work comes, and each waits for all others
                started.wait()
            except BaseException:
                started.abort()  # or those that wait would keep this process from ending
                raise
            torch.set_num_threads(num_threads)
            self.pool = pool
        return self.pool


def limit_to_one_core(started: threading.Barrier) -> None:
    """Keep this thread from starting others: the loader's threads share the cores already.

    What torch is told holds for the thread that tells it and for those that first use torch afterwards; what OpenCV
    is told holds for the process.
    """
    torch.set_num_threads(1)
    torch.get_num_threads()
    cv2.setNumThreads(1)
    started.wait()


class Batch:
    """A batch whose samples are being read by a pool, with `fetch` and `finish` as in `Threads`."""

    def __init__(
        self,
        addresses: Sequence[Hashable],
        fetch: Callable[[Any], Any],
        finish: Callable[[list[Any]], Any],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.fetch, self.finish = fetch, finish
        self.samples: list[Any] = [None] * len(addresses)
        self.missing, self.lock = len(addresses), threading.Lock()
        self.result: Future[Any] = Future()
        self.parts = [pool.submit(self.add, position, address) for position, address in enumerate(addresses)]

    def add(self, position: int, address: Hashable) -> None:
        """Read a sample, and finish the batch if it was the last; the first error becomes the result."""
        if self.result.done():  # a sample has failed
            return
        try:
            self.samples[position] = self.fetch(address)
            with self.lock:
                self.missing -= 1
                last = self.missing == 0
            if last:
                self.result.set_result(self.finish(self.samples))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for the batch
            with self.lock:
                if not self.result.done():
                    self.result.set_exception(error)

    def drop(self) -> None:
        """Cancel the samples that are not begun."""
        for part in self.parts:
            part.cancel()
