"""Networks: the contract of every entry of MODELS, and the published numbers of ResNeXt-101."""

import re
from argparse import Namespace

import pytest
import torch
from helpers import REFERENCE, fill, options, reference, small
from small_tasks import make_batch, relative_error, with_statistics
from torch import nn

from models import build_model, create_model, inference_ready, load_stream, parameter_groups
from models.backbones import resnet, resnext
from models.backbones.contract import without_numbers
from models.layers.residual import ZeroPadShortcut
from models.weights import load_weights

DEPTHS = [("resnet", depth) for depth in resnet.DEPTHS] + [("resnext", depth) for depth in resnext.DEPTHS]


@pytest.mark.parametrize(("model", "depth"), DEPTHS)
def test_all_depths_build(model, depth):
    with torch.device("meta"):
        network = build_model(options(model, depth), 3, 5)
    assert without_numbers(network, (3, 4, 16, 16)).logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet", {"depth": 60}, "--model resnet has --model_depth [10, 18, 34, 50, 101, 152, 200], not 60"),
        ("resnet2p1d", {"depth": 60}, "--model resnet2p1d has --model_depth"),
        ("resnext", {"depth": 18}, "--model resnext has --model_depth [50, 101, 152], not 18"),
        ("c3d", {"width": 0.001}, "--width 0.001 leaves no channel: use at least 0.015625"),
        ("resnext", {"depth": 50, "width": 0.1}, "--width 0.1 leaves a group without a channel"),
        ("resnet", {"depth": 10, "width": 0.001}, "--width 0.001 leaves no channel"),
        ("resnet", {"depth": 10, "shortcut": "C"}, "--resnet_shortcut must be one of A, B"),
        ("resnet", {"depth": 10, "conv1_t_size": 4}, "--conv1_t_size must be odd"),
        ("resnet2d", {"temporal": "lstm"}, "temporal=lstm: choose one of none, tam, tsm"),
        ("googlenet", {"temporal": "tsm"}, "temporal=tsm: choose one of none, tam"),
        ("resnet2d", {"temporal": "tsm", "mix_every": 0}, "mix_every=0: must be >= 1"),
        ("resnet2d", {"temporal": "tam", "blend_frames": 1}, "blend_frames=1: TAM blends at least two frames"),
        ("resnet2d", {"temporal": "tam", "blend_method": "mean"}, "blend_method=mean: choose one of sum, max"),
        ("i3d", {"pooling": "min"}, "pooling=min: choose one of max, avg"),
        ("i3d", {"version": 3}, "version=3: choose 1 or 2"),
        ("i3d", {"dropout": 1.0}, "dropout=1.0: must be in"),
        ("i3d_resnet", {"depth": 19}, "--model i3d_resnet has --model_depth [18, 34, 50, 101, 152], not 19"),
        ("s3d_resnet", {"depth": 18, "width": 0.001}, "--width 0.001 leaves no channel"),
        ("s3d", {"width": 0.3}, "--width 0.3: Inception networks have multiples of 0.0625"),
        ("googlenet", {"width": 0.03}, "--width 0.03: Inception networks have multiples of 0.0625"),
    ],
)
def test_impossible_networks_name_the_option(name, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        create_model(name, 3, 5, **arguments)


def test_shortcut_a_subsamples_and_appends_zeros():
    x = torch.randn(2, 3, 5, 6, 7, requires_grad=True)
    y = ZeroPadShortcut(5, 2)(x)
    assert y.shape == (2, 5, 3, 3, 4)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2, ::2])
    assert not y[:, 3:].any()
    y.sum().backward()
    assert x.grad.sum() == y[:, :3].numel()


@pytest.mark.parametrize("model", ["resnet", "resnext", "resnet2p1d"])
def test_every_part_of_a_network_with_shortcut_a_learns_and_is_folded(model):
    network = small(model, resnet_shortcut="A")
    network(torch.randn(2, 3, 8, 32, 32)).features["avgpool"].square().sum().backward()
    silent = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == {"fc.weight", "fc.bias"}
    trained, batch = with_statistics(model, resnet_shortcut="A").eval(), make_batch("flow", clips=2)
    ready = inference_ready(trained, group_width=4)
    with torch.inference_mode():
        expected, out = trained(batch), ready(batch)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in ready.modules())
    assert relative_error(out.logits, expected.logits) < 1e-5
    assert all(relative_error(out.features[name], feature) < 1e-5 for name, feature in expected.features.items())


def test_resnext101_has_the_names_and_shapes_of_the_published_weights():
    with torch.device("meta"):
        network = build_model(options("resnext", 101, width=1.0), 3, 51)
    lines = (REFERENCE / "resnext101_keys.txt").read_text().splitlines()
    published = [tuple(line.split("\t")) for line in lines if not line.startswith("#")]
    own = [(k, str(tuple(v.shape)), str(v.dtype).removeprefix("torch.")) for k, v in network.state_dict().items()]
    assert own == published
    assert sum(p.numel() for p in network.parameters()) == 47_625_715


@pytest.mark.parametrize(
    ("channels", "classes", "shortcut", "parameters"),
    [(3, 400, "B", 48_340_816), (3, 51, "A", 44_849_139)],
)
def test_resnext101_has_the_published_size(channels, classes, shortcut, parameters):
    with torch.device("meta"):
        network = build_model(options("resnext", 101, width=1.0, resnet_shortcut=shortcut), channels, classes)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_published_checkpoint_loads_and_gives_the_published_logits():
    opt = options("resnext", 101, width=1.0)
    with torch.device("meta"):
        names_and_shapes = build_model(opt, 3, 51).state_dict()
    checkpoint = fill.sts_checkpoint(fill.fill(names_and_shapes))
    model = load_stream(opt, Namespace(name="rgb", channels=3, mean=(0,) * 3, std=(1,) * 3), checkpoint, "file").eval()
    clips = torch.randn(2, 3, 16, 112, 112, generator=torch.Generator().manual_seed(7)) * 50
    expected = reference("forward.pth")["resnext101_3ch"]
    with torch.inference_mode():
        out = model({"rgb": clips})
    torch.testing.assert_close(out.logits, expected["logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.features["avgpool"], expected["avgpool"], atol=1e-4, rtol=0)
    for layer in ("layer3", "layer4"):
        mean = out.features[layer].mean((2, 3, 4))
        torch.testing.assert_close(mean, expected[f"{layer}_mean"], atol=1e-4, rtol=1e-4)


def test_weights_load_without_num_batches_tracked():
    network = small("resnet")
    old = {f"module.{k}": v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    other = small("resnet")
    load_weights(other, old, "old.pth")
    assert torch.equal(other.fc.weight, network.fc.weight)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"num_classes": 7}, "7 classes.*--n_classes"),
        ({"in_channels": 2}, "2 input channels.*--modality"),
        ({"width": 0.25}, "--width"),
        ({"model_depth": 18}, "another network.*--model_depth"),
    ],
)
def test_weights_that_do_not_fit_say_why(made, words):
    weights = small("resnet", **made).state_dict()
    with pytest.raises(ValueError, match=f"bad.pth: .*{words}"):
        load_weights(small("resnet"), weights, "bad.pth")


@pytest.mark.parametrize(
    ("begin", "tensors", "parameters"),
    [(1, 311, 47.56), (2, 281, 47.33), (3, 242, 45.98), (4, 32, 16.42), (5, 2, 0.10)],
)
def test_fine_tuning_groups_are_those_of_the_published_checkpoints(begin, tensors, parameters):
    with torch.device("meta"):
        network = build_model(options("resnext", 101, width=1.0), 3, 51)
    groups = parameter_groups(network, begin, 0.001)
    assert len(groups) == 314
    assert all(len(group["params"]) == 1 for group in groups)
    trained = [group["params"][0] for group in groups if group["lr"]]
    assert len(trained) == tensors
    assert sum(p.numel() for p in trained) / 1e6 == pytest.approx(parameters, abs=0.01)
    assert all(p.requires_grad for p in trained)
    assert sum(p.requires_grad for p in network.parameters()) == tensors
