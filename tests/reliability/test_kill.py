"""A run that is killed anywhere and started again with the same command ends as if nothing had been."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from runs import OPTIONS, PATIENCE, ROOT, WORKERS, Case, Run, checkpoints, one, server, unlike, wait_for

from engine import checkpoint

CASES = [(script, workers) for script in OPTIONS for workers in WORKERS]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("kill"))


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
    found = unlike(folder / "results", case.whole(script))
    assert not found, "\n".join(found)
    assert list(folder.rglob(".*.part")) == []


def kill_and_go_on(case: Case, script: str, workers: str, tmp_path: Path, kills: int, seed: str) -> None:
    """Runs that are killed once or twice at random moments, until there were so many kills."""
    rng, done, trials = random.Random(seed), 0, 0
    words, seconds = case.words(script, workers), case.seconds(script)
    while done < kills:
        folder = case.folder(tmp_path / f"{trials}")
        trials += 1
        for _ in range(rng.choice((1, 2)) if kills > 1 else 1):
            done += kill(server().start(script, words, folder), rng.uniform(0.1, 0.9) * seconds)
        server().run(script, words, folder)
        look_at_the_end(case, script, folder)


@pytest.mark.parametrize(("script", "workers"), [("train", "no workers"), ("STS_train", "processes")])
def test_a_killed_run_goes_on_to_the_same_bits(case, tmp_path, script, workers):
    kill_and_go_on(case, script, workers, tmp_path, 1, f"{script} {workers}")


@pytest.mark.slow
@pytest.mark.parametrize(("script", "workers"), CASES)
def test_fifty_kills_leave_the_same_bits(case, tmp_path, script, workers):
    kill_and_go_on(case, script, workers, tmp_path, 9, f"many {script} {workers}")  # in each of six cases


def die_writing(case: Case, tmp_path: Path, number: int, when: str) -> bool:
    """One run that is killed at its n-th change of a file, and goes on; False if it makes fewer."""
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / f"{number}{when}")
    environment = {"DIE_AT": f"{number} {when}"}
    run = server().start("train", words, folder, environment=environment, before="die_writing")
    if run.wait() == 0:
        return False
    assert run.code == -signal.SIGKILL, run.err
    look_after_a_kill(folder)
    server().run("train", words, folder)
    look_at_the_end(case, "train", folder)
    return True


@pytest.mark.parametrize(("number", "when"), [(9, "half"), (21, "before")])
def test_killed_while_it_writes_it_goes_on_to_the_same_bits(case, tmp_path, number, when):
    assert die_writing(case, tmp_path, number, when)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "first"), [("before", 1), ("half", 2), ("after", 3)])
def test_killed_at_any_change_of_a_file_it_goes_on_to_the_same_bits(case, tmp_path, when, first):
    number = first
    while die_writing(case, tmp_path, number, when):
        number += 6
    assert number > 30  # a run changes at least so many files


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "half", "after"])
def test_killed_while_it_takes_up_its_logs_they_are_not_lost(case, tmp_path, when):
    words = case.words("train", "no workers")
    stopped = case.folder(tmp_path / "stopped")
    start = server().start("train", words, stopped, before="slow_steps")
    wait_for(lambda: list(stopped.rglob("*varLR2.pth")), start)
    start.signal(signal.SIGKILL)
    start.wait()
    for number in range(1, 12, 2):
        folder = tmp_path / f"{number}"
        subprocess.run(["cp", "-a", stopped, folder], check=True)
        run = server().start("train", words, folder, environment={"DIE_AT": f"{number} {when}"}, before="die_writing")
        assert run.wait() == -signal.SIGKILL, run.err
        server().run("train", words, folder)
        look_at_the_end(case, "train", folder)


def test_a_second_run_of_the_same_command_changes_nothing(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    server().run("train", case.words("train", "no workers"), folder)
    before = {path: path.read_bytes() for path in checkpoints(folder)}
    server().run("train", case.words("train", "no workers"), folder)
    assert {path: path.read_bytes() for path in checkpoints(folder)} == before
    look_at_the_end(case, "train", folder)


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The second half is missing, as after a power cut without fsync."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip, pytest.param(cut, marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(case, tmp_path, damage):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    first = server().start("train", words, folder, before="slow_steps")
    wait_for(lambda: list(folder.rglob("*varLR2_step2.pth")), first)
    first.signal(signal.SIGKILL)
    first.wait()
    newest = max(folder.rglob("*_step*.pth"), key=lambda path: path.stat().st_mtime_ns)
    damage(newest)
    second = server().run("train", words, folder)
    assert f"{newest.relative_to(folder)}: damaged" in second.err
    look_at_the_end(case, "train", folder)


def test_if_all_checkpoints_are_damaged_nothing_is_started_afresh(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    server().run("train", [*words, "--n_epochs", "1"], folder)
    for path in checkpoints(folder / "results"):
        cut(path)
    before = {path: path.read_bytes() for path in checkpoints(folder)}
    run = server().start("train", words, folder)
    assert run.wait() == 2
    assert run.err.splitlines()[-1].startswith("error: ")
    assert {path: path.read_bytes() for path in checkpoints(folder)} == before


def test_a_fresh_run_does_not_destroy_the_checkpoints_of_another(case, tmp_path):
    """A month of work is not lost for want of --resume auto."""
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    server().run("train", words, folder)
    before = {path: path.read_bytes() for path in [*checkpoints(folder), *folder.rglob("metrics.jsonl")]}
    run = server().start("train", [*words, "--resume", "", "--n_epochs", "1"], folder)
    assert run.wait() == 2, run.err
    assert "--resume auto" in run.err.splitlines()[-1]
    assert {path: path.read_bytes() for path in before} == before


def test_going_back_to_an_older_checkpoint_does_not_cost_the_newer_ones(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    server().run("train", words, folder)
    before = {path: path.read_bytes() for path in checkpoints(folder)}
    older = one(folder, "*varLR3_step6.pth")
    run = server().start("train", [*words, "--resume", str(older)], folder)
    assert run.wait() == 2, run.err
    assert "varLR3.pth" in run.err.splitlines()[-1]
    assert {path: path.read_bytes() for path in checkpoints(folder)} == before


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_the_script_itself_killed_leaves_no_process_and_goes_on(case, tmp_path, workers):
    """Without the server of the other tests: other hash seeds, and loader processes of its own."""
    folder = case.folder(tmp_path / "run")
    command = [sys.executable, ROOT / "train.py", *case.words("train", workers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "err").open("wb") as err:
        killed = subprocess.Popen(command, cwd=folder, stderr=err, start_new_session=True, env=environment)
        with killed:
            deadline = time.monotonic() + PATIENCE
            while not list(folder.rglob("*_step2.pth")) and killed.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            killed.kill()
        assert killed.returncode == -signal.SIGKILL, (folder / "err").read_text()
        while group_lives(killed.pid):
            assert time.monotonic() < deadline, "loader processes outlive a killed run"
            time.sleep(0.1)
        subprocess.run(command, cwd=folder, stderr=err, check=True, timeout=PATIENCE, env=environment)
    look_at_the_end(case, "train", folder)


def test_ranks_that_are_asked_to_stop_do_not_finish_their_validation(case, tmp_path):
    """It may take longer than a cluster waits; how many batches of it each has differs."""
    words = case.words("train", "no workers", *"--val_fraction 0.5 --batch_size 1 --sample_size 64".split())
    folder = case.folder(tmp_path / "run")
    ranks = server().ranks(2, "train", words, folder, before="slow_validation")
    seen = folder / "validated"
    wait_for(lambda: seen.exists() and len(seen.read_text().splitlines()) >= 2, ranks[0])
    for rank in ranks:
        rank.signal(signal.SIGTERM)
    assert [rank.wait(60) for rank in ranks] == [143, 143], ranks[0].err
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
    """What a run holds: open descriptors, memory in KiB, threads, and processes, those of its loader included."""

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
    """What a run holds as it writes down an epoch, by epoch, until it ends; some may be missed."""
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
    """Neither descriptors nor memory, nor threads or processes: what is leaked in an epoch is seen after fifty."""
    words = [*case.words("train", workers), "--n_epochs", "60"]
    run = server().start("train", words, case.folder(tmp_path / "run"))
    seen = watch(run)
    assert run.code == 0, run.err
    epochs = sorted(epoch for epoch in seen if epoch < 60)
    early = [seen[epoch] for epoch in epochs if 8 <= epoch < 14]
    late = [seen[epoch] for epoch in epochs if epoch >= 55]
    assert early, epochs
    assert late, epochs
    for name in ("descriptors", "threads", "processes"):
        least = min(getattr(one, name) for one in late)
        assert least <= max(getattr(one, name) for one in early), (name, seen)
    assert min(one.memory for one in late) < 1.02 * max(one.memory for one in early), seen
