"""Work spread over threads."""

import threading
import time
from concurrent.futures import Future

import pytest

from workflows.extracting.tasks import Tasks


def test_tasks_run_at_the_same_time_and_only_so_many():
    meeting, lock, running, most = threading.Barrier(3), threading.Lock(), [], []

    def task(waits: bool) -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        if waits:
            meeting.wait(60)
        time.sleep(0.002)  # long enough for others to begin, were they let
        with lock:
            running.pop()

    with Tasks(lambda: 2, 8) as tasks:
        for i in range(30):
            tasks.submit(task, i < 3)
    assert len(most) == 30
    assert max(most) == 3  # one more than threads, for tasks that wait


def test_one_thread_calls_at_once_in_this_thread():
    with Tasks(lambda: 1, 1) as tasks:
        future = tasks.submit(threading.get_ident)
        assert future.done()
        assert future.result() == threading.get_ident()


def test_an_error_in_a_task_stops_all_and_leaves_none_running():
    ended, others = threading.Event(), set(threading.enumerate())

    def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Tasks(lambda: 2, 2) as tasks:
        first: Future[None] = tasks.submit(fail)
        tasks.submit(first.result)
        for _ in range(20):
            tasks.submit(ended.wait, 0.01)
    assert set(threading.enumerate()) <= others
