"""Networks of images, of segments and of estimated flow as exported files: the networks' scores, or one line."""

import importlib.util
import logging

import pytest
import torch
from torch import nn

from datasets import FLOW, RGB
from models import StreamNetwork, create_model
from workflows.exporting.export import export
from workflows.exporting.formats import FORMATS
from workflows.exporting.tracing import unsupported

NAMES = ["run", "jump", "sit"]
SMALL = {"depth": 18, "width": 0.0625}
SEGMENTS = {**SMALL, "segments": 2, "encoding_size": 16}
# Network, stream, frames and arguments.
CASES = {
    "stacks of flow, tle_fc": ("resnet2d", FLOW, 4, {**SEGMENTS, "flow_stack": 2, "consensus": "tle_fc"}),
    "a grid of larger cells, max": (
        *("vgg", RGB, 2),
        {"depth": 11, "width": 1 / 64, "segments": 2, "encoding_size": 16, "consensus": "max"},
    ),
    "tle_sketch": ("resnet2d", RGB, 2, {**SEGMENTS, "consensus": "tle_sketch"}),
    "estimated flow": (
        *("hidden_two_stream", RGB, 5),
        {"frames": 3, "motion_width": 1 / 64, "temporal": "resnet2d", **SMALL},
    ),
    "timm, tle_bilinear": (
        "timm:test_resnet",
        RGB,
        2,
        {"segments": 2, "encoding_size": 16, "consensus": "tle_bilinear"},
    ),
}
CHECKED = [
    ("pt2", "tle_sketch"),
    *(("onnx", name) for name in CASES if not name.startswith("timm")),
    *(("openvino", name) for name in CASES if name != "tle_sketch"),  # which it cannot compute
]


def written(kind: str, name: str, folder):
    """The export of a case."""
    if any(importlib.util.find_spec(package) is None for package in FORMATS[kind].requires):
        pytest.skip(f"needs {', '.join(FORMATS[kind].requires)}")
    model, stream, frames, arguments = CASES[name]
    if model.startswith("timm:"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    network = create_model(model, stream.channels, len(NAMES), **arguments)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
    recipe = {"sample_size": 64, "sample_duration": frames, "clip_stride": 1, "provenance": {"fps": 25.0}}
    file = folder / f"network{ {'pt2': '.pt2', 'onnx': '.onnx', 'openvino': '.xml'}[kind] }"
    return export(StreamNetwork(network, stream).eval(), file, class_names=NAMES, recipe=recipe)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CHECKED)
def test_files_give_the_scores_of_the_networks(kind, name, tmp_path):
    result = written(kind, name, tmp_path)
    assert result.path.exists()
    assert result.parity.difference < 1e-4
    assert result.parity.agreeing == result.parity.clips


@pytest.mark.slow
def test_openvino_computes_no_tensor_sketch_and_leaves_no_file(tmp_path):
    level = logging.getLogger().level
    with pytest.raises(ValueError, match=r"^--format openvino: has no .*aten\._fft_r2c.*choose another format[^\n]*$"):
        written("openvino", "tle_sketch", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger().level == level  # of all that is logged


def test_a_converter_that_lacks_operations_is_one_line():
    text = "Failed\n<OpOverload(op='aten._fft_r2c', overload='default')>\naten.index_add.default, aten._fft_r2c.default"
    assert str(unsupported("onnx", RuntimeError(text))) == (
        "--format onnx: has no aten._fft_r2c, aten.index_add, which this network computes; choose another format, pt2 "
        "takes any network"
    )
    assert "\n" not in str(unsupported("onnx", RuntimeError("dynamic shapes\nmore")))
