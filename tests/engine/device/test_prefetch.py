"""Batches that the loops are fed with, and the time that they wait for them."""

import contextlib
import time
from contextlib import nullcontext

import pytest
import torch
from helpers import Clock
from torch import nn

from datasets.decoding import timing as clock
from engine.device import prefetch
from engine.device.prefetch import ADVICE, STEPS, DeviceWait, Feed
from engine.training.loop import Epoch, train_one_epoch
from engine.training.schedules import Schedule, Warmup
from engine.training.stepper import Stepper

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


class Task(nn.Module):
    """Sees whether a batch holds what is not for it."""

    def __init__(self, clock=None, seconds=0.0):
        super().__init__()
        self.weight, self.clock, self.seconds = nn.Parameter(torch.ones(2, 3)), clock, seconds

    def forward(self, batch):
        assert set(batch) == {"x", "label", "video"}
        if self.clock:
            self.clock.now += self.seconds
        logits = batch["x"] @ self.weight
        return {"loss": nn.functional.cross_entropy(logits, batch["label"]), "logits": logits}


def batch(read=0.0, decode=0.0, transform=0.0):
    seconds = torch.tensor([[read, decode, transform]] * 2)
    return {"x": torch.randn(2, 2), "label": torch.tensor([0, 1]), "video": ["a", "b"], "seconds": seconds}


class Slow:
    """Four batches that take a second each."""

    def __init__(self, clock):
        self.clock = clock

    def __len__(self):
        return 4

    def __iter__(self):
        return (self.clock.after(1.0, batch(0.1, 0.7, 0.2)) for _ in range(4))


def test_an_epoch_tells_how_long_it_waited_and_for_what(monkeypatch):
    clock = Clock(monkeypatch)
    task = Task(clock, 3.0)
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    stepper = Stepper(task, optimizer, Schedule(optimizer, Warmup()))
    metrics = train_one_epoch(task, Slow(clock), stepper, CPU, Epoch())
    assert metrics["data_wait"] == pytest.approx(0.25)
    assert [metrics[f"data_{step}"] for step in STEPS] == pytest.approx([0.1, 0.7, 0.2])
    assert {"loss", "acc"} < set(metrics)


def test_a_loader_that_does_not_say_what_it_does_has_no_cause():
    feed = Feed([{"x": torch.ones(1)}] * 3, CPU)
    assert [set(b) for b in feed] == [{"x"}] * 3
    assert set(feed.result()) == {"data_wait"}
    assert feed.cause == ""
    assert feed.shown().startswith("wait ")
    assert "(" not in feed.shown()


@pytest.mark.parametrize(("position", "step"), list(enumerate(STEPS)))
def test_the_bar_names_the_slowest_step(position, step, monkeypatch):
    clock = Clock(monkeypatch)
    seconds = [0.1, 0.1, 0.1]
    seconds[position] = 0.9
    feed = Feed((clock.after(1.0, batch(*seconds)) for _ in range(2)), CPU)
    for _ in feed:
        clock.now += 3.0
    assert feed.shown() == f"wait 25 % ({step})"


def test_every_cause_has_advice_and_readers_count_the_same_steps():
    assert set(ADVICE) == {*STEPS, ""}
    assert STEPS == clock.STEPS


def test_batches_are_prepared_before_they_are_copied():
    batches = [{"x": torch.ones(1)}, {"x": torch.zeros(1)}]
    feed = Feed(batches, CPU, lambda batch: {**batch, "names": [str(batch["x"].item())]})
    assert [batch["names"] for batch in feed] == [["1.0"], ["0.0"]]


def test_the_feed_is_as_long_as_its_loader_and_none_where_that_has_no_length():
    assert len(Feed([{}, {}], CPU)) == 2
    assert list(Feed(iter([{}, {}]), CPU)) == [{}, {}]
    with pytest.raises(TypeError):
        len(Feed(iter([]), CPU))


class Event:
    """A place in a GPU's work, which it passes at a time."""

    made = 0

    def __init__(self, enable_timing):
        self.place, Event.made = Event.made, Event.made + 1

    def record(self, stream):
        pass

    def query(self):
        return self.place < 4

    def elapsed_time(self, other):
        return 1000.0 * {0: 0.5, 2: 9.0}[self.place]


@pytest.fixture
def gpu(monkeypatch) -> torch.device:
    """One that takes no work, and whose events are of `Event`."""
    monkeypatch.setattr(Event, "made", 0)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    return torch.device("cuda")


def test_a_gpu_waits_while_it_is_idle_and_never_longer_than_the_host(gpu, monkeypatch):
    clock = Clock(monkeypatch)
    wait = DeviceWait(gpu)
    for _ in range(3):
        with wait:
            clock.now += 2.0
    assert len(wait.open) == 1  # the third was not passed yet; events of a whole epoch would be as many as its steps
    assert wait.total() == 0.5 + 2.0


def test_epochs_and_loops_copy_on_one_stream_for_each_device(gpu, monkeypatch):
    devices = []
    prefetch.copy_stream.cache_clear()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: devices.append(device) or NotedStream("side", []))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: NotedStream("main", []))
    batches = [{"video": ["a"]}, {"video": ["b"]}]
    for device in ("cuda:0", "cuda:0", "cuda:1", "cuda:0"):
        assert list(Feed(batches, torch.device(device))) == batches
    prefetch.copy_stream.cache_clear()
    assert devices == [torch.device("cuda:0"), torch.device("cuda:1")]


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_gets_the_same_batches_and_its_waiting_is_seen():
    device = torch.device("cuda")
    made = [{"x": torch.randn(64, 64).pin_memory(), "video": [str(i)]} for i in range(8)]

    def slowly():
        for one in made:
            time.sleep(0.05)
            yield one

    feed, got = Feed(slowly(), device), []
    for one in feed:
        assert one["x"].device.type == "cuda"
        got.append((one["x"] @ one["x"], one["video"]))
    torch.cuda.synchronize()
    assert feed.waited > 0.8
    for (product, video), one in zip(got, made, strict=True):
        assert torch.allclose(product.cpu(), one["x"] @ one["x"], atol=1e-3)
        assert video == one["video"]


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_that_is_busy_does_not_wait_for_the_host():
    device, a = torch.device("cuda"), torch.randn(8192, 8192, device="cuda")
    feed = Feed((time.sleep(0.01) or {"x": torch.ones(1)} for _ in range(8)), device)
    for _ in feed:
        for _ in range(10):
            a @ a
    torch.cuda.synchronize()
    assert feed.waited < 0.5


class ToFinish:
    """Three batches that take seconds to load, and more to finish."""

    def __init__(self, clock, load, finish):
        self.clock, self.load, self.seconds, self.log = clock, load, finish, []

    def __iter__(self):
        return map(self.finish, self.unfinished())

    def unfinished(self):
        for i in range(3):
            yield self.clock.after(self.load, {"number": i})

    def finish(self, batch):
        self.log.append(f"finish {batch['number']}")
        return self.clock.after(self.seconds, batch | {"flow": torch.ones(2)})


@pytest.mark.parametrize(("load", "finish", "said"), [(1.0, 6.0, "extract_frames_flows.py"), (6.0, 1.0, "--n_workers")])
def test_waiting_for_computed_flow_is_told_apart_from_waiting_for_data(load, finish, said, monkeypatch):
    clock = Clock(monkeypatch)
    feed = Feed(ToFinish(clock, load, finish), CPU)
    for batch in feed:
        assert set(batch) == {"number", "flow"}
        clock.now += 3.0
    waits = {"data_wait": pytest.approx(load / 10), "data_flow": pytest.approx(finish / 10)}
    assert feed.result() == waits
    assert feed.shown() == f"wait {10 * load:.0f} %, for flow {10 * finish:.0f} %"
    assert feed.advice().startswith(f"{feed.shown()}: ")
    assert said in feed.advice()
    assert ("extract_frames_flows.py" in feed.advice()) == (finish > load)


class NotedStream:
    """A stream of a GPU: puts down what it is given."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def record_event(self):
        self.log.append(f"record on {self.name}")

    def wait_event(self, event):
        self.log.append(f"{self.name} waits")


def test_flow_is_computed_on_a_stream_of_its_own_one_batch_ahead(gpu, monkeypatch):
    clock = Clock(monkeypatch)
    loader = ToFinish(clock, 0.0, 0.0)
    log, streams = loader.log, []

    @contextlib.contextmanager
    def within(stream):
        streams.append(stream.name)
        yield
        streams.pop()

    finish = loader.finish

    def noted(batch):
        log.append(f"on {streams[-1]}:")
        return {"number": finish(batch)["number"]}

    loader.finish = noted
    side, current = NotedStream("side", log), NotedStream("main", log)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    monkeypatch.setattr(prefetch, "copy_stream", lambda device: side)
    for batch in Feed(loader, gpu):
        log.append(f"step {batch['number']}")
    first, *rest = [["on side:", f"finish {i}", "record on side"] for i in range(3)]
    expected = [*first, "main waits", *rest[0], "step 0", "main waits", *rest[1], "step 1", "main waits", "step 2"]
    assert log == expected


def test_what_steps_of_a_gpu_wait_for_flow_is_the_gpus_time_and_not_the_hosts(gpu, monkeypatch):
    Clock(monkeypatch)  # the host takes no time
    wait = DeviceWait(gpu, host_waits=False)
    for _ in range(3):
        with wait:
            pass
    assert wait.total() == 0.5 + 9.0
