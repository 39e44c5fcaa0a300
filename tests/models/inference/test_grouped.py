"""Grouped convolutions in wider groups give the outputs that they gave."""

import pytest
import torch
from helpers import small
from torch import nn

from models.inference.grouped import DENSE, groups_to_join, widen_groups


@pytest.mark.parametrize(("width", "groups"), [(1, 6), (3, 6), (4, 3), (5, 3), (6, 2), (12, 1), (DENSE, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_groups_are_joined_up_to_the_width_with_zeros_and_outputs_stay(width, groups, layout):
    layer = nn.Conv3d(12, 18, 3, (1, 2, 2), 1, groups=6).double().to(memory_format=layout)
    before = layer.weight.detach().clone()
    x = torch.randn(2, 12, 3, 6, 5).double()
    wanted = layer(x)
    assert widen_groups(layer, width) == (groups < 6)
    assert layer.groups == groups
    assert layer.weight.shape == (18, 12 // groups, 3, 3, 3)
    assert layer.weight.is_contiguous(memory_format=layout)
    assert layer.weight.count_nonzero() == before.count_nonzero()
    assert layer.weight.sum().item() == pytest.approx(before.sum().item())
    torch.testing.assert_close(layer(x), wanted, rtol=1e-12, atol=1e-12)


def test_a_whole_network_gives_the_same_logits():
    network = small("resnext").eval()
    x = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        wanted = network(x).logits
        assert widen_groups(network, 4) == 3 + 4  # groups of layer1 are one channel wide, of layer2 two, of layer3 four
        torch.testing.assert_close(network(x).logits, wanted, rtol=1e-4, atol=1e-5)
        assert widen_groups(network, 4) == 0


def test_groups_that_are_wide_already_and_dense_layers_stay():
    assert groups_to_join(nn.Conv3d(64, 64, 1, groups=2), 16) == 1
    assert widen_groups(nn.Conv3d(8, 8, 3), DENSE) == 0


def test_a_width_below_one_is_refused():
    with pytest.raises(ValueError, match="groups of 0 channels"):
        widen_groups(nn.Conv3d(8, 8, 3, groups=2), 0)
