"""The networks of IBM's Action Recognition Study: its weights' names, its values, its published sizes and costs."""

import json
import logging
import lzma
import re

import pytest
import torch
from helpers import REFERENCE, fill, reference

from datasets import FLOW, RGB
from datasets.streams import RGB_DIFF
from models import create_model, estimate, load_stream
from models.backbones import network_named
from models.layers.temporal import Blend, Shift
from models.pretrained import start_from
from models.weights import origin_of
from opts import as_trained, parse_opts

KEYS = json.loads(lzma.decompress((REFERENCE / "study_keys.json.xz").read_bytes()))
SMALL = {
    "resnet2d": {"depth": 18, "width": 0.125},
    "googlenet": {"width": 0.0625},
    "i3d": {"width": 0.0625},
    "s3d": {"width": 0.0625},
    "i3d_resnet": {"depth": 18, "width": 0.0625},
    "s3d_resnet": {"depth": 18, "width": 0.0625},
}
THREE_D = [name for name in SMALL if name not in ("resnet2d", "googlenet")]


def some_slow(names, quick: str) -> list:
    """The names as parameters, all but those that a pattern finds slow."""
    return [pytest.param(n, marks=[] if re.search(quick, n) else [pytest.mark.slow]) for n in names]


def shapes_of(network) -> dict[str, list[int]]:
    state = network.state_dict()
    return {name: list(x.shape) for name, x in state.items() if not name.endswith("num_batches_tracked")}


def on_meta(arch: str, classes: int = 87):
    named = network_named(arch)
    with torch.device("meta"):
        return create_model(named["name"], 3, classes, **named["args"])


@pytest.mark.parametrize("arch", some_slow(KEYS, "resnet-18|i3d_v2|dw-t-conv"))
def test_names_and_shapes_are_those_of_the_study(arch):
    assert shapes_of(on_meta(arch, KEYS[arch]["fc.bias"][0])) == KEYS[arch]


@pytest.mark.slow
@pytest.mark.parametrize("key", reference("study.pth"))
def test_logits_are_those_of_the_study(key):
    published = reference("study.pth")[key]
    named = network_named(published["arch"])
    network = create_model(named["name"], 3, 11, **named["args"]).eval()
    network.load_state_dict(fill.fill(network.state_dict()))
    clips = torch.randn(2, 3, named["frames"], 64, 64, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        torch.testing.assert_close(network(clips).logits, published["logits"], atol=1e-4, rtol=0)


# By network of 87 classes: parameters, and multiply-adds of 8 frames at 224 without and with temporal stride, of the
# repository (benchmark_mini.md).
PUBLISHED = {
    "inception-v1": (5_689_079, 11_978_817_536, 6_521_725_952),
    "TAM-b3-sum-inception-v1": (5_706_503, 12_047_006_720, 6_570_863_936),
    "resnet-18": (11_221_143, 14_508_490_752, 7_520_780_288),
    "TAM-b3-sum-resnet-18": (11_225_559, 14_530_768_896, 7_535_155_712),
    "resnet-50": (23_686_295, 32_697_090_048, 14_135_984_128),
    "TAM-b3-sum-resnet-50": (23_725_655, 32_831_963_136, 14_213_054_464),
    "s3d": (7_992_503, 19_778_626_560, 12_264_670_208),
    "s3d-resnet-18": (15_425_559, 21_329_215_488, 12_125_732_864),
    "s3d-resnet-50": (27_485_079, 39_517_814_784, 19_672_203_264),
    "i3d": (12_376_439, 33_573_614_592, 21_411_353_600),
    "i3d-resnet-18": (33_210_903, 43_217_190_912, 22_472_425_472),
    "i3d-resnet-50": (46_339_607, 64_180_322_304, 29_460_135_936),
}


@pytest.mark.parametrize("arch", some_slow(PUBLISHED, "resnet-18"))
def test_parameters_and_multiply_adds_are_the_published_ones(arch):
    parameters, *counts = PUBLISHED[arch]
    for name, count in zip((f"{arch}-f8", f"{arch}-tp-max-f8"), counts, strict=True):
        network = on_meta(name)
        costs = estimate(network, (3, 8, 224, 224))
        assert costs.parameters == parameters
        assert costs.flops_forward // 2 - network.get_classifier().weight.numel() == count  # convolutions alone


def small(name: str, stream=RGB, **arguments):
    torch.manual_seed(0)
    return create_model(name, stream.channels, 5, **SMALL[name] | arguments)


VARIANTS = [
    ("resnet2d", {"temporal": "tam", "temporal_stride": True}),
    ("resnet2d", {"temporal": "tam", "blend_frames": 4, "blend_method": "max", "blend_full": True}),
    ("resnet2d", {"temporal": "tsm", "temporal_stride": True, "pooling": "avg"}),
    ("googlenet", {"temporal": "tam", "blend_frames": 5, "temporal_stride": True, "pooling": "avg"}),
    ("i3d", {"pooling": "avg"}),
    ("i3d", {"temporal_stride": False, "version": 1}),
    ("s3d", {"pooling": "avg", "dw_t_conv": True}),
    ("s3d", {"temporal_stride": False}),
    ("i3d_resnet", {"temporal_stride": False}),
    ("i3d_resnet", {}),
    ("s3d_resnet", {"dw_t_conv": True}),
]


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_any_length_and_shape_goes_or_is_refused_in_a_line_and_every_weight_learns(name, arguments):
    network = small(name, **arguments)
    shortest = 5 if name == "s3d" and arguments.get("temporal_stride", True) else 2
    for frames, height, width in ((1, 32, 32), (3, 33, 48), (23, 40, 24)):
        clips = torch.randn(2, 3, frames, height, width)
        if frames < shortest and (name == "s3d" or arguments.get("version") == 1):
            with pytest.raises(ValueError, match=rf"of {frames} time steps .* take {shortest} or more"):
                network(clips)
            continue
        out = network(clips)
        assert out.logits.isfinite().all()
    out.logits.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_small_clip_is_refused_where_the_last_pooling_is_not_padded():
    with pytest.raises(ValueError, match=r"--sample_size 16: .* take 17 or more"):
        small("s3d")(torch.randn(2, 3, 8, 24, 16))
    assert small("s3d")(torch.randn(2, 3, 8, 17, 17)).logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "arguments", "steps"),
    [
        ("resnet2d", {"temporal_stride": True}, [7, 4, 2, 1]),
        ("resnet2d", {}, [7, 7, 7, 7]),
        ("googlenet", {"temporal_stride": True}, [4, 2, 1]),
        ("i3d", {}, [4, 2, 1]),
        ("i3d", {"temporal_stride": False}, [7, 7, 7]),
        ("i3d", {"temporal_stride": False, "version": 1}, [7, 7, 6]),
        ("s3d", {}, [4, 2, 1]),
        ("s3d", {"temporal_stride": False}, [7, 7, 6]),
        ("i3d_resnet", {}, [7, 4, 2, 1]),
        ("s3d_resnet", {"temporal_stride": False}, [7, 7, 7, 7]),
    ],
)
def test_time_steps_are_halved_before_stages_or_nowhere(name, arguments, steps):
    network = small(name, **arguments)
    features = network(torch.randn(2, 3, 7, 32, 32)).features
    assert [x.shape[2] for feature, x in features.items() if feature in network.stages] == steps


@pytest.mark.parametrize("method", ["sum", "max"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_tam_blends_each_frame_with_those_about_it(count, full, method):
    torch.manual_seed(0)
    layer = Blend(4, count, method, full)
    clips = torch.randn(2, 4, 6, 3, 5)
    weights = [x.weight[..., 0, 0] for x in (part.fc1 for part in layer.layers())]
    expected = torch.zeros_like(clips)
    for t in range(6):
        terms = []
        for i, weight in enumerate(weights):
            at = t + i - count // 2
            frame = clips[:, :, at] if 0 <= at < 6 else torch.zeros_like(clips[:, :, 0])
            terms.append(torch.einsum("oi,nihw->nohw", weight if full else weight[:, 0].diag(), frame))
        expected[:, :, t] = torch.stack(terms).sum(0) if method == "sum" else torch.stack(terms).amax(0)
    torch.testing.assert_close(layer(clips), expected.relu())


def test_tsm_shifts_an_eighth_of_the_channels_either_way():
    clips = torch.arange(1.0, 6).view(1, 1, 5, 1, 1).expand(1, 16, 5, 1, 1)
    shifted = Shift()(clips)[0, :, :, 0, 0]
    assert shifted[:2].tolist() == [[2, 3, 4, 5, 0]] * 2
    assert shifted[2:4].tolist() == [[0, 1, 2, 3, 4]] * 2
    assert shifted[4:].tolist() == [[1, 2, 3, 4, 5]] * 12
    assert torch.equal(Shift()(clips[:, :7]), clips[:, :7])


def test_a_branch_sees_other_frames_and_its_shortcut_does_not():
    network = small("resnet2d", temporal="tsm").eval()
    block = network.layer1[0]
    torch.nn.init.zeros_(block.bn2.weight)
    maps = torch.randn(8, 8, 4, 4)
    torch.testing.assert_close(block(maps, 4), maps.relu())
    still, frames = small("resnet2d").eval(), torch.randn(2, 3, 4, 32, 32)
    assert not torch.allclose(network(frames).logits, network(frames.flip(2)).logits)
    torch.testing.assert_close(still(frames).logits, still(frames.flip(2)).logits)


FILES = {  # published or of training, and what each is
    "K400-I3D-ResNet-50-f32.pth.tar": ("i3d_resnet", {"depth": 50, "temporal_stride": False}, 32),
    "SSV2-TAM-ResNet-101-f32.pth.tar": (
        "resnet2d",
        {"depth": 101, "temporal_stride": False, "temporal": "tam", "blend_full": False},
        32,
    ),
    "mini_st2stv2-rgb-TAM-b5-max-allc-inception-v1-ts-avg-f16-multisteps-syncbn-bs36-e35": (
        "googlenet",
        {"temporal_stride": True, "pooling": "avg", "temporal": "tam", "blend_full": True, "blend_frames": 5}
        | {"blend_method": "max"},
        16,
    ),
    "kinetics400-rgb-s3d-dw-t-conv-ts-max-f8": (
        "s3d",
        {"temporal_stride": True, "pooling": "max", "dw_t_conv": True},
        8,
    ),
    "mini_st2stv2-TSN-b3-sum-resnet-18-f8-cosine-bs72-e75": ("resnet2d", {"depth": 18, "temporal_stride": False}, 8),
    "st2stv2-i3d-tp-max-f64-multisteps": ("i3d", {"temporal_stride": True, "pooling": "max", "version": 1}, 64),
    "s3d-resnet-34-dw-t-conv-ts-f8": ("s3d_resnet", {"depth": 34, "temporal_stride": True, "dw_t_conv": True}, 8),
}


@pytest.mark.parametrize("name", FILES)
def test_names_of_the_study_say_what_a_network_is(name):
    model, args, frames = FILES[name]
    assert network_named(name) == {"name": model, "args": args, "frames": frames}


@pytest.mark.parametrize("name", ["resnet-50", "resnext-101", "r3d50_K_200ep.pth", "i3d", "rgb_resnet152", "", "x-f8"])
def test_names_of_others_say_nothing(name):
    assert network_named(name) == {}


def stored(name: str, prefix: str = "module.", **arguments) -> dict:
    """Weights as the study's training stores them."""
    weights = {f"{prefix}{key}": x for key, x in fill.fill(small(name, **arguments).state_dict()).items()}
    return {"epoch": 75, "state_dict": weights, "best_top1": 50.0, "optimizer": {}, "scheduler": {}}


@pytest.mark.parametrize("by", some_slow(["arch", "file"], "arch"))
@pytest.mark.parametrize(
    ("arch", "name", "arguments"),
    [
        ("mini_st2stv2-rgb-i3d-resnet-18-f8-cosine-bs72-e75", "i3d_resnet", {"temporal_stride": False}),
        ("mini_st2stv2-rgb-s3d-resnet-18-dw-t-conv-ts-f8-cosine-bs72-e75", "s3d_resnet", {"dw_t_conv": True}),
        ("mini_st2stv2-rgb-i3d_v2-ts-avg-f8-cosine-bs72-e75", "i3d", {"pooling": "avg"}),
        ("mini_st2stv2-rgb-s3d-f8-cosine-bs72-e75", "s3d", {"temporal_stride": False}),
        ("mini_st2stv2-rgb-TAM-b5-max-allc-resnet-18-ts-max-f8", "resnet2d", {"temporal": "tam", "blend_frames": 5}
         | {"blend_method": "max", "blend_full": True, "temporal_stride": True}),
        ("mini_st2stv2-rgb-TAM-b3-sum-inception-v1-f8", "googlenet", {"temporal": "tam"}),
    ],
)  # fmt: skip
def test_weights_of_the_study_load_and_no_option_says_what_they_are(arch, name, arguments, by, caplog):
    state = stored(name, **arguments) | ({"arch": arch} if by == "arch" else {})
    source = "model_best.pth.tar" if by == "arch" else f"there/{arch}.pth.tar"
    origin = origin_of(state, source)
    assert origin["name"] == name
    expected = SMALL[name] | arguments
    assert {key: origin["args"].get(key) for key in expected} == expected
    with caplog.at_level(logging.INFO):
        model = load_stream(parse_opts(["--width", str(SMALL[name]["width"])]), RGB, state, source)
    assert model.network.origin["name"] == name
    assert "written as IBM's Action Recognition Study write it" in caplog.text
    assert ("it is assumed: --model_args pooling=max" in caplog.text) == (name == "s3d")  # without stride none is named
    assert "temporal_stride=" not in caplog.text
    assert model.normalisation["mean"][0] == pytest.approx(123.675 if "resnet" in arch else 127.5)
    network, clips = small(name, **arguments).eval(), torch.randn(1, 3, 8, 32, 32)
    network.load_state_dict(fill.fill(network.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(model.network.eval()(clips).logits, network(clips).logits)


def published_tsm(every: int, channels: int = 3):
    """A network as TSM's authors compute it, of torchvision's layers, and what they store of it.

    It sees images (N * 4, channels, H, W), of clips of four, and gives the logits of each.
    """
    from torchvision.models import resnet18

    network = resnet18(num_classes=7).eval()
    network.conv1 = torch.nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    fill.fill(network.state_dict())

    def shift(module, inputs):
        x = inputs[0].unflatten(0, (-1, 4))  # clips, frames, channels
        y, part = x.clone(), x.shape[2] // 8
        y[:, :, : 2 * part] = 0
        y[:, :3, :part] = x[:, 1:, :part]
        y[:, 1:, part : 2 * part] = x[:, :3, part : 2 * part]
        return (y.flatten(0, 1),)

    names = {name: f"base_model.{name}" for name in network.state_dict()}
    for stage in (f"layer{i}" for i in (1, 2, 3, 4)):
        for i, block in enumerate(network.get_submodule(stage)):
            if i % every == 0:
                block.conv1.register_forward_pre_hook(shift)
                names[f"{stage}.{i}.conv1.weight"] = f"base_model.{stage}.{i}.conv1.net.weight"
    names |= {f"fc.{part}": f"new_fc.{part}" for part in ("weight", "bias")}
    weights = {f"module.{names[name]}": x for name, x in network.state_dict().items()}
    return network, {"epoch": 45, "arch": "resnet18", "state_dict": weights, "best_prec1": 50.0, "optimizer": {}}


@pytest.mark.parametrize("every", [1, 2])
def test_weights_of_tsm_load_and_give_its_logits(every, caplog):
    caplog.set_level(logging.INFO)
    published, state = published_tsm(every)
    args = origin_of(state, "theirs.pth")["args"]
    assert (args["depth"], args["temporal"], args.get("mix_every", 1)) == (18, "tsm", every)
    model = load_stream(parse_opts([]), RGB, state, "theirs.pth")
    assert "theirs.pth: written as the authors of TSM write it" in caplog.text
    assert model.normalisation["mean"] == pytest.approx([123.675, 116.28, 103.53])
    clips = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        expected = published(clips.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 4)).mean(1)
        torch.testing.assert_close(model.network.eval()(clips).logits, expected, atol=1e-5, rtol=1e-4)


def test_names_of_its_files_say_which_clips_tsm_sees():
    name = "TSM_kinetics_{}_resnet18_shift8_blockres_avg_segment8_e{}.pth"
    _, rgb = published_tsm(1)
    seen = as_trained(parse_opts([]), rgb, source=f"there/{name.format('RGB', '50')}")
    assert (seen.model, seen.sample_duration, seen.test_sampling, seen.clip_stride) == ("resnet2d", 8, "segments", 1)
    dense = as_trained(parse_opts([]), rgb, source=name.format("RGB", "100_dense"))
    assert (dense.sample_duration, dense.test_sampling, dense.clip_stride) == (8, "spaced", 8)
    _, flow = published_tsm(1, channels=10)
    stacks = as_trained(parse_opts([]), flow, source=name.format("Flow", "50"))
    assert (stacks.sample_duration, stacks.test_sampling) == (40, "segments")
    assert origin_of(flow, name.format("Flow", "50"))["args"]["flow_stack"] == 5
    plain = "TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth"
    assert network_named(plain)["args"] == {"depth": 50, "temporal": "none"}
    deep = "TSM_somethingv2_RGB_resnet101_shift8_blockres_avg_segment8_e45.pth"
    assert network_named(deep)["args"] == {"depth": 101, "temporal": "tsm", "mix_every": 2}
    others = (
        "TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth",
        name.format("RGB", "100_dense_nl"),
    )
    assert [network_named(other) for other in others] == [{}, {}]


def test_what_neither_weights_nor_a_name_say_is_named(caplog):
    words = ["--width", "0.0625"]
    with caplog.at_level(logging.WARNING):
        load_stream(parse_opts(words), RGB, stored("s3d"), "x.pth")
    assert "it is assumed: --model_args temporal_stride=on pooling=max" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_stream(parse_opts(["--width", "0.125"]), RGB, stored("resnet2d", temporal="tam"), "x.pth")
    assert "it is assumed: --model_args blend_method=sum temporal_stride=off" in caplog.text


@pytest.mark.parametrize("stream", [FLOW, RGB_DIFF], ids=lambda stream: stream.name)
@pytest.mark.parametrize("name", THREE_D)
def test_other_streams_go_frame_by_frame_and_in_stacks_of_five(name, stream):
    plain = small(name, stream).eval()
    assert plain(torch.randn(1, stream.channels, 8, 32, 32)).logits.shape == (1, 5)
    stack = small(name, stream, **{"flow_stack" if stream == FLOW else "frame_stack": 5}).eval()
    assert stack.get_submodule(stack.first_conv).in_channels == 5 * stream.channels
    assert stack(torch.randn(1, stream.channels, 40, 32, 32)).logits.shape == (1, 5)


def test_a_name_of_the_study_says_which_clips_a_test_sees():
    state = stored("i3d_resnet", temporal_stride=False)
    opt = as_trained(parse_opts([]), state, source="K400-I3D-ResNet-18-f32.pth.tar")
    assert (opt.model, opt.model_depth, opt.sample_duration, opt.sample_size, opt.test_sampling) == (
        *("i3d_resnet", 18),
        *(32, 224, "segments"),
    )
    words = "--sample_duration 8 --sample_size 256 --test_sampling spaced".split()
    assert as_trained(parse_opts(words), state, source="K400-I3D-ResNet-18-f32.pth.tar").sample_size == 256


def test_a_network_of_segments_may_be_trained_on_dense_clips_with_a_stride():
    words = "--model i3d_resnet --clip_stride 2 --train_sampling dense --val_sampling center".split()
    assert parse_opts(words, "train.py").clip_stride == 2
    with pytest.raises(SystemExit):
        parse_opts(words[:-2], "train.py")
    with pytest.raises(SystemExit):
        parse_opts(words[:4], "test_single_stream.py")
    assert parse_opts([*words[:4], "--test_sampling", "spaced"], "test_single_stream.py").clip_stride == 2


@pytest.mark.parametrize("name", ["resnet2d", "googlenet"])
def test_tam_stays_as_it_is_drawn_where_weights_of_images_begin_a_network(name):
    plain, network = small(name), small(name, temporal="tam")
    with torch.no_grad():
        plain.get_submodule(plain.first_conv).weight.fill_(1)
    before = {key: x.clone() for key, x in network.state_dict().items()}
    start_from(network, plain.state_dict(), "plain.pth")
    after = network.state_dict()
    blending = [key for key in after if "tam" in key]
    assert blending
    assert all(torch.equal(after[key], before[key]) for key in blending)
    assert all(torch.equal(after[key], x) for key, x in plain.state_dict().items() if not key.startswith("fc."))


@pytest.mark.parametrize("name", ["s3d", "s3d_resnet"])
def test_convolutions_of_time_begin_by_leaving_still_clips_as_they_are(name):
    images = small("googlenet" if name == "s3d" else "resnet2d", **({} if name == "s3d" else {"width": 0.0625}))
    network = small(name, temporal_stride=False)
    start_from(network, images.state_dict(), "images.pth", "centre")
    parts = {key: (key.split(".")[-2], x) for key, x in network.state_dict().items() if "." in key}
    kernels = {key: x for key, (layer, x) in parts.items() if layer.startswith("conv") and layer.endswith("_t")}
    assert kernels
    for key, kernel in kernels.items():
        middle = torch.eye(len(kernel)) if key.endswith("weight") else torch.zeros(len(kernel))
        assert torch.equal(kernel[:, :, 1, 0, 0] if kernel.dim() == 5 else kernel, middle)
        assert kernel.sum() == middle.sum()
