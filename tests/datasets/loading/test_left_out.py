"""Damaged videos that training leaves out (`--max_bad`): neither resuming nor several processes lose count of them."""

import shutil
from pathlib import Path

import pytest
import torch
from runs import Case, Run, checkpoints, one, server, unlike
from torch import nn

from datasets import build_dataset
from datasets.loading.loader import EpochBatches
from engine import checkpoint
from engine.training.loop import Epoch, train_one_epoch
from engine.training.schedules import Schedule, Warmup
from engine.training.stepper import Stepper
from opts import parse_opts
from sts_common import counted

CPU = torch.device("cpu")
EVERY_BATCH = "--save_steps 1 --keep 99 --sample_size 64".split()  # one clip of 32 pixels has no variance in layer4
EPOCH, BATCH, WORLD = 2, 2, 2  # where nothing can be read, batches from 0; ranks


class Linear(nn.Module):
    """Learns, and counts the batches that it learns from."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 3), 0

    def forward(self, batch):
        self.seen += 1
        logits = self.layer(batch["x"])
        return {"loss": nn.functional.cross_entropy(logits, batch["label"]), "logits": logits}


def fed(counts: list[int], iter_size: int = 1) -> tuple[Linear, Stepper, list[int]]:
    """A task that has gone through batches of so many samples, and after which of them a step was done."""
    task, done = Linear(), []
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1, momentum=0.9)
    stepper = Stepper(task, optimizer, Schedule(optimizer, Warmup()), iter_size=iter_size)
    batches = [{"x": torch.ones(n, 2), "label": torch.zeros(n, dtype=torch.long)} if n else empty() for n in counts]
    train_one_epoch(task, batches, stepper, CPU, Epoch(after_step=lambda step, look: done.append(step)))
    return task, stepper, done


def empty() -> dict[str, torch.Tensor]:
    return {"label": torch.empty(0, dtype=torch.long)}


def test_a_batch_of_nothing_is_counted_but_teaches_nothing():
    torch.manual_seed(0)
    task, stepper, done = fed([2, 0, 2])
    assert (task.seen, stepper.schedule.steps, done) == (2, 3, [1, 2, 3])
    torch.manual_seed(0)
    other, _, _ = fed([2, 2])
    assert torch.equal(task.layer.weight, other.layer.weight)


@pytest.mark.parametrize("counts", [[2, 0, 0, 0, 2], [0, 2, 2, 2, 0]])
def test_a_step_of_several_batches_ends_where_it_would_with_all_of_them(counts):
    task, stepper, done = fed(counts, iter_size=2)
    assert (stepper.schedule.steps, done, stepper.pending) == (3, [2, 4, 5], 0)
    assert all(parameter.grad is None for parameter in task.parameters())


def test_a_batch_of_fewer_clips_than_a_loss_needs_is_left_out_and_named(caplog):
    batch = {"x": torch.ones(1, 2), "label": torch.zeros(1, dtype=torch.long)}
    task = Linear()
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    stepper = Stepper(task, optimizer, Schedule(optimizer, Warmup()))
    whole = {"x": torch.ones(2, 2), "label": torch.zeros(2, dtype=torch.long)}
    train_one_epoch(task, [whole, batch], stepper, CPU, Epoch(least_clips=2))
    assert task.seen == 1
    assert caplog.messages == ["train, batch 2: left out with 1 readable video"]


def test_an_epoch_of_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"train: no training video could be read; utils1/audit\.py"):
        fed([0, 0])


def indices(case: Case, epoch: int, batch: int, world: int, rank: int) -> tuple[list[str], list[int]]:
    """Names of all training videos, and which of them make up a batch."""
    opt = parse_opts(case.words("train", "no workers"))
    videos = build_dataset(opt, "train").videos
    order = EpochBatches(len(videos), opt.batch_size, train=True, seed=opt.manual_seed, rank=rank, world=world)
    order.epoch = epoch
    return [video.name for video in videos], [index for _, index in list(order)[batch]]


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> tuple[Case, set[str]]:
    """Data in which all videos of one batch are damaged, those of one process and of the first of two; their names."""
    case = Case(tmp_path_factory.mktemp("left_out"))
    names: set[str] = set()
    for world in (1, WORLD):
        all_names, chosen = indices(case, EPOCH, BATCH, world, 0)
        names |= {all_names[index] for index in chosen}
    for name in names:
        for image in (case.data / "frames" / name).glob("0*.jpg"):
            image.write_bytes(b"no image")
    return case, names


def words(case: Case, most: int, *more: str, script: str = "train", workers: str = "no workers") -> list[str]:
    return case.words(script, workers, *EVERY_BATCH, "--layout", "sts", "--max_bad", str(most), *more)


@pytest.fixture(scope="module")
def whole(bad) -> Path:
    """The results of a run that nothing else happens to."""
    case, names = bad
    run = server().run("train", words(case, len(names)), case.folder(case.root / "whole_bad"))
    assert run.err.count("left out of training, bad video") == len(names)
    return run.folder / "results"


def at(results: Path, epoch: int, step: int, folder: Path) -> Path:
    """Return the log of a run that was killed after this batch of this epoch."""
    shutil.copytree(results, folder / "results")
    for path in checkpoints(folder / "results"):
        state = checkpoint.load(path)
        if "best" not in path.name and (state["epoch"], state["step"]) > (epoch, step):
            path.unlink()
    return folder


def goes_on(
    case: Case, results: Path, position: tuple[int, int], folder: Path, given: list[str], world: int = 1
) -> Run:
    """The run goes on from there to the same bits."""
    at(results, *position, case.folder(folder))
    ranks = server().ranks(world, "train", given, folder) if world > 1 else [server().start("train", given, folder)]
    assert [rank.wait() for rank in ranks] == [0] * world, "\n".join(rank.err for rank in ranks)
    assert f"resuming {one(folder, f'*varLR{position[0]}_step{position[1]}.pth').relative_to(folder)}" in ranks[0].err
    found = unlike(folder / "results", results)
    assert not found, "\n".join(found)
    return ranks[0]


def test_the_damaged_batch_is_really_one(bad, whole):
    case, names = bad
    all_names, chosen = indices(case, EPOCH, BATCH, 1, 0)
    assert {all_names[index] for index in chosen} <= names
    before, after = (checkpoint.load(one(whole, f"*varLR2_step{step}.pth")) for step in (BATCH, BATCH + 1))
    assert after["averages"] == before["averages"]
    assert after["scheduler"]["steps"] == before["scheduler"]["steps"] + 1


@pytest.mark.parametrize(
    ("epoch", "step", "workers"),
    [
        (EPOCH, BATCH, "no workers"),
        pytest.param(EPOCH, BATCH + 1, "threads", marks=pytest.mark.slow),
        pytest.param(3, 1, "no workers", marks=pytest.mark.slow),
        pytest.param(EPOCH, BATCH, "processes", marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_to_the_same_bits_before_and_after_a_batch_that_cannot_be_read(
    bad, whole, tmp_path, epoch, step, workers
):
    case, names = bad
    run = goes_on(case, whole, (epoch, step), tmp_path / "run", words(case, len(names), workers=workers))
    if epoch == 3:  # all were met before: they are named once
        assert f"left out before, {counted(len(names), 'bad training video')}: " in run.err
        assert "left out of training, bad video" not in run.err


def test_bad_videos_are_counted_on_over_a_resumption(bad, whole, tmp_path):
    case, names = bad
    state = checkpoint.load(one(whole, "*varLR3.pth"))
    assert set(state["left_out"]) == names
    assert len(state["left_out"]) == len(names)
    folder = at(whole, 3, 1, case.folder(tmp_path / "run"))
    run = server().start("train", words(case, len(names) - 1), folder)
    assert run.wait() == 2, run.err
    assert f"{len(names)} training videos cannot be read, --max_bad {len(names) - 1}" in run.err.splitlines()[-1]


def shared(case: Case, folder: Path, given: list[str]) -> list[Run]:
    """Ranks that have ended."""
    ranks = server().ranks(WORLD, "train", given, case.folder(folder), before="note_weights")
    for rank in ranks:
        rank.wait(60)
    return ranks


def weights(folder: Path, rank: int) -> list[str]:
    return (folder / f"weights.{rank}").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("iter_size", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_a_rank_that_can_read_nothing_of_a_batch_neither_hangs_nor_parts_from_the_others(bad, tmp_path, iter_size):
    """With 3 batches a step it is the last of them, after which gradients are shared."""
    case, names = bad
    given = words(case, len(names), "--iter_size", iter_size)
    ranks = shared(case, tmp_path / "run", given)
    assert [rank.code for rank in ranks] == [0] * WORLD, "\n".join(rank.err for rank in ranks)
    noted = [weights(tmp_path / "run", rank) for rank in range(WORLD)]
    assert noted[0] == noted[1]
    batches = [sum(line.startswith(f"{epoch} ") for line in noted[0]) for epoch in (1, EPOCH, 3)]
    assert batches[1] < max(batches)  # both have left it out
    assert set(checkpoint.load(one(tmp_path / "run", "*varLR3.pth"))["left_out"]) == names


@pytest.mark.slow
def test_ranks_with_bad_videos_go_on_to_the_same_bits(bad, tmp_path):
    case, names = bad
    given = words(case, len(names))
    assert [rank.code for rank in shared(case, tmp_path / "whole", given)] == [0] * WORLD
    goes_on(case, tmp_path / "whole" / "results", (EPOCH, BATCH), tmp_path / "run", given, WORLD)


def test_ranks_count_bad_videos_together(bad, tmp_path):
    """Each of them meets fewer in the first epoch than are allowed."""
    case, names = bad
    most = len(names) - 1
    for rank in range(WORLD):
        met = [indices(case, 1, batch, WORLD, rank) for batch in range(3)]
        assert len(names & {all_names[index] for all_names, chosen in met for index in chosen}) <= most
    ranks = shared(case, tmp_path / "run", words(case, most, "--n_epochs", "1"))
    codes = [rank.code for rank in ranks]
    assert 2 in codes, codes
    assert 0 not in codes, codes
    assert f"--max_bad {most} allows no more" in "".join(rank.err for rank in ranks)
