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
from runs import OPTIONS, PATIENCE, ROOT, WORKERS, Run, assert_same_bits, checkpoints, one, server, wait_for

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


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


CASES = [(script, workers) for script in OPTIONS for workers in WORKERS]


@pytest.mark.parametrize(
    ("script", "workers"),
    [case if case == ("train", "no workers") else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_stopped_at_any_moment_a_run_goes_on_to_the_same_bits(case, tmp_path, script, workers):
    """It is stopped by SIGTERM, and after it has gone on by SIGINT."""
    rng, folder = random.Random(f"{script} {workers}"), case.folder(tmp_path / "run")
    words = case.words(script, workers)
    for number in CODES:
        before = set(steps_done(folder))
        run = server().start(script, words, folder, before="slow_steps")
        wait_for(lambda seen=before: set(steps_done(folder)) - seen, run)
        time.sleep(rng.uniform(0, 0.25))
        assert stop(run, number).is_file()
    again = server().run(script, words, folder)
    assert "resuming" in again.err
    assert_same_bits(folder / "results", case.whole(script), extra=True)


@pytest.mark.slow
def test_stopped_while_it_validates_a_run_repeats_that(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    run = server().start("train", words, folder, before="long_validation")
    wait_for(lambda: (folder / "long").exists(), run)
    stop(run, signal.SIGTERM)
    server().run("train", words, folder)
    assert_same_bits(folder / "results", case.whole("train"), extra=True)


@pytest.mark.slow
def test_the_step_under_way_is_finished_unless_a_second_signal_comes(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    run = server().start("train", case.words("train", "no workers"), folder, before="long_step")
    wait_for(lambda: (folder / "long").exists(), run)
    run.signal(signal.SIGTERM)
    assert not run.ended_within(2.5)
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


def test_two_ranks_stop_at_the_same_step(case, tmp_path):
    """Only one of them is told."""
    words, folder = case.words("train", "no workers", "--n_epochs", "400"), case.folder(tmp_path / "run")
    ranks = server().ranks(2, "train", words, folder, before="slow_steps")
    wait_for(lambda: steps_done(folder), ranks[0])
    ranks[1].signal(signal.SIGTERM)
    assert [rank.wait() for rank in ranks] == [143, 143], ranks[1].err
    assert "--resume auto" in ranks[0].err.splitlines()[-1]


@pytest.mark.slow
def test_two_stopped_ranks_go_on_to_the_same_bits(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    for rank, number in ((0, signal.SIGTERM), (1, signal.SIGINT), (1, signal.SIGTERM)):
        before = set(steps_done(folder))
        ranks = server().ranks(2, "train", words, folder, before="slow_steps")
        wait_for(lambda seen=before: set(steps_done(folder)) - seen, ranks[0])
        ranks[rank].signal(number)
        codes = [rank.wait() for rank in ranks]
        assert codes[rank] == CODES[number], ranks[rank].err
        assert set(codes) <= set(CODES.values()), ranks[0].err
    server().group(2, "train", words, folder)
    assert_same_bits(folder / "results", case.pair() / "results", extra=True)


# What docs/slurm.sbatch calls. A step is signalled as Slurm does it: torchrun and all that it started.
CLUSTER = {
    "srun": 'echo $$ > step; shift; exec "$@"',
    "torchrun": 'exec {python} -m torch.distributed.run "$@"',
    "scancel": '[ "$*" = "--signal=TERM 7" ] && kill -TERM $(cat step) $(cat /proc/$(cat step)/task/*/children)',
    "scontrol": 'if [ "$1" = requeue ]; then echo "$2" >> requeued; else echo 127.0.0.1; fi',
}


@pytest.mark.slow
def test_the_slurm_example_requeues_a_stopped_training_and_goes_on(case, tmp_path):
    """With the real torchrun, which passes on the signal that its ranks are sent as well."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in CLUSTER.items():
        (tools / name).write_text(f"#!/bin/bash\n{text.replace('{python}', sys.executable)}\n")
        (tools / name).chmod(0o755)
    folder = case.folder(tmp_path / "run")
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2"}
    environment = os.environ | slurm | {"PATH": f"{tools}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    words = case.words("train", "no workers")
    command = ["bash", ROOT / "docs" / "slurm.sbatch", ROOT / "train.py", *words]
    with (folder / "err").open("wb") as err:
        job = subprocess.Popen([*command, "--n_epochs", "400"], cwd=folder, stderr=err, env=environment)
    with job:
        deadline = time.monotonic() + PATIENCE
        while not steps_done(folder) and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.03)
        job.terminate()
        assert job.wait(PATIENCE) != 0
    assert "stopped by SIGTERM" in (folder / "err").read_text()
    assert (folder / "requeued").read_text() == "7\n"
    assert list(folder.rglob(".*.part")) == []
    ranks = server().group(2, "train", [*words, "--resume_anyway"], folder)
    text = "".join(rank.err for rank in ranks)
    assert text.count("resuming") == text.count("epoch 3/3") == 1  # rank 0 speaks for all
    assert len(one(folder, "metrics.jsonl").read_text().splitlines()) == 3
    (tools / "torchrun").write_text("#!/bin/bash\n")  # a training that has ended well
    assert subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode == 0
    assert (folder / "requeued").read_text() == "7\n"
