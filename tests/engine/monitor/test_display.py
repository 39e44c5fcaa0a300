"""Progress of a run while it goes, and the time that it is expected to take."""

import io
import logging
import mmap
import re
import sys

import pytest
import torch
from helpers import Clock

from engine.device.hardware import memory_used
from engine.device.prefetch import ADVICE, MIN_SECONDS, Feed
from engine.monitor import display
from engine.monitor.averages import Averages
from engine.monitor.display import LOG_SECONDS, REFRESH_SECONDS, Display, local_means, speed_row
from engine.monitor.pace import FORWARD, MEAN_WINDOW, REPORT_AFTER, WARM_UP, Pace, in_time

CPU = torch.device("cpu")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def open_terminal(monkeypatch):
    """To be called in the test itself: pytest puts its own stderr in place after the fixtures."""

    def opened():
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made)
        return made

    return opened


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO")
    return lambda: [record.getMessage() for record in caplog.records]


def batches(n: int, clips: int = 4):
    return [{"label": torch.zeros(clips, dtype=torch.long)} for _ in range(n)]


def go(clock, feed, averages, seconds, **settings):
    with Display(feed, "epoch 3/9", averages, **settings) as shown:
        for _ in shown:
            clock.now += seconds
            averages.update({"loss": torch.tensor(2.5), "acc": torch.tensor(0.25), "loss_mse": torch.tensor(1.5)}, 4)
    return shown


def test_the_bar_on_a_terminal_tells_all_that_is_wanted(clock, open_terminal):
    terminal = open_terminal()
    feed = Feed([b | {"seconds": torch.tensor([[0.1, 0.9, 0.1]])} for b in batches(8)], CPU)
    pace = Pace(train=8, val=0, epochs=400)
    for _ in range(WARM_UP):
        pace.step("train", 99.0)
    shown = go(clock, feed, Averages(), REFRESH_SECONDS, pace=pace)
    text = terminal.getvalue()
    for part in ("epoch 3/9", "loss 2.5, acc 0.25, 2 clips/s, wait 0 % (decode), ", "run 1.8 h", "mse 1.5"):
        assert part in text
    assert re.search(r", [\d.]+ [MG]B, run", text)
    assert shown.done == 8


def test_without_a_terminal_a_long_epoch_logs_a_line_now_and_then_and_a_short_one_none(clock, lines, capfd):
    go(clock, Feed(batches(20), CPU), Averages(), LOG_SECONDS / 5)
    assert len(lines()) == 4
    assert lines()[0].startswith(
        "epoch 3/9: 5 of 20 batches, 15 min left, loss 2.5, acc 0.25, 0.0667 clips/s, wait 0 %"
    )
    assert lines()[0].endswith("mse 1.5")
    go(clock, Feed(batches(4), CPU), Averages(), LOG_SECONDS / 5)
    assert len(lines()) == 4
    assert capfd.readouterr() == ("", "")


def test_only_the_first_of_several_processes_shows_anything(clock, lines, open_terminal, monkeypatch):
    terminal = open_terminal()
    monkeypatch.setattr(display, "is_main", lambda: False)
    go(clock, Feed(batches(20), CPU), Averages(), LOG_SECONDS, pace=Pace(100, 0, 1))
    assert terminal.getvalue() == ""
    assert lines() == []


def test_clips_of_all_processes_are_counted(clock, monkeypatch):
    monkeypatch.setattr(display, "world", lambda: 8)
    shown = go(clock, Feed(batches(5), CPU), Averages(), 2.0)
    assert shown.speed()["clips_per_second"] == pytest.approx(8 * 5 * 4 / 10)


@pytest.mark.parametrize(("on_terminal", "every"), [(True, REFRESH_SECONDS), (False, LOG_SECONDS)])
def test_sums_on_the_device_are_read_seldom(on_terminal, every, clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal() if on_terminal else io.StringIO())
    reads = []
    monkeypatch.setattr(display, "local_means", lambda averages: reads.append(clock.now) or {})
    go(clock, Feed(batches(100), CPU), Averages(), every / 10)
    assert len(reads) == pytest.approx(10, abs=1)


def test_means_are_those_of_this_process_and_the_same_as_the_result():
    averages = Averages()
    assert local_means(averages) == {}
    averages.update({"loss": torch.tensor(1.0)}, 3)
    averages.update({"loss": torch.tensor(5.0), "late": torch.tensor(2.0)}, 1)
    assert local_means(averages) == averages.result() == {"loss": 2.0, "late": 2.0}


def test_an_epoch_that_goes_on_counts_on_from_where_it_was(clock, lines):
    feed = Feed(batches(10), CPU)
    feed.loader = type("Rest", (), {"__len__": lambda self: 30, "__iter__": lambda self: iter(batches(10))})()
    go(clock, feed, Averages(), LOG_SECONDS, first=20)
    assert lines()[0].startswith("epoch 3/9: 21 of 30 batches, 45 min left")


def test_lines_of_the_log_do_not_break_the_bar(open_terminal):
    terminal = open_terminal()
    root, handler = logging.getLogger(), logging.StreamHandler(terminal)
    root.addHandler(handler)
    try:
        with Display(Feed(batches(2), CPU), "train") as shown:
            for _ in shown:
                logging.getLogger("engine").warning("left out")
    finally:
        root.removeHandler(handler)
    written = [part.strip() for line in terminal.getvalue().split("\n") for part in line.split("\r")]
    assert written.count("left out") == 2


@pytest.mark.parametrize(
    ("wait", "work", "told"),
    [(MIN_SECONDS, 1.0, True), (MIN_SECONDS / 3, 1.0, False), (MIN_SECONDS, 12 * MIN_SECONDS, False)],
    ids=["long", "a moment", "a small part"],
)
def test_waiting_that_matters_is_told_with_a_cure(wait, work, told, clock, lines):
    made = {"seconds": torch.tensor([[0.0, 1.0, 0.0]])}
    with Display(Feed((clock.after(wait / 2, made) for _ in range(2)), CPU), "epoch 3/9") as shown:
        for _ in shown:
            clock.now += work / 2
    advice = f"epoch 3/9: wait {100 * wait / (wait + work):.0f} % (decode): {ADVICE['decode']}"
    assert lines() == ([advice] if told else [])


def test_leaving_an_epoch_leaves_its_loader_and_says_nothing(lines):
    left = []

    def forever():
        try:
            while True:
                yield {}
        finally:
            left.append(True)

    with pytest.raises(FloatingPointError), Display(Feed(forever(), CPU), "x") as shown:
        for _ in shown:
            raise FloatingPointError
    assert lines() == []
    del shown
    assert left == [True]


def test_the_speed_row_takes_all_that_differs_between_runs_and_nothing_else(clock):
    shown = go(clock, Feed(batches(5), CPU), Averages(), 2.0)
    metrics = {"loss": 1.0, "acc": 0.5, "loss_data": 1.0} | shown.speed()
    row = speed_row(metrics, CPU)
    assert set(metrics) - set(row) == {"loss", "acc", "loss_data"}
    assert row["clips_per_second"] == pytest.approx(2.0)
    assert row["seconds"] == pytest.approx(10.0)
    assert row["ranks"] == 1
    assert row["device"].startswith("cpu")
    assert 0.01 < row["memory_gb"] < 1000


def test_memory_grows_with_what_is_held():
    before = memory_used(CPU)
    with mmap.mmap(-1, 64_000_000) as held:  # new pages, where a tensor may get memory that was freed
        held.write(b"1" * 64_000_000)
        assert memory_used(CPU) - before > 32e6


def test_a_pace_knows_nothing_before_its_warm_up_and_then_what_is_left():
    pace = Pace(train=20, val=6, epochs=3, first=5)
    for _ in range(WARM_UP):
        pace.step("train", 100.0)
        assert pace.remaining() is None
    pace.step("train", 2.0)
    assert pace.remaining() == pytest.approx(2.0 * (55 - WARM_UP - 1) + 18 * 2.0 * FORWARD)
    for _ in range(WARM_UP + 1):
        pace.step("val", 5.0)
    assert pace.remaining() == pytest.approx(2.0 * (55 - WARM_UP - 1) + (18 - WARM_UP - 1) * 5.0)


def test_a_pace_follows_a_machine_that_gets_slower():
    pace = Pace(train=10**6, val=0, epochs=1)
    for _ in range(5 * MEAN_WINDOW):
        pace.step("train", 1.0)
    for _ in range(5 * MEAN_WINDOW):
        pace.step("train", 2.0)
    assert pace.kinds["train"].seconds == pytest.approx(2.0, rel=0.01)


def test_the_time_of_a_run_is_told_once_after_its_first_steps(clock, lines):
    pace = Pace(train=3650, val=0, epochs=1)
    for label in ("a", "b"):
        with Display(Feed(batches(REPORT_AFTER + 10), CPU), label, pace=pace) as shown:
            for _ in shown:
                clock.now += 1.0
    told = [line for line in lines() if "expected time" in line]
    assert len(told) == 1
    assert told[0].startswith("expected time: 1.0 h, until 2")
    assert "3,600 training batches of 1.000 s" in told[0]


def test_a_run_that_is_over_by_then_is_told_no_hours(clock, lines):
    with Display(Feed(batches(REPORT_AFTER), CPU), "x", pace=Pace(REPORT_AFTER, 3, 1)) as shown:
        for _ in shown:
            clock.now += 1.0
    assert lines() == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (150, "2 min"), (7200, "2.0 h"), (10 * 86400, "10.0 d")]
)
def test_spans_of_time_are_short(seconds, text):
    assert in_time(seconds) == text
