"""Pooling in a fixed order gives the values and gradients of torch's."""

from functools import reduce

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from waits import GPU, on_gpu

from engine import setup
from models.layers import pooling
from models.layers.pooling import AvgPool3d, MaxPool3d, maxima, means

SHAPES = [(2, 3, 4, 6, 6), (1, 2, 1, 5, 7), (1, 1, 3, 1, 2), (2, 2, 8, 9, 4)]


@pytest.fixture
def deterministic():
    setup(1, "cpu", deterministic=True)


def both(ours, theirs, shape):
    results = []
    for run in (ours, theirs):
        x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        out = run(x)
        (out * torch.arange(out.numel()).view(out.shape)).sum().backward()
        results.append((out, x.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (2, 2, 1), (3, 1, 1), (1, 1, 0)])
def test_maxima_are_those_of_max_pooling(shape, kernel, stride, padding):
    both(lambda x: maxima(x, kernel, stride, padding), lambda x: F.max_pool3d(x, kernel, stride, padding), shape)


@pytest.mark.parametrize("unordered", [False, True])  # as on a GPU
@pytest.mark.parametrize(("ours", "theirs"), [(MaxPool3d, F.max_pool3d), (AvgPool3d, F.avg_pool3d)])
@pytest.mark.parametrize(
    "sizes", [((3, 3, 3), (2, 2, 2), (1, 1, 1)), ((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((3, 1, 1), (2, 1, 1), (1, 0, 0))]
)
def test_poolings_are_those_of_torch_whatever_their_order(sizes, ours, theirs, unordered, monkeypatch):
    monkeypatch.setattr(pooling, "is_unordered", lambda x: unordered)
    both(ours(*sizes), lambda x: theirs(x, *sizes), (2, 3, 5, 6, 7))


def test_a_map_may_be_smaller_than_the_box_of_its_mean():
    assert AvgPool3d((3, 3, 3), (2, 2, 2), (1, 1, 1))(torch.full((1, 1, 1, 1, 1), 27.0)) == 1  # as many zeros beyond


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cells", [1, 2, 3, 4])
def test_means_are_those_of_adaptive_pooling(shape, cells):
    grid = tuple(min(cells, size) for size in shape[2:])
    both(lambda x: means(x, grid), lambda x: F.adaptive_avg_pool3d(x, grid), shape)


def picked(x, kernel, stride, padding):
    """The same from parts that an index picks, whose gradients are sorted before they are added up on GPUs."""
    for axis in (2, 3, 4):
        padded = F.pad(x, [0, 0] * (4 - axis) + [padding, padding], value=float("-inf"))
        steps = (padded.shape[axis] - kernel) // stride + 1
        index = torch.arange(0, (steps - 1) * stride + 1, stride)
        x = reduce(torch.maximum, (padded.index_select(axis, index + i) for i in range(kernel)))
    return x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("geometry", [(3, 2, 1), (2, 2, 1), (3, 1, 1), (1, 1, 0)])
def test_maxima_of_slices_have_the_bits_of_picked_ones(shape, geometry):
    results = []
    for pool in (maxima, picked):
        x = torch.randint(3, shape, generator=torch.Generator().manual_seed(0)).float().requires_grad_()  # many ties
        out = pool(x, *geometry)
        out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(1)))
        results.append((out, x.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_maxima_pick_nothing_by_an_index():
    with on_gpu() as gpu:
        maxima(torch.empty(2, 3, 4, 6, 6, device=GPU), 3, 2, 1)
    assert gpu.launched == {"constant_pad_nd": 3, "maximum": 6}


def test_equal_maxima_share_the_gradient():
    x = torch.zeros(1, 1, 1, 1, 4, requires_grad=True)
    maxima(x, 3, 2, 1).sum().backward()
    assert x.grad.sum() == 2
    assert (x.grad > 0).sum() > 2


@pytest.mark.usefixtures("deterministic")
def test_where_order_is_asked_for_torchs_pooling_is_not_called(monkeypatch):
    monkeypatch.setattr(pooling, "is_unordered", lambda x: torch.are_deterministic_algorithms_enabled())  # as on a GPU
    monkeypatch.setattr(F, "max_pool3d", lambda *_, **__: pytest.fail("max_pool3d"))
    monkeypatch.setattr(F, "adaptive_avg_pool3d", lambda *_, **__: pytest.fail("adaptive_avg_pool3d"))
    network = small("resnet")
    assert isinstance(network.maxpool, MaxPool3d)
    network(torch.randn(2, 3, 4, 16, 16)).logits.sum().backward()
    pooling.grid_means(torch.randn(1, 1, 4, 4, 4), (2, 2, 2))


@pytest.mark.parametrize("size", [3, 5, 8])
def test_interpolation_by_a_matrix_is_torchs(size, monkeypatch):
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    results = []
    for is_unordered in (False, True):
        monkeypatch.setattr(pooling, "is_unordered", lambda x, answer=is_unordered: answer)
        out = pooling.interpolate(x, size)
        results.append((out, torch.autograd.grad(out.square().sum(), x)[0]))
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.usefixtures("deterministic")
def test_on_a_cpu_nothing_changes():
    x = torch.randn(2, 3, 4, 16, 16)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(MaxPool3d(3, 2, 1)(x), F.max_pool3d(x, 3, 2, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.usefixtures("deterministic")
def test_a_step_on_a_gpu_has_the_same_bits_every_time():
    runs = []
    for _ in range(3):
        torch.manual_seed(0)
        network = small("resnext").cuda().to(memory_format=torch.channels_last_3d)
        network(torch.randn(4, 3, 8, 32, 32, device="cuda")).logits.logsumexp(1).sum().backward()
        runs.append([p.grad for p in network.parameters()])
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
