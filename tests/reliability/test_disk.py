"""Full disks, losses that are no numbers, two runs in one folder: what a run made before is never lost."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from runs import Case, Run, assert_same_bits, checkpoints, server, wait_for

from engine import checkpoint

DISK, NON_FINITE, INPUT = 5, 3, 2
needs_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a small disk")


def goes_on_to_the_same_bits(case: Case, script: str, folder: Path) -> None:
    server().run(script, case.words(script, "no workers"), folder)
    assert_same_bits(folder / "results", case.whole(script))


@needs_root
@pytest.mark.parametrize(("script", "room"), [("train", 2.4), pytest.param("STS_train", 3.4, marks=pytest.mark.slow)])
def test_on_a_full_disk_the_last_checkpoint_stays_whole(case, tmp_path, script, room):
    folder = case.folder(tmp_path / "run")
    run = on_a_disk(case, script, "no workers", folder, room)
    assert run.wait() == DISK, run.err
    assert re.fullmatch(r"error: no space left: results/.+", run.err.splitlines()[-1])
    assert readable(folder)
    goes_on_to_the_same_bits(case, script, folder)


@needs_root
@pytest.mark.slow
def test_a_disk_may_be_full_at_any_moment(case, tmp_path):
    """The run goes on whenever the disk has been made somewhat larger."""
    folder, codes, kept = case.folder(tmp_path / "run"), [], []
    for eighths in range(7, 48, 4):
        run = on_a_disk(case, "train", "threads", folder, eighths / 8)
        codes.append(run.wait())
        assert codes[-1] in (0, DISK), run.err
        kept.append(readable(folder))
    assert (codes[0], codes[-1]) == (DISK, 0)
    assert kept[0] == 0
    assert_same_bits(folder / "results", case.whole("train"))


def on_a_disk(case: Case, script: str, workers: str, folder: Path, room: float) -> Run:
    """A run whose results lie on a disk of so many times a checkpoint."""
    largest = max(path.stat().st_size for path in checkpoints(case.whole(script)))
    environment = {"DISK": int(room * largest)}
    return server().start(script, case.words(script, workers), folder, environment=environment, before="small_disk")


def readable(folder: Path) -> int:
    """Number of checkpoints that a run left, all of which can be read; nothing half-written lies beside them."""
    for path in (kept := checkpoints(folder / "results")):
        checkpoint.load(path)
    assert list(folder.rglob(".*.part")) == []
    return len(kept)


def assert_all_finite(folder: Path) -> None:
    """There are checkpoints, and all their weights are numbers."""
    found = checkpoints(folder / "results")
    assert found
    for path in found:
        assert all(torch.isfinite(tensor).all() for tensor in checkpoint.load(path)["state_dict"].values())


@pytest.mark.parametrize("script", ["train", pytest.param("STS_train", marks=pytest.mark.slow)])
def test_a_loss_that_is_no_number_ends_the_run_and_names_the_batch(case, tmp_path, script):
    folder = case.folder(tmp_path / "run")
    run = server().start(script, case.words(script, "no workers"), folder, before="not_finite")
    assert run.wait() == NON_FINITE, run.err
    last = run.err.splitlines()[-1]
    assert re.match(r"error: .*\bnan\b.* epoch 2\b.* step 1\b", last), last
    assert len(re.findall(r"film\d_\w+", last)) == 2  # the videos of the batch
    assert_all_finite(folder)
    goes_on_to_the_same_bits(case, script, folder)


@pytest.mark.parametrize("before", ["rarely_looked_at", pytest.param("endless_gradient", marks=pytest.mark.slow)])
def test_weights_that_are_no_numbers_are_never_saved(case, tmp_path, before):
    """A checkpoint is due after the 8th step: nobody has looked at the loss of the 7th, or seen that of the 9th."""
    folder = case.folder(tmp_path / "run")
    run = server().start("train", case.words("train", "no workers"), folder, before=before)
    assert run.wait() == NON_FINITE, run.err
    last = run.err.splitlines()[-1]
    assert re.match(r"error: .* epoch 2/3, step 2\b", last), last
    assert ("film" in last) == (before == "rarely_looked_at")
    assert_all_finite(folder)
    goes_on_to_the_same_bits(case, "train", folder)


def test_a_huge_learning_rate_ends_with_exit_code_3(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    run = server().start("train", case.words("train", "no workers", "--learning_rate", "1e9"), folder)
    assert run.wait() == NON_FINITE, run.err
    assert "--learning_rate" in run.err.splitlines()[-1]
    for path in checkpoints(folder / "results"):
        checkpoint.load(path)


def test_a_second_run_in_a_folder_is_refused_unless_it_is_of_another_stream(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    first = server().start("train", words, folder, before="slow_steps")
    wait_for(lambda: checkpoints(folder / "results"), first)
    second = server().start("train", words, folder)
    other = server().start("train", [*words, "--modality", "Flow", "--n_epochs", "1"], folder)
    assert second.wait() == INPUT, second.err
    assert f"pid {first.pid}" in second.err.splitlines()[-1]
    assert (other.wait(), first.wait()) == (0, 0), other.err
    for path in folder.rglob("*_Flow_*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert_same_bits(folder / "results", case.whole("train"))


@pytest.mark.slow
def test_the_lock_of_a_killed_run_is_no_obstacle(case, tmp_path):
    words, folder = case.words("train", "no workers"), case.folder(tmp_path / "run")
    for owner in ("4194300", "one", ""):
        before = set(checkpoints(folder / "results"))
        run = server().start("train", words, folder)
        wait_for(lambda seen=before: set(checkpoints(folder / "results")) - seen, run)
        run.signal(signal.SIGKILL)
        run.wait()
        (lock,) = folder.rglob(".lock")
        lock.write_text(owner)
    goes_on_to_the_same_bits(case, "train", folder)
