"""Tasks of one process in threads, a few at a time."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Tasks:
    """Executor that runs functions in threads, or at once while a single thread is allowed; a context manager.

    How many `threads` may work is asked again for every task; they never exceed `most`. Raises what a task raised, at a
    later `submit` or at the end; tasks that have not begun are dropped, and none runs any more when `with` is left.
    """

    def __init__(self, threads: Callable[[], int], most: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(most + 1)  # starts a thread only when it is needed
        self.running: set[Future[Any]] = set()

    def submit(
        self, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> "Future[Result]":
        """Run `function` in a thread; tasks begin in the order of their submission, so may wait for earlier ones.

        Blocks while there is enough to do, which bounds the memory that waiting tasks hold.
        """
        threads = self.threads()
        if threads == 1:
            future: Future[Result] = Future()
            future.set_result(function(*arguments, **options))
            return future
        while len(self.running) > threads:  # one more than threads: it takes over while one waits for another
            self.settle()
        future = self.pool.submit(function, *arguments, **options)
        self.running.add(future)
        return future

    def settle(self) -> None:
        """Wait until at least one task is done."""
        done, self.running = wait(self.running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()

    def finish(self) -> None:
        """Wait until all submitted tasks are done."""
        while self.running:
            self.settle()

    def __enter__(self) -> "Tasks":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self.pool.shutdown(cancel_futures=True)
