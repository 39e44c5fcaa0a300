"""Devices that compute flow in an extraction: GPUs or the CPU, in batches that fit, by solvers that threads share."""

import threading
from argparse import ArgumentTypeError
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from extraction import flows, tree
from torchvision.models.optical_flow import raft_small

from flow import build_flow, encode
from sts_common.workers import SharedCounters, Worker
from utils1 import extract_frames_flows
from workflows.extracting import devices, extraction, video_folder
from workflows.extracting import shared_solvers as solvers
from workflows.extracting.devices import choose_backend, parse_gpus
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe
from workflows.extracting.shared_solvers import SharedSolver
from workflows.extracting.tasks import Tasks
from workflows.extracting.video_folder import Job, extract_video

DIS = FlowRecipe(name="dis", backend="opencv")


def test_gpus_are_numbers_or_all_or_none():
    assert [parse_gpus(text) for text in ("0", "2,0,2", "all", "cpu", "-1")] == [(0,), (2, 0), None, (), ()]
    with pytest.raises(ArgumentTypeError, match="'0,x' is not a list of GPUs like 0 or 0,1, nor all, nor cpu"):
        parse_gpus("0,x")
    opt = extract_frames_flows.parse_args(["SRC", "DST", "0", "101", "-1"])
    assert opt.gpu == ()


def test_without_cuda_any_gpu_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for gpus in ((0,), (7, 8), None, ()):
        assert choose_backend("tvl1", "auto", gpus) == ("native", ["cpu"])
    assert choose_backend("raft", "auto", (0,)) == ("torch", ["cpu"])
    assert choose_backend("dis", "auto", (0,)) == ("opencv", ["cpu"])
    with pytest.raises(ValueError, match="--backend cuda: no CUDA"):
        choose_backend("tvl1", "cuda", (0,))


def test_with_cuda_the_chosen_gpus_compute_what_they_can(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert choose_backend("tvl1", "auto", None) == ("cuda", ["cuda:0", "cuda:1", "cuda:2"])
    assert choose_backend("tvl1", "auto", (2, 0)) == ("cuda", ["cuda:2", "cuda:0"])
    assert choose_backend("raft", "auto", (1,)) == ("torch", ["cuda:1"])
    assert choose_backend("tvl1", "torch", (1,)) == ("torch", ["cuda:1"])
    assert choose_backend("tvl1", "native", (1,)) == ("native", ["cpu"])
    assert choose_backend("dis", "auto", None) == ("opencv", ["cpu"])
    assert choose_backend("tvl1", "auto", ()) == ("native", ["cpu"])
    with pytest.raises(ValueError, match="GPU 3 does not exist; there are 0 to 2"):
        choose_backend("tvl1", "auto", (0, 3))
    with pytest.raises(ValueError, match="--backend cuda: GPU is cpu"):
        choose_backend("tvl1", "cuda", ())


def test_without_a_compiler_torch_computes_and_says_why(monkeypatch, caplog):
    lacks = {"native": "no compiler: apt-get install g++", "torch": "", "cuda": "no GPU", "opencv": ""}
    monkeypatch.setattr(devices, "available", lambda name: lacks)
    assert choose_backend("tvl1", "auto", None) == ("torch", ["cpu"])
    assert caplog.messages == ["tvl1 is computed by torch, several times slower: no compiler: apt-get install g++"]


class Fake:
    """A solver of tensors: x-flow is the difference; memory is enough for `most` pairs."""

    def __init__(self, most: int) -> None:
        self.most, self.sizes = most, []

    def __call__(self, previous: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        assert (previous.device.type, previous.dtype) == ("cpu", torch.uint8)
        self.sizes.append(len(previous))
        if len(previous) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        difference = following.float() - previous.float()
        return torch.stack([difference, torch.zeros_like(difference)], -1)


def test_a_batch_that_does_not_fit_is_solved_in_parts(monkeypatch):
    fake = Fake(most=2)
    monkeypatch.setattr(FlowRecipe, "build", lambda recipe: fake)
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 6), np.uint8)
    solver = SharedSolver(FlowRecipe(backend="torch"), "cpu")
    levels = solver(images[:-1], images[1:])
    np.testing.assert_array_equal(levels[..., 0], encode(np.diff(images.astype(np.float32), axis=0)))
    assert fake.sizes == [7, 3, 1, 2, 4, 2, 2]
    fake.most = 0
    with pytest.raises(ValueError, match="the memory of cpu is too small for a pair of 6x4"):
        solver(images[:-1], images[1:])


def test_each_thread_borrows_a_solver_and_gives_it_back(monkeypatch):
    meeting, built = threading.Barrier(2), []

    def build(recipe: FlowRecipe):
        built.append(SimpleNamespace(users=0))

        def solve(previous, following, own=built[-1]):
            own.users += 1
            assert own.users == 1
            meeting.wait(60)
            own.users -= 1
            return np.zeros((*previous.shape, 2), np.float32)

        return solve

    monkeypatch.setattr(FlowRecipe, "build", build)
    solver, image = SharedSolver(DIS, "cpu"), np.zeros((1, 4, 4), np.uint8)
    with Tasks(lambda: 2, 2) as tasks:
        for _ in range(10):
            tasks.submit(solver, image, image)
    assert len(built) in (2, 3)  # as many as tasks at a time


def test_a_worker_takes_the_device_of_its_number(source, tmp_path, monkeypatch):
    used = []

    def solver_on(recipe: FlowRecipe, device: str) -> SharedSolver:
        used.append(device)
        return SharedSolver(recipe, "cpu")

    monkeypatch.setattr(video_folder, "shared_solver", solver_on)
    job = Job(source / "run" / "a.avi", 1, tmp_path / "a", Recipe(flow=DIS), ("cuda:0", "cuda:1"))
    for number in range(4):
        outcome = extract_video(job, Worker(number, SharedCounters(1, 1, 1)))
        assert outcome.counts == {"rgb": 6, "flow": 5}
    assert used == ["cuda:0", "cuda:1"] * 2


def test_raft_is_given_its_weights(source, tmp_path):
    torch.save(raft_small().state_dict(), tmp_path / "raft.pth")
    flows(source, tmp_path / "frames", "--flow=raft", f"--flow_weights={tmp_path / 'raft.pth'}", "--shard=0/3")
    assert (tmp_path / "frames" / "run" / "a" / "done").read_text() == "rgb 6\nflow 5\n"
    with pytest.raises(ValueError, match=r"raft needs trained weights, .* --flow_weights"):
        flows(source, tmp_path / "frames", "--flow=raft")


def test_a_worker_opens_no_gpu_but_its_own(source, tmp_path, monkeypatch):
    """Tensors and questions of "cuda" are of the current device, which is that of the number 0 unless it is set."""
    current, asked = ["cuda:0"], []

    @contextmanager
    def device(name):
        current.append(name)
        yield
        current.pop()

    def build(recipe: FlowRecipe):
        asked.append(("build", current[-1]))
        return build_flow("dis")

    def pairs_at_once(solver, height, width, pixels):
        asked.append(("pairs", current[-1]))
        return 33

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(FlowRecipe, "build", build)
    monkeypatch.setattr(solvers, "pairs_at_once", pairs_at_once)
    solver = SharedSolver(DIS, "cuda:1")
    image = np.zeros((1, 40, 48), np.uint8)
    solver(image, image)
    assert solver.pairs(40, 48) == 33
    assert SharedSolver(DIS, "cpu").pairs(40, 48) == 1
    assert asked == [("build", "cuda:1"), ("pairs", "cuda:1")]
    asked.clear()
    monkeypatch.setattr(extraction, "choose_backend", lambda *names: ("opencv", ["cuda:3"]))
    monkeypatch.setattr(extraction, "extract", lambda *_: Recipe(flow=DIS).records())
    extract_videos(source, tmp_path / "frames", Recipe(flow=DIS))
    assert asked == [("build", "cuda:3")]
    assert current == ["cuda:0"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_gpus_and_the_native_kernel_share_a_folder_with_the_fixed_preset(source, tmp_path, monkeypatch):
    def extract(target: str, *options: str) -> None:
        flows(source, tmp_path / target, "--flow=tvl1", "--preset=fixed", *options)

    extract("whole", "--backend=cuda")
    monkeypatch.setattr(solvers, "BATCH", 2 * 40 * 48)
    extract("parts", "--backend=cuda", "--shard=0/2", "--workers=4")
    extract("parts", "--backend=cuda", "--shard=1/2")
    assert tree(tmp_path / "whole") == tree(tmp_path / "parts")
    extract("parts", "--backend=native")
