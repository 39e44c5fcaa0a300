"""Extraction, audit and packing on a Dask cluster: the files, messages and errors of one machine."""

import os
import signal
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from extraction import die_of, frames, make_video, tree

from datasets.records.manifest import MANIFEST
from engine.command import cli
from sts_common import cluster as clusters
from sts_common.files import remove_unfinished
from sts_common.pool import map_unordered
from sts_common.workers import LEFT, Counters, LostJobError, Pool
from workflows.auditing.audit import AUDIT, audit_videos
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import Recipe
from workflows.extracting.progress import Progress
from workflows.extracting.video_folder import made_whole
from workflows.packing.pack import pack_tree, unpack_tree, verify_tree

distributed = pytest.importorskip("distributed", reason="a cluster needs Dask")


@contextmanager
def local_cluster(**options) -> Iterator[distributed.LocalCluster]:
    """A scheduler and two workers, of one thread each unless told otherwise."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "processes": False} | options
    with distributed.LocalCluster(**options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster() as cluster:
        yield cluster.scheduler_address


def test_a_cluster_makes_the_files_of_one_machine(address, source, tmp_path, caplog, monkeypatch):
    (source / "walk" / "bad.avi").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    said = []
    for name, where in (("here", {"workers": 1}), ("there", {"cluster": address})):
        caplog.clear()
        with caplog.at_level("INFO"), pytest.raises(ValueError, match="1 of 4 videos could not be extracted"):
            extract_videos("videos", name, Recipe(short_side=None), **where)
        said.append(caplog.messages[-1].partition(";")[0])
    assert said == ["extracted 3 videos (18 rgb), 0 were already complete, 1 failed"] * 2
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    pack_tree("here", "packed", workers=1)
    pack_tree("here", "packed_there", cluster=address)
    verify_tree("packed_there", "there", cluster=address)
    unpack_tree("packed", "restored", cluster=address)
    assert tree(tmp_path / "packed_there") == tree(tmp_path / "packed")
    assert tree(tmp_path / "restored") == tree(tmp_path / "here")


def test_a_cluster_finds_what_an_audit_here_finds(address, own_hmdb51):
    frames, reports = own_hmdb51 / "frames", []
    next(frames.glob("*/*/00002.jpg")).write_bytes(b"")
    for where in ({"n_workers": 1}, {"cluster": address}):
        report = audit_videos(frames, own_hmdb51 / "labels", **where)
        lines = (frames / MANIFEST).read_text().splitlines()
        reports.append((report, lines[1:], (frames / AUDIT).read_text()))
    assert reports[0] == reports[1]
    assert len(reports[0][0].errors) == 1


def test_workers_must_have_the_versions_and_see_the_files_of_the_command(address, source, tmp_path, monkeypatch):
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            extract_videos(source, tmp_path / "out", cluster=address)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".cluster*"))

    true = clusters.needs_of
    for change, message in (
        (
            {"versions": (("Python", "2.7"), *clusters.versions()[1:])},
            "has Python 3.*, and this command has 2.7; start",
        ),
        ({"files": ("/of/another/machine",)}, "does not see /of/another/machine; workers need the folders"),
        ({"folder": "/not/here"}, "does not see /not/here, where this command runs; give paths that begin with /"),
    ):
        monkeypatch.setattr(clusters, "needs_of", lambda *paths, change=change: replace(true(*paths), **change))
        refused(message)
    monkeypatch.setattr(clusters, "needs_of", true)
    monkeypatch.setattr(clusters, "existing_part", lambda target: tmp_path)
    tmp_path.chmod(0o555)
    try:
        if not os.access(tmp_path, os.W_OK):  # root may write anywhere
            refused("Permission denied")
    finally:
        tmp_path.chmod(0o755)


def test_workers_of_several_threads_are_refused(source, tmp_path):
    with local_cluster(n_workers=1, threads_per_worker=2) as cluster, pytest.raises(ValueError, match="has 2 threads"):
        extract_videos(source, tmp_path / "out", cluster=cluster.scheduler_address)


def test_a_cluster_without_workers_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "WORKER_TIMEOUT", 0.05)
    with (
        local_cluster(n_workers=0) as cluster,
        pytest.raises(ValueError, match="has no workers; start them: dask worker"),
    ):
        extract_videos(source, tmp_path / "out", cluster=cluster.scheduler_address)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "--cluster 127.0.0.1:9: .*; start a scheduler there: dask scheduler"),
        ("nonsense", "--cluster nonsense: missing port number in address 'nonsense'; start"),
        ("none.json", "--cluster none.json: not a file that `dask scheduler --scheduler-file` wrote"),
    ],
)
def test_an_address_where_no_scheduler_answers_is_refused(address, message, source, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "TIMEOUT", 0.2)
    with pytest.raises(ValueError, match=message):
        extract_videos(source, tmp_path / "out", cluster=address)
    assert not (tmp_path / "out").exists()


def test_options_of_this_machine_are_refused_beside_a_cluster(source, tmp_path):
    with pytest.raises(ValueError, match="--estimate measures this machine"):
        extract_videos(source, tmp_path / "out", estimate_only=True, cluster="host:1")
    with pytest.raises(ValueError, match="--workers 2: is of this machine; leave it out with --cluster host:1"):
        pack_tree(source, tmp_path / "out", workers=2, cluster="host:1")
    with pytest.raises(ValueError, match="--n_workers 2: is of this machine"):
        audit_videos(source, source, n_workers=2, cluster="host:1")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_asked_to_stop_leaves_whole_videos_and_goes_on(
    number, code, address, source, tmp_path, monkeypatch, caplog
):
    for i in range(8):
        make_video(source / "jump" / f"{i}.avi", frames=3, seed=i)
    there, of_others = tmp_path / "there", signal.signal(number, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
            patch.setattr(Progress, "add", lambda self, outcome: signal.raise_signal(number))
            cli.run(lambda _: extract_videos(source, there, Recipe(short_side=None), cluster=address), Namespace)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, of_others)
    assert stopped.value.code == code
    said = [r.getMessage() for r in caplog.records if not r.name.startswith("tornado")]  # of what Dask cancelled
    assert said[-1] == (
        f"stopped by {number.name}: --cluster {address} ends the videos that are under way; "
        "run this again for the others"
    )
    with distributed.Client(address, set_as_default=False) as client:
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            time.sleep(0.01)  # those that run come to their end, and the others were cancelled
    complete = len(list(there.rglob("done")))
    assert 1 <= complete < 11
    assert not list(there.rglob(".part-*"))
    with caplog.at_level("INFO"):
        extract_videos(source, there, Recipe(short_side=None), cluster=address)
    assert f"{complete} were already complete, 0 failed" in caplog.messages[-1]
    frames(source, tmp_path / "here")
    assert tree(there) == tree(tmp_path / "here")


class Workers:
    """Workers that die of fatal jobs; whatever is under way at the time is lost with them."""

    def __init__(self) -> None:
        self.under_way, self.most = [], 0

    @contextmanager
    def pool(self, function, counters):
        from concurrent.futures import Future

        def submit(job):
            self.under_way.append(job)
            self.most = max(self.most, len(self.under_way))
            future = Future()
            future.set_result((job, "fatal" in self.under_way))
            return future

        def result(future):
            job, lost = future.result()
            self.under_way.remove(job)
            if lost:
                raise LostJobError("4 workers died at it")
            return function(job, None)

        yield Pool(submit, lambda: 3, result)


def test_a_job_beside_one_that_kills_its_workers_is_innocent():
    workers, counters = Workers(), Counters(20, 1, 1)
    jobs = iter([*map(str, range(18)), "fatal", "last"])
    results = list(map_unordered(die_of, jobs, counters, workers, lambda job, reason: f"{job}: {reason}"))
    assert sorted(results) == sorted([*map(str, range(18)), "fatal: 4 workers died at it", "last"])
    assert workers.most == 3
    assert counters.numbers[LEFT] == 0


def test_an_attempt_ends_those_before_it(tmp_path):
    folder = tmp_path / "video"
    with pytest.raises(FileNotFoundError), made_whole(folder, "first") as slow:
        (slow / "1").write_bytes(b"a")
        with made_whole(folder, "second") as part:
            (part / "1").write_bytes(b"b")
        (slow / "2").write_bytes(b"a")
    assert tree(tmp_path).keys() == {"video/1"}
    assert (folder / "1").read_bytes() == b"b"
    assert [path.name for path in tmp_path.iterdir()] == ["video"]


def test_what_a_killed_writer_left_of_a_file_is_deleted(tmp_path):
    for name in (".a.0123abcd.part", ".b.0123abcd.part", ".a.part", "a"):
        (tmp_path / name).touch()
    remove_unfinished([tmp_path / "a", tmp_path / "none" / "c"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.part", ".b.0123abcd.part", "a"]


def kill_one_worker(address: str, target: Path, pattern: str) -> threading.Thread:
    """Kill a worker process as soon as something is under way in a folder."""

    def kill() -> None:
        with distributed.Client(address, set_as_default=False) as client:
            number = min(client.run(os.getpid).values())
            while not next(target.rglob(pattern), None):
                time.sleep(0.001)
            os.kill(number, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_the_files_are_the_same_when_a_worker_is_killed_half_way(source, own_hmdb51, tmp_path):
    for i in range(24):
        make_video(source / "jump" / f"{i}.avi", seed=i)
    frames, recipe = own_hmdb51 / "frames", Recipe(short_side=None)
    with local_cluster(processes=True) as cluster:
        address = cluster.scheduler_address
        killer = kill_one_worker(address, tmp_path / "there", ".part-*")
        extract_videos(source, tmp_path / "there", recipe, cluster=address)
        killer.join()
        killer = kill_one_worker(address, tmp_path / "packed_there", "*.clips")
        pack_tree(tmp_path / "there", tmp_path / "packed_there", cluster=address)
        killer.join()
        checked = audit_videos(frames, own_hmdb51 / "labels", cluster=address)
    extract_videos(source, tmp_path / "here", recipe, workers=1)
    pack_tree(tmp_path / "here", tmp_path / "packed", workers=1)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert tree(tmp_path / "packed_there") == tree(tmp_path / "packed")
    assert checked == audit_videos(frames, own_hmdb51 / "labels", n_workers=1)


@pytest.mark.slow
def test_a_job_that_kills_its_workers_is_given_up(tmp_path):
    import dask

    jobs, counters = ["a", "fatal", "b", "c"], Counters(4, 1, 1)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        local_cluster(processes=True) as cluster,
        clusters.open_cluster(cluster.scheduler_address, [tmp_path]) as workers,
    ):
        results = sorted(map_unordered(die_of, jobs, counters, workers, lambda job, reason: f"{job}: {reason}"))
    assert results == ["a", "b", "c", "fatal: 1 worker died at it (out of memory, or it crashes the decoder)"]
