"""Several processes share a run: each sample once, the same result as one process, no hang."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import write_hmdb51
from hypothesis import given
from hypothesis import strategies as st
from runs import Case, assert_same_bits, one, server, wait_for

from datasets import RGB, build_loader
from datasets.loading.loader import EpochBatches
from engine import checkpoint
from engine.training.loop import evaluate
from models import Classify, load_stream
from opts import ARCHITECTURE, adopt, parse_opts

BATCHES, WORLDS = st.integers(1, 9), st.integers(1, 8)
SIZES = st.tuples(st.integers(1, 200), BATCHES, WORLDS)  # samples, samples per batch, processes
ENOUGH = st.tuples(BATCHES, WORLDS).flatmap(  # each process has a sample
    lambda sizes: st.tuples(st.integers(sizes[1], 200), *map(st.just, sizes))
)
FULL = st.tuples(BATCHES, WORLDS).flatmap(  # each process has a batch
    lambda sizes: st.tuples(st.integers(sizes[0] * sizes[1], 200), *map(st.just, sizes))
)


def batches(items: int, size: int, world: int, *, train: bool, epoch: int = 1, step: int = 0) -> list[list[list[int]]]:
    """Indices by rank and batch."""
    ranks = []
    for rank in range(world):
        own = EpochBatches(items, size, train=train, seed=3, rank=rank, world=world)
        own.epoch, own.step = epoch, step
        made = list(own)
        assert len(made) == len(own) - step
        assert all(address[0] == epoch for batch in made for address in batch)
        ranks.append([[index for _, index in batch] for batch in made])
    return ranks


def data_words(root: Path) -> list[str]:
    """Words of a tree in HMDB51's layout."""
    return ["--frame_dir", str(root / "frames"), "--annotation_path", str(root / "labels")]


def flat(ranks: list[list[list[int]]]) -> list[int]:
    return [index for rank in ranks for batch in rank for index in batch]


@given(WORLDS.flatmap(lambda world: st.tuples(st.integers(1, world), BATCHES, st.just(world + 1))))
def test_fewer_training_samples_than_processes_are_refused(sizes):
    items, size, world = sizes
    with pytest.raises(ValueError, match=f"{items} training videos"):
        batches(items, size, world, train=True)


@given(ENOUGH, st.integers(1, 50))
def test_in_training_no_sample_comes_twice_in_an_epoch(sizes, epoch):
    items, size, world = sizes
    ranks = batches(items, size, world, train=True, epoch=epoch)
    assert len({len(rank) for rank in ranks}) == 1  # or one rank would wait for the others for ever
    assert len({len(batch) for rank in ranks for batch in rank}) == 1
    assert max(Counter(flat(ranks)).values()) == 1
    assert set(flat(ranks)) <= set(range(items))
    width = len(ranks[0][0]) * world
    assert items - len(flat(ranks)) < width  # only what fills no batch of all ranks is left out


@given(FULL, st.integers(1, 50))
def test_a_batch_of_all_ranks_is_that_of_one_process_with_larger_batches(sizes, epoch):
    items, size, world = sizes
    ranks = batches(items, size, world, train=True, epoch=epoch)
    (alone,) = batches(items, size * world, 1, train=True, epoch=epoch)
    together = [[index for rank in ranks for index in rank[i]] for i in range(len(ranks[0]))]
    assert together == alone


@given(ENOUGH, st.data())
def test_an_epoch_goes_on_from_any_step(sizes, data):
    items, size, world = sizes
    whole = batches(items, size, world, train=True)
    step = data.draw(st.integers(0, len(whole[0])))
    assert batches(items, size, world, train=True, step=step) == [rank[step:] for rank in whole]


@given(SIZES)
def test_in_evaluation_every_sample_comes_once(sizes):
    items, size, world = sizes
    ranks = batches(items, size, world, train=False)
    assert sorted(flat(ranks)) == list(range(items))
    assert all(len(batch) <= size for rank in ranks for batch in rank)
    lengths = [len(rank) for rank in ranks]
    assert max(lengths) - min(lengths) <= 1


def trained(case: Case, folder, world: int, script: str = "train", *more: str):
    """The folder of a run of several ranks, each of which notes its videos."""
    words = case.words(script, "no workers", *more)
    server().group(world, script, words, case.folder(folder), before="note_videos")
    return folder


def validated(case: Case, folder, path, *more: str) -> dict[str, float]:
    """Validate a checkpoint in one process."""
    words = case.words("train", "no workers", *more)
    opt = parse_opts([word if word != "results" else str(folder / "results") for word in words])
    state = checkpoint.load(path)
    model = load_stream(adopt(opt, state, ARCHITECTURE), RGB, state, str(path))
    return evaluate(Classify(model), build_loader(opt, "val"), torch.device("cpu"))


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_train_together_on_each_video_once_an_epoch(case, tmp_path, world):
    folder = case.pair() if world == 2 else trained(case, tmp_path / "run", world)
    seen = [(folder / f"videos.{rank}").read_text().splitlines() for rank in range(world)]
    assert max(Counter(line for rank in seen for line in rank).values()) == 1
    assert len({len(rank) for rank in seen}) == 1
    assert len(one(folder, "metrics.jsonl").read_text().splitlines()) == 3
    state = checkpoint.load(one(folder, "*varLR3.pth"))
    assert len(state["rng"]) == world


@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="ema"),
        pytest.param(("--ema", "0", "--iter_size", "2", "--save_steps", "1"), id="plain", marks=pytest.mark.slow),
    ],
)
def test_the_validation_of_all_ranks_is_that_of_the_checkpoint(case, tmp_path, more):
    """Running statistics differ between ranks, and only those of rank 0 are saved."""
    folder = trained(case, tmp_path / "run", 2, "train", *more) if more else case.pair()
    path = one(folder, "*varLR3.pth")
    alone = validated(case, folder, path, *more)
    for name, value in checkpoint.load(path)["metrics"].items():
        assert value == pytest.approx(alone[name], rel=1e-6), name


def test_running_statistics_are_those_of_each_rank_within_an_epoch(case):
    lines = [(case.pair() / f"statistics.{rank}").read_text().splitlines() for rank in range(2)]
    same = [one == other for one, other in zip(*lines, strict=True)]
    assert same[0]  # all begin alike
    assert not any(same[1 : len(same) // 3])


@pytest.mark.slow
def test_a_rank_without_validation_batches_waits_for_none_though_gpus_take_nothing_of_a_cpu(case, tmp_path):
    """A validation batch for three ranks; steps are of two batches, and every one is looked at and saved."""
    data = data_words(write_hmdb51(tmp_path / "data", classes=("catch", "run"), train=9, test=1))
    words = case.words("train", "no workers", "--val_fraction", "0", "--n_epochs", "2", "--save_steps", "2")
    more = [*data, "--batch_size", "2", "--iter_size", "2", "--max_bad", "1"]
    server().group(3, "train", [*words, *more], case.folder(tmp_path / "run"), before="like_gpus")
    rows = one(tmp_path / "run", "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2]
    state = checkpoint.load(one(tmp_path / "run", "*varLR2.pth"))
    assert (state["epoch"], state["step"], len(state["rng"])) == (3, 0, 3)


@pytest.mark.slow
def test_students_are_distilled_by_several_ranks_with_balanced_losses(case, tmp_path):
    folder = trained(case, tmp_path / "run", 3, "STS_train", "--balance", "ce=1", "mse=1", "dkd=0.5")
    assert len(one(folder, "metrics.jsonl").read_text().splitlines()) == 3
    factors = checkpoint.load(one(folder, "*3.pth"))["balance"]
    assert factors["ce"] == 1
    assert factors["mse"] != 1


@pytest.mark.slow
def test_frozen_layers_are_trained_by_several_ranks(case, tmp_path):
    more = ("--pretrain_path", str(case.best()), "--ft_begin_index", "4", "--freeze_BN")
    folder = trained(case, tmp_path / "run", 2, "train", *more)
    assert len(one(folder, "metrics.jsonl").read_text().splitlines()) == 3


def test_fewer_videos_than_ranks_are_refused_by_all(case, tmp_path):
    data = data_words(write_hmdb51(tmp_path / "data", classes=("run",), train=1, test=1))
    ranks = server().ranks(2, "train", [*case.words("train", "no workers"), *data], tmp_path / "run")
    assert [rank.wait() for rank in ranks] == [2, 2]
    assert "1 training videos are fewer than the 2 processes" in ranks[0].err


SCRIPTS = ("test_single_stream", "test_two_stream")


def scored(case: Case, folder, script: str, world: int = 1, batch: int = 4, workers: int = 0) -> dict[str, np.ndarray]:
    """Scores of a test by several ranks."""
    words = [*data_words(case.data), "--resume_path1", case.best(), "--scores_path", "scores.npz", "--device", "cpu"]
    words += ["--result_path", "results", "--clips_per_batch", batch, "--n_workers", workers]
    if script == "test_two_stream":
        words += "--modality RGB_Flow --resume_path2 flow.pth --fusion softmax --clip_mean after".split()
    start = server().run if world == 1 else partial(server().group, world)
    start(script, words, case.folder(folder))
    printed = "".join(path.read_text() for path in folder.glob("*.out"))
    assert printed.count("Video accuracy") == 1
    with np.load(folder / "scores.npz") as scores:
        return dict(scores)


@pytest.fixture(scope="module")
def alone(case, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("alone")
    return {script: scored(case, folder / script, script) for script in SCRIPTS}


# Every pair of values.
SHARES = [(1, 1, 2), (1, 7, 0), (2, 1, 0), (2, 4, 2), (2, 7, 2), (3, 1, 2), (3, 4, 0), (3, 7, 2)]
FUSED_SHARES = [(2, 1, 2), (3, 7, 0)]


@pytest.mark.parametrize(
    ("script", "share"),
    [
        *((script, (2, 4, 0)) for script in SCRIPTS),
        *(pytest.param(SCRIPTS[0], share, marks=pytest.mark.slow) for share in SHARES),
        *(pytest.param(SCRIPTS[1], share, marks=pytest.mark.slow) for share in FUSED_SHARES),
    ],
)
def test_scores_depend_on_neither_ranks_nor_batches_nor_workers(case, alone, tmp_path, script, share):
    """A share is the number of ranks, of clips in a batch, and of workers; any two of their values meet in one."""
    together = scored(case, tmp_path / "run", script, *share)
    assert together.keys() == alone[script].keys()
    assert len(set(together["video"].tolist())) == len(together["video"]) == 6
    assert together["logits"].shape[:2] == (1 + (script == "test_two_stream"), 6)
    for name, values in alone[script].items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(together[name], values, rtol=0, atol=1e-6, err_msg=name)
        elif values.dtype.kind == "i" or name in ("video", "streams", "class_names", "about"):
            assert together[name].tolist() == values.tolist(), name


@pytest.mark.slow
def test_a_rank_without_a_video_waits_for_none(case, tmp_path):
    """Two test clips and three ranks."""
    write_hmdb51(tmp_path / "data", classes=("brush_hair", "cartwheel", "catch"), train=1, test=0)
    for file in (tmp_path / "data" / "labels").iterdir():
        if "catch" not in file.name:
            file.write_text(file.read_text().replace(" 1 ", " 2 "))
    words = [*data_words(tmp_path / "data"), "--resume_path1", case.best()]
    sampling = "--test_sampling spaced --num_clips 1 --device cpu --n_workers 0".split()
    server().group(3, "test_single_stream", [*words, *sampling], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train", "test_single_stream"])
def test_an_error_of_one_rank_ends_all(case, tmp_path, script):
    """The last video, which one of them has to read, is damaged."""
    write_hmdb51(tmp_path / "data", train=5, test=2)
    for image in (tmp_path / "data" / "frames" / "catch").glob("film[36]*/0*.jpg"):
        image.write_bytes(b"no image")
    words = [*data_words(tmp_path / "data"), *"--device cpu --n_workers 0 --layout sts --clips_per_batch 1".split()]
    start = ["--resume_path1", case.best()] if script.startswith("test") else case.words("train", "no workers")
    ranks = server().ranks(2, script, [*start, *words], tmp_path / "run")
    codes = [rank.wait() for rank in ranks]
    assert 2 in codes
    assert 0 not in codes


@pytest.mark.slow
def test_a_killed_rank_is_not_waited_for_and_the_run_goes_on_to_the_same_bits(case, tmp_path):
    folder = case.folder(tmp_path / "run")
    words = case.words("train", "no workers")
    ranks = server().ranks(2, "train", words, folder, before="slow_steps")
    wait_for(lambda: list(folder.rglob("*2_step2.pth")), ranks[0])
    ranks[1].signal(9)
    assert ranks[1].wait() == -9
    ranks[0].signal(9)  # torchrun would
    ranks[0].wait()
    server().group(2, "train", words, folder)
    assert_same_bits(folder / "results", case.pair() / "results")
