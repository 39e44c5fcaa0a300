"""Fusion of streams."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from waits import GPU, on_gpu

from models import FUSIONS, fuse
from models.fusion import combine, stream_weights


@pytest.mark.parametrize("method", FUSIONS)
def test_every_fusion_ranks_a_case_on_which_streams_agree(method):
    logits = torch.tensor([[[4.0, 1.0, -2.0]], [[3.0, -1.0, -1.5]]])
    assert fuse(logits, method).argmax(1).tolist() == [0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("weights", [None, (0.3, 0.2, 0.7)])
def test_a_gpu_is_not_waited_for_and_a_cpu_keeps_its_bits(weights, dtype):
    activated = torch.randn(3, 40, 51, dtype=torch.float64).to(dtype)
    share = torch.tensor(stream_weights(weights, 3), dtype=dtype)
    assert torch.equal(combine(activated, weights), (activated * share[:, None, None]).sum(0))
    for method in FUSIONS:
        with on_gpu() as gpu:
            fuse(torch.empty(3, 4, 5, device=GPU, dtype=dtype), method, weights)
        assert gpu.launched["mul"] >= 1
        assert not gpu.waits


FORMULAS = {
    "activno": lambda x: x,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: 2 / (1 + np.exp(-2 * x)) - 1,
    "relu": lambda x: x * (x > 0),
    "l2": lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("method", FUSIONS)
def test_each_stream_is_activated_and_then_the_weighted_mean_is_taken(method):
    logits = torch.randn(3, 4, 5, dtype=torch.float64)
    first, second, _ = FORMULAS[method](logits.numpy())
    np.testing.assert_allclose(fuse(logits, method, [1, 2, 0]), (first + 2 * second) / 3, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(fuse(logits[:2], method), (first + second) / 2, rtol=1e-12, atol=1e-15)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=4), st.floats(0.1, 5))
def test_weights_are_relative(weights, factor):
    logits = torch.randn(len(weights), 3, 4, dtype=torch.float64)
    torch.testing.assert_close(fuse(logits, "softmax", weights), fuse(logits, "softmax", [w * factor for w in weights]))


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [math.nan, 1], [1, math.nan], [math.inf, 1]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="--fusion_weights"):
        fuse(torch.randn(2, 3, 4), weights=weights)


def test_an_unknown_fusion_lists_the_known():
    with pytest.raises(ValueError, match="activno"):
        fuse(torch.randn(2, 3, 4), "max")
