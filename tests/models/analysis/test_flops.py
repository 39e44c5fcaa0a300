"""Costs of networks: the published numbers of ResNeXt-101, and small networks counted by hand."""

import pytest
import torch
from helpers import options, small
from torch import nn

from models import build_model, parameter_groups
from models.analysis.flops import estimate


@pytest.mark.parametrize(
    ("channels", "forward", "training", "parameters"),
    [(3, 19.134, 50.793, 47_625_715), (2, 16.931, 46.387, 47_603_763)],
)
def test_resnext_101_costs_what_its_layers_add_up_to(channels, forward, training, parameters):
    with torch.device("meta"):
        network = build_model(options("resnext", 101, width=1.0), channels, 51)
    costs = estimate(network, (channels, 16, 112, 112))
    assert costs.flops_forward / 1e9 == pytest.approx(forward, abs=1e-3)
    assert costs.flops_training / 1e9 == pytest.approx(training, abs=1e-3)
    assert costs.parameters == costs.trained_parameters == parameters


def test_layers_are_counted_as_by_hand():
    network = nn.Sequential(nn.Conv3d(4, 6, 3, padding=1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24, 5))
    costs = estimate(network, (4, 2, 3, 4))
    convolution, linear = 2 * 6 * 24 * 2 * 27, 2 * 144 * 5
    assert costs.flops_forward == convolution + linear
    assert costs.flops_training == 2 * convolution + 3 * linear  # no gradient of the clip


def test_what_is_frozen_costs_no_backward_pass_and_no_memory():
    network = small("resnet")
    whole = estimate(network, (3, 8, 32, 32))
    parameter_groups(network, 5, 0.1)
    head = estimate(network, (3, 8, 32, 32))
    assert head.flops_forward == whole.flops_forward
    assert head.flops_training == head.flops_forward + 2 * network.fc.weight.numel()  # none before the classifier
    assert head.trained_parameters == sum(p.numel() for p in network.fc.parameters()) < head.parameters
    assert head.activation_bytes == 4 * network.fc.in_features


def test_memory_is_that_of_what_backward_needs():
    network = nn.Sequential(nn.Conv3d(3, 8, 1, bias=False), nn.BatchNorm3d(8), nn.ReLU(inplace=True))
    clip, maps = 3 * 4 * 16 * 16, 8 * 4 * 16 * 16
    statistics = 2 * 8 / 2  # of a batch of two
    assert estimate(network, (3, 4, 16, 16)).activation_bytes == 4 * (clip + 2 * maps + statistics)
    assert estimate(network, (3, 4, 16, 16), torch.bfloat16).activation_bytes == pytest.approx(
        2 * (clip + 2 * maps), rel=0.01
    )


def test_estimating_changes_nothing():
    network = small("resnext").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    estimate(network, (3, 4, 32, 32))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
