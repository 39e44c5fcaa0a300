"""A run that is killed anywhere and started again with the same command ends as if nothing had been."""

import errno
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import lasting_forkserver
import pytest
from runs import OPTIONS, PATIENCE, ROOT, WORKERS, Case, Run, assert_same_bits, checkpoints, one, server, wait_for

from engine import checkpoint

CASES = [(script, workers) for script in OPTIONS for workers in WORKERS]
KILLS = 2  # of each
TIMES = ("before", "half", "after")  # of a change of a file


def look_after_a_kill(folder: Path) -> None:
    """Whatever has the name of a checkpoint is one; half-written files have names that nothing looks for."""
    for path in checkpoints(folder / "results"):
        checkpoint.load(path)
    for path in folder.rglob(".*"):
        assert path.name == ".lock" or (path.name.startswith(".") and path.suffix == ".part"), path


def kill(run: Run, after: float) -> bool:
    """Whether the run still went on after these seconds, and was killed."""
    if not run.ended_within(after):
        run.signal(signal.SIGKILL)
    assert run.wait() in (0, -signal.SIGKILL), run.err
    look_after_a_kill(run.folder)
    return run.code != 0


def look_at_the_end(case: Case, script: str, folder: Path) -> None:
    assert_same_bits(folder / "results", case.whole(script))
    assert list(folder.rglob(".*.part")) == []


def finish(case: Case, script: str, folder: Path, workers: str = "no workers") -> Run:
    """Go on to the end, and compare."""
    run = server().run(script, case.words(script, workers), folder)
    look_at_the_end(case, script, folder)
    return run


@pytest.mark.slow
@pytest.mark.parametrize(("script", "workers"), CASES)
def test_killed_at_random_moments_a_run_goes_on_to_the_same_bits(case, tmp_path, script, workers):
    """A run that ends before it is killed is compared, and another one begun."""
    rng, done, trials = random.Random(f"{script} {workers}"), 0, 0
    words, seconds = case.words(script, workers), case.seconds(script)
    while done < KILLS:
        folder = case.folder(tmp_path / f"{trials}")
        trials += 1
        while done < KILLS and kill(server().start(script, words, folder), rng.uniform(0.1, 0.9) * seconds):
            done += 1
        finish(case, script, folder, workers)


def test_the_fork_server_of_all_runs_outlives_one_that_is_killed_while_it_asks_for_a_process():
    here, there = socket.socketpair()
    with there, pytest.raises(OSError) as raised:
        here.close()
        lasting_forkserver.recvfds(there, 4)
    assert raised.value.errno == errno.ECONNABORTED  # which `multiprocessing.forkserver.main` passes over


@pytest.mark.slow
def test_a_loss_with_an_optimiser_of_its_own_is_killed_and_goes_on_to_the_same_bits(case, tmp_path):
    """Also before its first checkpoint, and by the words of the first start alone."""
    words = case.words("STS_train", "no workers", "--distill", "mse", "judge", "--iter_size", "2", "--clip_grad", "1")
    start, rng = time.monotonic(), random.Random(3)
    whole = server().run("STS_train", words, case.folder(tmp_path / "whole"), before="a_judge").folder
    seconds, kills, folder = time.monotonic() - start, 0, case.folder(tmp_path / "run")
    for part in (0.5, 0.7, 0.8, 0.9):
        kills += kill(
            server().start("STS_train", words, folder, before="a_judge"), rng.uniform(part - 0.1, part) * seconds
        )
    end = server().run("STS_train", words, folder, before="a_judge")
    assert kills, end.err
    state = checkpoint.load(one(whole, "*_best.pth"))
    assert state["own_optimizers"]["judge"]["state"]
    assert_same_bits(folder / "results", whole / "results")


def die_writing(case: Case, folder: Path, number: int, when: str) -> bool:
    """Start a run that is killed at its n-th change of a file; False if it makes fewer, and ends."""
    environment = {"DIE_AT": f"{number} {when}"}
    words = case.words("train", "no workers")
    run = server().start("train", words, folder, environment=environment, before="die_writing")
    assert run.wait() in (0, -signal.SIGKILL), run.err
    look_after_a_kill(folder)
    return run.code != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "number", "more"), [("half", 11, 11), *((when, number, 3) for number, when in enumerate(TIMES, 1))]
)
def test_killed_at_any_change_of_a_file_it_goes_on_to_the_same_bits(case, tmp_path, when, number, more):
    """Every start comes some changes further than the one before it did, until one comes to the end."""
    folder, starts = case.folder(tmp_path / "run"), 1
    while die_writing(case, folder, number, when):
        starts, number = starts + 1, number + more
    look_at_the_end(case, "train", folder)
    assert starts > (10 if more == 3 else 2)


def stopped_in_the_second_epoch(case: Case, folder: Path, pattern: str) -> Path:
    """The folder of a run that was killed as soon as it had such a checkpoint."""
    start = server().start("train", case.words("train", "no workers"), case.folder(folder), before="slow_steps")
    wait_for(lambda: list(folder.rglob(pattern)), start)
    start.signal(signal.SIGKILL)
    start.wait()
    return folder


@pytest.mark.slow
def test_killed_while_it_takes_up_its_logs_they_are_not_lost(case, tmp_path):
    folder = stopped_in_the_second_epoch(case, tmp_path / "run", "*varLR2.pth")
    for when in TIMES:
        for number in range(1, 12, 2):
            assert die_writing(case, folder, number, when)
    finish(case, "train", folder)


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The second half is missing, as after a power cut without fsync."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.slow
def test_damaged_checkpoints_are_named_and_the_one_before_them_taken(case, tmp_path):
    folder = stopped_in_the_second_epoch(case, tmp_path / "run", "*varLR2_step2.pth")
    newest = sorted(folder.rglob("*varLR*[0-9].pth"), key=lambda path: path.stat().st_mtime_ns)
    cut(newest[-2])
    flip(newest[-1])
    again = finish(case, "train", folder)
    for path in newest[-2:]:
        assert f"{path.relative_to(folder)}: damaged" in again.err


def test_if_all_checkpoints_are_damaged_nothing_is_started_afresh(case, tmp_path):
    folder = case.copy("train", tmp_path / "run")
    for path in checkpoints(folder / "results"):
        cut(path)
    before = {path: path.read_bytes() for path in checkpoints(folder)}
    run = server().start("train", case.words("train", "no workers"), folder)
    assert run.wait() == 2
    assert run.err.splitlines()[-1].startswith("error: ")
    assert {path: path.read_bytes() for path in checkpoints(folder)} == before


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ((), 0, ""),  # the same command once more
        (("--resume", "", "--n_epochs", "1"), 2, "--resume auto"),
        (("--resume", "*varLR3_step6.pth"), 2, "varLR3.pth"),
    ],
)
def test_no_other_start_overwrites_what_a_run_has_made(case, tmp_path, more, code, message):
    """A month of work is lost neither for want of --resume auto nor by going back to an older checkpoint."""
    folder = case.copy("train", tmp_path / "run")
    before = {path: path.read_bytes() for path in [*checkpoints(folder), *folder.rglob("metrics.jsonl")]}
    more = [str(one(folder, word)) if word.startswith("*") else word for word in more]
    run = server().start("train", [*case.words("train", "no workers"), *more], folder)
    assert run.wait() == code, run.err
    assert message in run.err.splitlines()[-1]
    assert {path: path.read_bytes() for path in before} == before
    look_at_the_end(case, "train", folder)


@pytest.mark.slow
def test_the_script_itself_killed_or_signalled_with_its_group_leaves_no_process_and_goes_on(case, tmp_path):
    """Without the server of the other tests, but at the end: other hash seeds, and loader processes of its own.

    A terminal sends Ctrl-C to loader processes, too.
    """
    folder = case.folder(tmp_path / "run")
    command = [sys.executable, ROOT / "train.py", *case.words("train", "processes")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        before, deadline = set(checkpoints(folder)), time.monotonic() + PATIENCE
        with (folder / "err").open("wb") as err:
            run = subprocess.Popen(command, cwd=folder, stderr=err, start_new_session=True, env=environment)
        with run:
            while set(checkpoints(folder)) <= before and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            (os.kill if number == signal.SIGKILL else os.killpg)(run.pid, number)
        text = (folder / "err").read_text()
        assert run.returncode == code, text
        assert number == signal.SIGKILL or text.splitlines()[-1].startswith(f"stopped by {number.name}")
        while group_lives(run.pid):
            assert time.monotonic() < deadline, "loader processes outlive a killed run"
            time.sleep(0.05)
    server().run("train", case.words("train", "processes"), folder)
    assert_same_bits(folder / "results", case.whole("train"), extra=True)


@pytest.mark.slow
def test_ranks_that_are_asked_to_stop_do_not_finish_their_validation(case, tmp_path):
    """It may take longer than a cluster waits; how many batches of it each has differs."""
    words = case.words("train", "no workers", *"--val_fraction 0.5 --batch_size 1 --sample_size 64".split())
    folder = case.folder(tmp_path / "run")
    ranks = server().ranks(2, "train", words, folder, before="slow_validation")
    seen = folder / "validated"
    wait_for(lambda: seen.exists() and len(seen.read_text().splitlines()) >= 2, ranks[0])
    for rank in ranks:
        rank.signal(signal.SIGTERM)
    assert [rank.wait() for rank in ranks] == [143, 143], ranks[0].err
    assert len(seen.read_text().splitlines()) < 7  # of 9
    (newest,) = set(re.findall(r"\S+\.pth(?= is where)", "".join(rank.err for rank in ranks)))
    state = checkpoint.load(folder / newest)
    assert (state["epoch"], state["step"]) == (2, 3)


def group_lives(group: int) -> bool:
    """Whether any process is left that the run started."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class Resources(NamedTuple):
    """Resources that a run holds: open descriptors, memory in KiB, threads, and processes, with those of its loader."""

    descriptors: int
    memory: int
    threads: int
    processes: int


def resources(run: Run) -> Resources:
    """Of a run that is the only one of the server."""
    proc = Path(f"/proc/{run.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    descriptors = len(list((proc / "fd").iterdir()))
    memory, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
    return Resources(descriptors, memory, threads, descendants(server().process.pid))


def descendants(pid: int) -> int:
    """Processes below this one; loader processes are not those of the run, but of the server that forks them."""
    parents = dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    own, below = 0, {pid}
    while len(below) > own:
        own, below = len(below), below | {child for child, parent in parents.items() if parent in below}
    return own - 1


def watch(run: Run) -> dict[int, Resources]:
    """Return the resources that a run holds as it logs an epoch, by epoch, until it ends; some may be missed."""
    seen = dict[int, Resources]()
    while run.poll() is None:
        rows = [line for path in run.folder.rglob("metrics.jsonl") for line in path.read_text().splitlines()]
        if rows and (epoch := json.loads(rows[-1])["epoch"]) not in seen:
            with suppress(FileNotFoundError, ProcessLookupError, KeyError):  # it ends just now
                seen[epoch] = resources(run)
        time.sleep(0.02)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
def test_a_long_run_leaks_nothing(case, tmp_path, workers):
    """Neither descriptors nor memory, nor threads or processes: what is leaked in an epoch is seen after twenty."""
    words = [*case.words("train", workers), "--n_epochs", "30"]
    run = server().start("train", words, case.folder(tmp_path / "run"))
    seen = watch(run)
    assert run.code == 0, run.err
    epochs = sorted(epoch for epoch in seen if epoch < 30)
    early = [seen[epoch] for epoch in epochs if 4 <= epoch < 8]
    late = [seen[epoch] for epoch in epochs if epoch >= 26]
    assert early, epochs
    assert late, epochs
    for name in ("descriptors", "threads", "processes"):
        least = min(getattr(one, name) for one in late)
        assert least <= max(getattr(one, name) for one in early), (name, seen)
    assert min(one.memory for one in late) < 1.01 * max(one.memory for one in early), seen
