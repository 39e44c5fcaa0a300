"""1x1x1 convolutions as matrix products are the convolutions they stand for."""

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from torch import nn

from models.backbones.contract import channels_last
from models.layers.pointwise import PointwiseConv3d

LAYOUTS = (torch.contiguous_format, torch.channels_last_3d)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 6, 3, 4, 5), (1, 6, 1, 1, 1), (3, 1, 2, 2, 2), (1, 6, 4, 1, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_convolution(layout, shape, bias):
    conv = PointwiseConv3d(shape[1], 8, bias=bias).double()
    results = []
    for run in (conv, lambda x: F.conv3d(x, conv.weight, conv.bias)):
        x = torch.linspace(-1, 1, torch.Size(shape).numel()).double().reshape(shape)
        x = x.contiguous(memory_format=layout).requires_grad_()
        conv.zero_grad()
        out = run(x)
        out.square().sum().backward()
        results.append([out, x.grad, *(p.grad for p in conv.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_is_kept(layout):
    x = torch.randn(2, 6, 3, 4, 5).contiguous(memory_format=layout)
    assert PointwiseConv3d(6, 8)(x).is_contiguous(memory_format=layout)


def test_a_product_is_taken_where_channels_come_last(monkeypatch):
    monkeypatch.setattr(nn.Conv3d, "forward", lambda *_: pytest.fail("convolved"))
    PointwiseConv3d(6, 8)(torch.randn(2, 6, 3, 4, 5).contiguous(memory_format=torch.channels_last_3d))


def test_gradients_have_the_strides_that_parallel_training_wants():
    """DistributedDataParallel warns, and copies, where a gradient's strides are not those of its weights."""
    conv = PointwiseConv3d(6, 8)
    channels_last(nn.Sequential(conv))
    conv(torch.randn(2, 6, 3, 4, 5).contiguous(memory_format=torch.channels_last_3d)).sum().backward()
    assert conv.weight.grad.stride() == conv.weight.stride()


def test_weights_have_the_names_and_the_start_of_a_convolution():
    torch.manual_seed(0)
    ours = PointwiseConv3d(6, 8).state_dict()
    torch.manual_seed(0)
    theirs = nn.Conv3d(6, 8, 1).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_bottlenecks_of_resnext_are_made_of_them():
    network = small("resnext")
    wide = [m for n, m in network.named_modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (1, 1, 1)]
    assert sum(isinstance(m, PointwiseConv3d) for m in wide) == 2 * 16  # all but the four shortcuts
    assert len(wide) == 2 * 16 + 4
