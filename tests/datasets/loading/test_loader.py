"""Batches do not depend on who reads them; errors and abandoned epochs end as they should."""

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from source_files import ROOT
from torch.utils.data import Dataset

from datasets.decoding.jpeg import native
from datasets.loading import workers as module
from datasets.loading.loader import ClipLoader, EpochBatches
from datasets.loading.thread_loader import Threads
from datasets.loading.workers import allow_open_files, choose_loader, choose_workers, default_workers, end_workers

# 4 workers are more than the cores of some machines, which torch minds
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

WORKERS = [(0, "threads"), (1, "threads"), (4, "threads"), (1, "processes"), (4, "processes")]
FEW = [(0, "threads"), (3, "threads"), (1, "processes")]
KINDS = ["threads", "processes"]


@pytest.fixture(autouse=True)
def no_processes_left():
    """Those of an epoch that an error has ended are in a cycle with it; torch waits seconds for each when that goes."""
    yield
    end_workers()


@dataclass
class Noise(Dataset):
    """Samples that an address fixes; `bad` ones cannot be read, and a test has `views` of each."""

    size: int = 23
    views: int = 0
    bad: tuple[int, ...] = ()
    missing: bool = False

    def __len__(self):
        return self.size

    def __getitem__(self, address):
        epoch, index = address
        if index in self.bad:
            if self.missing:
                raise FileNotFoundError(2, "No such file or directory", f"video{index}.jpg")
            raise ValueError(f"video{index}.jpg: damaged image")
        rng = np.random.default_rng((epoch, index))
        time.sleep(0.002 * rng.random())  # so that workers end in another order than they began
        samples = [
            {
                "rgb": torch.from_numpy(rng.integers(0, 256, (3, 2, 4, 4), np.uint8)),
                "label": index % 3,
                "video": f"v{index}",
                "seconds": torch.tensor([0.1, 0.2, 0.3]),
                "threads": torch.get_num_threads(),
            }
            for _ in range(self.views or 1)
        ]
        return samples if self.views else samples[0]

    @property
    def crops(self):
        return SimpleNamespace(crops=self.views or 1)


def load(dataset, n_workers=0, kind="threads", train=True, **options):
    return ClipLoader(dataset, batch_size=4, train=train, n_workers=n_workers, loader=kind, seed=3, **options)


def contents(batches):
    return [(batch["video"], batch["rgb"].tolist(), batch["label"].tolist()) for batch in batches]


@pytest.mark.parametrize("train", [True, False])
def test_batches_are_the_same_for_any_workers(train):
    made = []
    for n_workers, kind in WORKERS:
        loader = load(Noise(), n_workers, kind, train)
        made.append([])
        for epoch in (1, 2):
            loader.set_epoch(epoch)
            made[-1].append(contents(loader))
    assert all(one == made[0] for one in made)
    assert len(made[0][0]) == (5 if train else 6)
    assert (made[0][0] == made[0][1]) is False


def test_the_order_is_that_of_earlier_versions():
    order = [index for batch in EpochBatches(5, 2, train=True, seed=1) for _, index in batch]
    generator = torch.Generator().manual_seed(2**32)
    assert order == torch.randperm(5, generator=generator).tolist()[:4]


@pytest.mark.parametrize(("n_workers", "kind"), FEW)
def test_an_epoch_goes_on_from_any_of_its_batches(n_workers, kind):
    loader = load(Noise(), n_workers, kind)
    loader.set_epoch(2)
    whole = contents(loader)
    loader.set_epoch(2, 3)
    assert contents(loader) == whole[3:]
    assert len(loader) == len(whole)
    loader.set_epoch(2, len(whole))
    assert contents(loader) == []
    loader.set_epoch(2)
    assert contents(loader) == whole


@pytest.mark.parametrize(("n_workers", "kind"), FEW)
def test_crops_of_a_clip_are_rows_of_a_batch_and_count_in_its_size(n_workers, kind):
    batches = list(load(Noise(views=2), n_workers, kind, train=False))
    assert [len(batch["label"]) for batch in batches] == [4] * 11 + [2]
    assert batches[0]["video"] == ["v0", "v0", "v1", "v1"]
    assert batches[0]["rgb"].shape == (4, 3, 2, 4, 4)
    assert batches[0]["seconds"].shape == (4, 3)
    assert batches[0]["seconds"].dtype == torch.float32


def test_a_clip_of_more_crops_than_a_batch_is_a_batch():
    assert [len(batch["label"]) for batch in load(Noise(size=2, views=10), train=False)] == [10, 10]


@pytest.mark.parametrize("size", [3, 4, 5])
def test_training_drops_a_batch_that_is_not_full_unless_it_is_the_only_one(size):
    counts = [len(batch["label"]) for batch in load(Noise(size))]
    assert counts == ([3] if size == 3 else [4])
    assert sum(len(batch["label"]) for batch in load(Noise(size), train=False)) == size


@pytest.mark.parametrize(("n_workers", "kind"), FEW)
@pytest.mark.parametrize("train", [True, False])
def test_a_bad_sample_stops_with_its_own_error(n_workers, kind, train):
    got = []
    with pytest.raises(ValueError, match="damaged") as raised:
        got.extend(load(Noise(bad=(9,)), n_workers, kind, train, max_bad=0 if train else 5))
    assert str(raised.value) == "video9.jpg: damaged image"
    assert len(got) == 2 or train


@pytest.mark.parametrize(
    ("limits", "raised"),
    [((20, 4096), True), ((4096, 4096), False), ((20, -1), True), ((-1, -1), False)],
)
def test_the_limit_of_open_files_is_raised_for_loader_processes(limits, raised, monkeypatch):
    wanted = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: wanted.append(pair))
    allow_open_files(4)
    assert [soft > 48 and hard == limits[1] for soft, hard in wanted] == [True] * raised


def test_too_few_open_files_for_loader_processes_are_one_line_with_the_cure(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (24, 24))
    with pytest.raises(ValueError, match=r"--n_workers 2: .* 24 are allowed: raise.*ulimit -n.*--n_workers 0"):
        ClipLoader(Noise(), batch_size=2, train=True, n_workers=2, loader="processes")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_keeps_its_name(kind):
    with pytest.raises(FileNotFoundError) as raised:
        list(load(Noise(bad=(9,), missing=True), 1, kind))
    assert raised.value.filename == "video9.jpg"
    if kind == "processes":
        assert "__getitem__" in "".join(raised.value.__notes__)


@pytest.mark.parametrize(("n_workers", "kind"), FEW)
def test_bad_training_samples_are_left_out_named_and_counted_once(n_workers, kind, caplog):
    loader = load(Noise(size=16, bad=(2, 9), missing=True), n_workers, kind, max_bad=2)
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        videos = [video for batch in loader for video in batch["video"]]
        assert sorted(videos) == sorted(f"v{i}" for i in range(16) if i not in (2, 9))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert {line.partition(": ")[2] for line in told} == {f"video{i}.jpg: No such file or directory" for i in (2, 9)}


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_sample_too_many_stops(kind):
    with pytest.raises(ValueError, match=r"3 training videos cannot be read, --max_bad 2 .* video\d+.jpg: damaged"):
        list(load(Noise(bad=(2, 9, 11), size=16), 2, kind, max_bad=2))


@pytest.mark.parametrize(("n_workers", "kind"), FEW)
def test_a_batch_of_bad_samples_alone_counts_as_any_other(n_workers, kind):
    """Or an epoch that goes on from its third batch would begin with another one."""
    second = list(EpochBatches(12, 4, train=True, seed=3))[1]
    loader = load(Noise(size=12, bad=tuple(index for _, index in second)), n_workers, kind, max_bad=4)
    batches = list(loader)
    assert [len(batch["label"]) for batch in batches] == [4, 0, 4]
    assert len(batches) == len(loader)
    assert set(loader.left_out.names) == {str(index) for _, index in second}
    for step in range(4):
        loader.set_epoch(0, step)
        assert [len(batch["label"]) for batch in loader] == [4, 0, 4][step:]


def test_bad_samples_met_before_or_elsewhere_are_counted_with_those_to_come(caplog):
    loader = load(Noise(size=16, bad=(2, 9, 11)), max_bad=3)
    loader.left_out.extend(["9", "5", "9"])
    with pytest.raises(ValueError, match="4 training videos cannot be read, --max_bad 3"):
        list(loader)
    assert sorted(loader.left_out.names) == ["11", "2", "5", "9"]
    assert not [record for record in caplog.records if "video9" in record.getMessage()]  # named before
    with pytest.raises(ValueError, match=r"2 training videos cannot be read, --max_bad 1 .*; the last: run/b"):
        load(Noise(), max_bad=1).left_out.extend(["run/a", "run/b"])


class Dying(Noise):
    def __getitem__(self, address):
        if address[1] == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(address)


@pytest.mark.slow
def test_a_loader_process_that_is_killed_is_not_waited_for():
    """As by the kernel for want of memory; torch looks every 5 seconds, for it is no child of this process."""
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid"):
        list(load(Dying(), 2, "processes", max_bad=5))


def test_threads_stay_between_epochs_and_end_with_their_loader():
    others = set(threading.enumerate())
    loader = load(Noise(), 3)
    list(loader)
    own = set(threading.enumerate()) - others
    list(loader)
    assert set(threading.enumerate()) - others == own
    assert len(own) == 3
    del loader
    gc.collect()
    for thread in own:
        thread.join(10)
    assert not any(thread.is_alive() for thread in own)


def test_an_abandoned_epoch_ends_at_once_and_the_next_one_is_whole():
    started, gate = [], threading.Event()

    class Slow(Noise):
        def __getitem__(self, address):
            started.append(address)
            if len(started) > 8:
                assert gate.wait(60)
            return super().__getitem__(address)

    loader = load(Slow(size=400), 2)
    for _ in loader:
        break
    began = len(started)
    assert began <= 4 + 2 * 4 + 2
    gate.set()
    time.sleep(0.1)
    assert len(started) <= began + 2  # those that had been taken up
    loader.set_epoch(5)
    assert len(contents(loader)) == 100


def test_errors_of_other_kinds_arrive_too_and_leave_no_thread_hanging():
    def fetch(address):
        if address == 7:
            raise KeyError("a bug")
        return address

    threads = Threads(fetch, list, 2)
    got = []
    with pytest.raises(KeyError, match="a bug"):
        got.extend(threads([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]))
    assert got == [[1, 2, 3], [4, 5, 6]]
    assert list(threads([[1], [2]])) == [[1], [2]]
    with pytest.raises(ZeroDivisionError):
        list(Threads(fetch, lambda samples: 1 // 0, 2)([[1]]))


@pytest.mark.parametrize("kind", KINDS)
def test_workers_keep_torch_to_one_thread_each_and_the_caller_keeps_its_own(kind):
    own = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        loader = load(Noise(), 2, kind)
        assert {count for batch in loader for count in batch["threads"].tolist()} == {1}
        assert torch.get_num_threads() == 2
        inside = []
        thread = threading.Thread(target=lambda: inside.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert inside == [2]  # so do threads of others
    finally:
        torch.set_num_threads(own)


def test_threads_that_cannot_all_start_leave_none_waiting(monkeypatch):
    others, start, left = set(threading.enumerate()), threading.Thread.start, [2]

    def start_two(thread):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="new thread"):
        list(load(Noise(), 4))
    for thread in set(threading.enumerate()) - others:
        thread.join(10)
        assert not thread.is_alive()


def test_loading_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    for n_workers, kind in ((0, "threads"), (2, "threads"), (2, "processes")):
        list(load(Noise(), n_workers, kind))
    assert torch.equal(torch.get_rng_state(), before)


def test_auto_is_threads_where_the_native_decoder_works_and_processes_elsewhere(monkeypatch):
    monkeypatch.setattr(native, "missing", lambda: "")
    assert choose_loader("auto") == "threads"
    monkeypatch.setattr(native, "missing", lambda: "no compiler")
    assert choose_loader("auto") == "processes"
    assert [choose_loader(kind) for kind in KINDS] == KINDS


def test_auto_workers_are_the_cores_of_this_process_shared_by_its_ranks(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert default_workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert default_workers() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "99")
    assert default_workers() == 1
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(192)))
    assert default_workers() == module.MOST_WORKERS


def test_auto_workers_are_no_more_than_there_is_work_for(monkeypatch):
    monkeypatch.setattr(module, "default_workers", lambda: 8)
    assert choose_workers("auto", 3) == 3
    assert choose_workers("auto", 0) == 1
    assert choose_workers("auto", 99) == 8
    assert choose_workers(12, 3) == 12
    assert load(Noise(), "auto", "processes").workers == 5  # a batch each
    assert load(Noise(), "auto", "threads").workers == 8


def test_a_collate_of_ones_own_makes_the_batches():
    own = load(Noise(views=2), 2, "threads", train=False, collate=lambda samples: {"n": len(samples)})
    assert [batch["n"] for batch in own] == [4] * 11 + [2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("n_workers", "kind"), FEW)
def test_batches_for_a_gpu_are_pinned(n_workers, kind):
    for batch in load(Noise(), n_workers, kind, pin_memory=True):
        assert batch["rgb"].is_pinned()
        assert batch["seconds"].is_pinned()


ENDING = """
import builtins, time
from datasets.loading.loader import ClipLoader

class Numbers:
    def __len__(self):
        return 1000

    def __getitem__(self, address):
        time.sleep(0.1)
        return {"x": address[1]}

if __name__ == "__main__":
    builtins.kept = []  # alive at the exit, as what an error's traceback holds
    for loader in ("processes", "threads"):
        batches = iter(ClipLoader(Numbers(), batch_size=20, train=True, n_workers=2, loader=loader))
        builtins.kept.append(batches)
        next(batches)
    raise SystemExit(7)
"""


@pytest.mark.slow
def test_a_process_ends_though_threads_and_loader_processes_are_at_work(tmp_path):
    (tmp_path / "ending.py").write_text(ENDING)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "ending.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (7, "")
