"""Segments of a clip: their consensus (TSN), and the encodings of their maps (TLE) against what defines them."""

import pytest
import torch
import torch.nn.functional as F
from helpers import words_for
from torch import Tensor

import test_single_stream
import train
from datasets import RGB
from engine import checkpoint
from models import StreamNetwork, create_model, frozen_norms, load_stream, parameter_groups
from models.analysis.gradcam import evidence
from models.backbones.consensus import Bilinear, FullyConnected, LinearEncoding, TensorSketch, product
from models.inference.speed import inference_ready
from opts import parse_opts

NETWORKS = {
    "resnet": {"depth": 10, "width": 0.125},
    "resnet2d": {"depth": 18, "width": 0.125},
    "vgg": {"depth": 13, "width": 0.0625},
}


def network_of(name: str, **segments):
    torch.manual_seed(0)
    return create_model(name, 3, 5, **NETWORKS[name], **segments).eval()


def clips(length: int = 6) -> Tensor:
    return torch.randn(2, 3, length, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_consensus_is_of_the_logits_of_segments(name):
    plain = network_of(name)
    with torch.inference_mode():
        each = torch.stack([plain(part).logits for part in clips().split(2, 2)])
        average, largest = (network_of(name, segments=3, consensus=kind) for kind in ("average", "max"))
        torch.testing.assert_close(average(clips()).logits, each.mean(0))
        torch.testing.assert_close(largest(clips()).logits, each.amax(0))
        weighted = network_of(name, segments=3, consensus="weights")
        torch.testing.assert_close(weighted(clips()).logits, each.mean(0))
        weighted.consensus.weights.copy_(torch.tensor([0.1, 0.7, 0.2]).log())
        share = torch.tensor([0.1, 0.7, 0.2]).view(3, 1, 1)
        torch.testing.assert_close(weighted(clips()).logits, (share * each).sum(0))
    assert average.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("consensus", ["average", "max", "weights", "tle_bilinear", "tle_sketch", "tle_fc"])
@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_of_clips_and_the_logits_have_gradients_there(name, consensus):
    network = network_of(name, segments=3, consensus=consensus, encoding_size=64).train()
    out = network(clips())
    assert out.logits.shape == (2, 5)
    for feature, values in out.features.items():
        assert values.shape[:2] == (2, network.feature_channels[feature])
        if values.dim() == 5:
            assert values.shape[2] % 3 == 0
            assert torch.autograd.grad(out.logits.square().sum(), values, retain_graph=True)[0].any(), feature
    if consensus != "max":
        torch.testing.assert_close(network.classify(out.features["avgpool"]), out.logits)
    out.logits.square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert network.stage_of("consensus.weights") == network.stage_of(f"{network.classifier}.weight")


@pytest.mark.parametrize("consensus", ["weights", "tle_sketch", "tle_fc"])
def test_checkpoints_state_their_segments(consensus):
    network = network_of("resnet2d", segments=3, consensus=consensus, encoding_size=64)
    state = {"state_dict": network.state_dict(), "network": network.origin, "recipe": {}}
    again = load_stream(parse_opts([]), RGB, state, "x.pth").network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(clips(3)).logits, network(clips(3)).logits)


def test_segments_are_an_option_and_clips_are_as_long_as_they_need():
    opt = parse_opts("--model resnet2d --model_depth 18 --width 0.125 --segments 3 --consensus max".split())
    assert (opt.sample_duration, opt.train_sampling) == (3, "segments")
    network = train.start_stream(opt, RGB, {}, "", 5, resuming=False).network
    assert (network.segments, network.origin["args"]["consensus"]) == (3, "max")
    assert parse_opts("--model resnet --model_depth 10 --segments 3".split()).sample_duration == 48
    with pytest.raises(ValueError, match=r"--segments 3: the clip has 4 time steps.*--sample_duration"):
        network(clips(4))
    with pytest.raises(ValueError, match="--segments 0: a clip has at least one"):
        network_of("resnet2d", segments=0)


def test_an_encoding_may_follow_on_what_was_trained_with_another_consensus():
    trained = network_of("vgg", segments=3)
    state = {"state_dict": trained.state_dict(), "network": trained.origin, "recipe": {}}
    words = "--model vgg --consensus tle_sketch --pretrain_path x.pth"
    model = train.start_stream(parse_opts(words.split()), RGB, state, "x.pth", 7, resuming=False)
    assert (model.network.segments, model.network.get_classifier().weight.shape) == (3, (7, 8192))
    assert torch.equal(model.network.features[0].weight, trained.features[0].weight)
    encoded = {"state_dict": model.network.state_dict(), "network": model.network.origin, "recipe": {}}
    with pytest.raises(ValueError, match=r"have no fc.0.weight"):
        back = parse_opts("--model vgg --consensus average --pretrain_path y.pth".split())
        train.start_stream(back, RGB, encoded, "y.pth", 7, resuming=False)


def test_grad_cam_and_folding_know_segments():
    model = StreamNetwork(network_of("resnet", segments=2, consensus="tle_sketch", encoding_size=64), RGB).eval()
    batch = {"rgb": torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8)}
    assert evidence(model, batch, layer="layer1").maps.shape[1] == 4
    with torch.inference_mode():
        torch.testing.assert_close(inference_ready(model)(batch).logits, model(batch).logits, rtol=1e-3, atol=1e-4)


def maps_of(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).relu()


def finish(x: Tensor) -> Tensor:
    x = x / (x.abs() + 1e-6).sqrt()
    return x / x.norm(dim=1, keepdim=True)


def outer_products(maps: Tensor, encoder: Bilinear) -> Tensor:
    """The mean of outer products, place by place."""
    rows = maps.flatten(2)
    places = [torch.stack([torch.outer(v, v) for v in rows[:, :, p]]).flatten(1) for p in range(rows.shape[2])]
    return torch.stack(places).mean(0)


def sketches(maps: Tensor, encoder: TensorSketch) -> Tensor:
    """The count sketch of the outer product: its value at (i, j) is added, with its sign, to the bin h(i) + h(j)."""
    whole = outer_products(maps, encoder).unflatten(1, (maps.shape[1], -1))
    bins = [maps.new_zeros(len(maps)) for _ in range(encoder.size)]
    for i in range(maps.shape[1]):
        for j in range(maps.shape[1]):
            bin_ = int(encoder.hashes[0, i] + encoder.hashes[1, j]) % encoder.size
            bins[bin_] = bins[bin_] + float(encoder.signs[0, i] * encoder.signs[1, j]) * whole[:, i, j]
    return torch.stack(bins, 1)


def cells(maps: Tensor, encoder: FullyConnected) -> Tensor:
    halves = [[maps[..., a : a + 2, b : b + 2].mean((2, 3, 4)) for b in (0, 2)] for a in (0, 2)]
    grid = torch.stack([torch.stack(row, -1) for row in halves], -2)
    return F.linear(grid.flatten(1), encoder.fc.weight.double(), encoder.fc.bias.double())


@pytest.mark.parametrize(
    ("encoder", "defined"),
    [(Bilinear(4), outer_products), (TensorSketch(4, 11), sketches), (FullyConnected(4, 6), cells)],
    ids=["bilinear", "sketch", "fc"],
)
def test_encodings_are_what_defines_them_forwards_and_backwards(encoder, defined):
    maps, upstream = maps_of(2, 4, 6, 4, 4).requires_grad_(), torch.randn(2, encoder.size).double()
    fused = product(maps, 3)
    parts = [p / p.square().mean((1, 2, 3, 4), keepdim=True).sqrt() for p in maps.unflatten(2, (3, 2)).unbind(2)]
    plain = parts[0] * parts[1] * parts[2]
    plain = plain / plain.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    torch.testing.assert_close(fused, plain)
    got, expected = encoder(fused), finish(defined(plain, encoder))
    torch.testing.assert_close(got, expected)
    gradients = [torch.autograd.grad((y * upstream).sum(), maps, retain_graph=True)[0] for y in (got, expected)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].any()


def test_sketches_keep_the_similarity_of_outer_products():
    a, b = maps_of(8, 16, 1, 3, 3), maps_of(8, 16, 1, 3, 3).flip(0)
    exact, sketch = Bilinear(16), TensorSketch(16, 4096)
    wanted = (exact.pool(a) * exact.pool(b)).sum(1)
    torch.testing.assert_close((sketch.pool(a) * sketch.pool(b)).sum(1), wanted, rtol=0.1, atol=0)


def test_hashes_are_fixed_kept_and_drawn_apart():
    state = torch.get_rng_state()
    first, second = TensorSketch(8, 32), TensorSketch(8, 32)
    assert torch.equal(state, torch.get_rng_state())
    assert list(first.state_dict()) == ["hashes", "signs"]
    assert torch.equal(first.hashes, second.hashes)
    assert not torch.equal(first.hashes[0], first.hashes[1])


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_products_of_many_maps_neither_vanish_nor_overflow_and_autocast_leaves_them_alone(size):
    def encode(maps: Tensor) -> Tensor:
        return LinearEncoding(3, "last", TensorSketch(4, 16))({"last": maps}, lambda x: x).logits

    maps = maps_of(2, 4, 3, 4, 4).float()
    torch.testing.assert_close(encode(maps * size), encode(maps), rtol=1e-3, atol=1e-4)
    half = maps.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encode(half), encode(half.float()).bfloat16())
    gradient = torch.autograd.grad(encode(maps.requires_grad_()).sum(), maps)[0]
    assert gradient.isfinite().all()
    assert encode(torch.zeros(1, 4, 3, 4, 4)).eq(0).all()


@pytest.mark.parametrize(
    "maps", [torch.zeros(2, 4, 3, 2, 2), torch.eye(3)[None, :, :, None, None].expand(2, 3, 3, 1, 1)]
)
def test_segments_that_share_no_active_unit_leave_gradients_finite(maps):
    """Behind a ReLU the product of their maps is often zero throughout."""
    maps = maps.clone().requires_grad_()
    encoding = LinearEncoding(3, "last", TensorSketch(maps.shape[1], 16))
    encoding({"last": maps}, lambda x: x).logits.sum().backward()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize("affine", [False, True])
def test_partial_batch_norm_keeps_all_but_the_first(affine):
    network = network_of("resnet2d", segments=3)
    kept = {id(m) for m in frozen_norms(network, 0, partial=True, affine=affine)}
    norms = {n: m for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert [n for n, m in norms.items() if id(m) not in kept] == ["bn1"]
    parameter_groups(network, 0, 0.1)
    assert [n for n, m in norms.items() if m.weight.requires_grad] == (["bn1"] if affine else list(norms))
    parameter_groups(network, 1, 0.1)
    assert norms["layer4.0.bn1"].bias.requires_grad != affine


@pytest.mark.slow
def test_a_network_of_images_is_trained_and_tested_on_stacks_of_flow_in_segments(hmdb51, tmp_path):
    words = words_for(hmdb51, tmp_path, network=())
    images = "--model resnet2d --model_depth 18 --width 0.125 --sample_size 32 --modality Flow --segments 2".split()
    more = "--model_args flow_stack=2 --consensus tle_sketch --partial_BN --freeze_affine".split()
    train.main(parse_opts([*words, *images, *more, "--learning_rate", "0.01"]))
    path = next(tmp_path.rglob("*_best.pth"))
    state = checkpoint.load(path)
    assert state["options"]["segments"] == 2
    assert state["network"]["args"]["consensus"] == "tle_sketch"
    words = words_for(hmdb51, tmp_path, network=(), script="test_single_stream.py")
    test_single_stream.main(parse_opts([*words, "--modality", "Flow", "--resume_path1", str(path)]))
    assert list(tmp_path.rglob("*.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("consensus", ["average", "max", "tle_bilinear"])
def test_segments_are_exported_for_any_batch(consensus):
    network = network_of("resnet2d", segments=3, consensus=consensus)
    program = torch.export.export(network, (clips(3),), dynamic_shapes=({0: torch.export.Dim("clips", min=1, max=64)},))
    five = torch.cat([clips(3), clips(3), clips(3)[:1]])
    torch.testing.assert_close(program.module()(five).logits, network(five).logits, rtol=1e-4, atol=1e-5)
