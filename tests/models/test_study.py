"""The networks of IBM's Action Recognition Study: its weights' names, its values, its published sizes and costs."""

import json
import lzma

import pytest
import torch
from helpers import REFERENCE, fill, reference

from models import create_model, estimate
from models.backbones import network_named

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


def shapes_of(network) -> dict[str, list[int]]:
    state = network.state_dict()
    return {name: list(x.shape) for name, x in state.items() if not name.endswith("num_batches_tracked")}


def on_meta(arch: str, classes: int = 87):
    named = network_named(arch)
    with torch.device("meta"):
        return create_model(named["name"], 3, classes, **named["args"])


@pytest.mark.parametrize("arch", KEYS)
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


@pytest.mark.parametrize("arch", PUBLISHED)
def test_parameters_and_multiply_adds_are_the_published_ones(arch):
    parameters, *counts = PUBLISHED[arch]
    for name, count in zip((f"{arch}-f8", f"{arch}-tp-max-f8"), counts, strict=True):
        network = on_meta(name)
        costs = estimate(network, (3, 8, 224, 224))
        assert costs.parameters == parameters
        assert costs.flops_forward // 2 - network.get_classifier().weight.numel() == count  # convolutions alone
