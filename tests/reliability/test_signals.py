"""A run that is asked to stop ends its step, writes a checkpoint, says so by its exit code, and goes on from there."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import PATIENCE, ROOT, Case, Run, checkpoints, server, unlike, wait_for

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
SIGNALS = [
    pytest.param(signal.SIGTERM, id="SIGTERM"),
    pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("signals"))


def steps_done(folder: Path) -> list[Path]:
    return list(folder.rglob("*_step*.pth"))


def stop(run: Run, number: int) -> Path:
    """Ask a run to stop; the checkpoint that it says it left."""
    run.signal(number)
    assert run.wait() == CODES[number], run.err
    last = run.err.splitlines()[-1]
    assert last.startswith(f"stopped by {signal.Signals(number).name}")
    found = re.search(r"\S+\.pth", last)
    assert found
    return run.folder / found[0]


def stop_and_go_on(case: Case, script: str, workers: str, folder: Path, number: int, after: float) -> None:
    words = case.words(script, workers)
    run = server().start(script, words, case.folder(folder), before="slow_steps")
    wait_for(lambda: steps_done(folder), run)
    time.sleep(after)
    assert stop(run, number).is_file()
    again = server().run(script, words, folder)
    assert "resuming" in again.err
    found = unlike(folder / "results", case.whole(script), extra=True)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_run_goes_on_to_the_same_bits(case, tmp_path, number):
    stop_and_go_on(case, "train", "no workers", tmp_path / "run", number, 0.13)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["no workers", "threads", "processes"])
@pytest.mark.parametrize("script", ["train", "STS_train"])
def test_stopped_at_any_moment_a_run_goes_on_to_the_same_bits(case, tmp_path, script, workers):
    rng = random.Random(f"{script} {workers}")
    for trial in range(4):
        number = rng.choice(list(CODES))
        stop_and_go_on(case, script, workers, tmp_path / f"{trial}", number, rng.uniform(0, 1.2))


@pytest.mark.slow
def test_stopped_while_it_validates_a_run_repeats_that(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    run = server().start("train", words, folder, before="long_validation")
    wait_for(lambda: (folder / "long").exists(), run)
    stop(run, signal.SIGTERM)
    server().run("train", words, folder)
    found = unlike(folder / "results", case.whole("train"), extra=True)
    assert not found, "\n".join(found)


def test_the_step_under_way_is_finished_unless_a_second_signal_comes(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    run = server().start("train", case.words("train", "no workers"), folder, before="long_step")
    wait_for(lambda: (folder / "long").exists(), run)
    run.signal(signal.SIGTERM)
    assert not run.ended_within(3)
    before = checkpoints(folder)
    run.signal(signal.SIGTERM)
    assert run.wait(5) == CODES[signal.SIGTERM]
    assert checkpoints(folder) == before


def test_an_echo_of_the_signal_is_no_second_one(case, tmp_path):
    """Ctrl-C reaches a rank from the terminal and, as SIGTERM, from torchrun; Slurm's reaches it twice as well."""
    folder = case.folder(tmp_path / "run")
    run = server().start("train", case.words("train", "no workers"), folder, before="slow_steps")
    wait_for(lambda: steps_done(folder), run)
    run.signal(signal.SIGINT)
    time.sleep(0.02)
    run.signal(signal.SIGTERM)
    assert run.wait() in CODES.values()
    assert "--resume auto" in run.err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_all_processes_of_a_run_leaves_a_checkpoint(case, tmp_path, number):
    """A terminal sends Ctrl-C to loader processes, too, and so does Slurm with SIGTERM."""
    folder = case.folder(tmp_path / "run")
    command = [sys.executable, ROOT / "train.py", *case.words("train", "processes", "--n_epochs", "400")]
    with (folder / "err").open("wb") as err:
        run = subprocess.Popen(command, cwd=folder, stderr=err, start_new_session=True)
    with run:
        deadline = time.monotonic() + PATIENCE
        while not steps_done(folder) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(run.pid, number)
        code = run.wait(PATIENCE)
    text = (folder / "err").read_text()
    assert code == CODES[number], text
    assert text.splitlines()[-1].startswith(f"stopped by {number.name}")


@pytest.mark.parametrize("number", SIGNALS)
def test_two_ranks_stop_at_the_same_step(case, tmp_path, number):
    """Only one of them is told."""
    words, folder = case.words("train", "no workers", "--n_epochs", "400"), case.folder(tmp_path / "run")
    ranks = server().ranks(2, "train", words, folder, before="slow_steps")
    wait_for(lambda: steps_done(folder), ranks[0])
    ranks[1].signal(number)
    codes = [rank.wait(60) for rank in ranks]
    assert codes[1] == CODES[number], ranks[1].err
    assert codes[0] in CODES.values(), ranks[0].err
    assert "--resume auto" in ranks[0].err.splitlines()[-1]


@pytest.mark.slow
def test_two_stopped_ranks_go_on_to_the_same_bits(case, tmp_path):
    words = case.words("train", "no workers")
    whole = case.folder(tmp_path / "whole")
    assert [rank.wait() for rank in server().ranks(2, "train", words, whole)] == [0, 0]
    for trial, told in enumerate((0, 1, 0)):
        folder = case.folder(tmp_path / f"{trial}")
        ranks = server().ranks(2, "train", words, folder, before="slow_steps")
        wait_for(lambda top=folder: steps_done(top), ranks[0])
        time.sleep(0.15 * trial)
        ranks[told].signal(signal.SIGTERM)
        assert [rank.wait(60) for rank in ranks] == [143, 143], ranks[0].err
        again = server().ranks(2, "train", words, folder)
        assert [rank.wait() for rank in again] == [0, 0], again[0].err
        found = unlike(folder / "results", whole / "results", extra=True)
        assert not found, "\n".join(found)


@pytest.mark.slow
def test_torchrun_that_is_stopped_leaves_a_checkpoint_that_a_requeued_job_goes_on_from(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    words = case.words("train", "no workers", "--n_epochs", "400")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for start in (1, 2):
        before = set(steps_done(folder))
        with (folder / f"err{start}").open("wb") as err:
            command = [*torchrun, ROOT / "train.py", *words]
            run = subprocess.Popen(command, cwd=folder, stderr=err, start_new_session=True, env=environment)
        with run:
            deadline = time.monotonic() + PATIENCE
            while set(steps_done(folder)) <= before and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            os.killpg(run.pid, signal.SIGTERM)
            run.wait(60)
        text = (folder / f"err{start}").read_text()
        assert "stopped by SIGTERM" in text, text
        assert ("resuming" in text) == (start == 2), text
        assert list(folder.rglob(".*.part")) == []


# What docs/slurm.sbatch calls. A step is signalled as Slurm does it: torchrun and all that it started.
CLUSTER = {
    "srun": 'echo $$ > step; shift; exec "$@"',
    "torchrun": 'exec {python} -m torch.distributed.run "$@"',
    "scancel": '[ "$*" = "--signal=TERM 7" ] && kill -TERM $(cat step) $(cat /proc/$(cat step)/task/*/children)',
    "scontrol": 'if [ "$1" = requeue ]; then echo "$2" >> requeued; else echo 127.0.0.1; fi',
}


@pytest.mark.slow
def test_the_slurm_example_requeues_a_stopped_training_and_goes_on(case, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in CLUSTER.items():
        (tools / name).write_text(f"#!/bin/bash\n{text.replace('{python}', sys.executable)}\n")
        (tools / name).chmod(0o755)
    folder = case.folder(tmp_path / "run")
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2"}
    environment = os.environ | slurm | {"PATH": f"{tools}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    words = case.words("train", "no workers")
    text = ""
    for start in (1, 2):
        epochs = ["--resume_anyway"] if start == 2 else ["--n_epochs", "400"]
        command = ["bash", ROOT / "docs" / "slurm.sbatch", ROOT / "train.py", *words, *epochs]
        with (folder / f"err{start}").open("wb") as err:
            job = subprocess.Popen(command, cwd=folder, stderr=err, env=environment)
        with job:
            deadline = time.monotonic() + PATIENCE
            while start == 1 and not steps_done(folder) and job.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            if start == 1:
                job.terminate()
            code = job.wait(PATIENCE)
        text = (folder / f"err{start}").read_text()
        assert (code == 0) == (start == 2), text
        assert (folder / "requeued").read_text() == "7\n"
        assert ("stopped by SIGTERM" in text) == (start == 1), text
    assert "resuming" in text
