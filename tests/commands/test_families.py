"""A checkpoint of each family of networks is tested, predicted with, looked into, and exported, also in 8 bits."""

import importlib.util
from pathlib import Path

import pytest
import torch
from helpers import words_for
from torch import nn

import export
import predict
import test_single_stream
from datasets import RGB
from engine import checkpoint
from models import MODELS, StreamNetwork, create_model
from opts import parse_opts
from utils1 import grad_cam
from workflows.exporting.formats import FORMATS
from workflows.predicting.options import build_parser

NAMES = ["brush_hair", "cartwheel", "catch"]
FRAMES, SIZE = 8, 32
NARROW = {"width": 0.0625}
FAMILIES = {
    "resnext": dict(MODELS["resnext"].smallest),
    "resnet2p1d": {"depth": 10, **NARROW},
    "c3d": NARROW,
    "i3d": NARROW,
    "s3d": NARROW,
    "i3d_resnet": {"depth": 18, **NARROW},
    "s3d_resnet": {"depth": 18, **NARROW},
    "googlenet": {**NARROW, "temporal": "tam", "temporal_stride": True},
    "resnet2d": {"depth": 18, **NARROW, "temporal": "tsm"},
    "torchvision:s3d": {},
    "torchvision:mvit_v2_s": {},
    "torchvision:swin3d_t": {},
}
EXPORTS = {
    "onnx": "--format onnx",
    "openvino": "--format openvino",
    "int8": "--format openvino --dtype int8 --calibrate_clips 4 --max_drop 100 --tolerance 10",
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The file of a family, written once as a training writes it."""
    folder, files = tmp_path_factory.mktemp("families"), {}

    def file_of(name: str) -> Path:
        if name not in files:
            torch.manual_seed(0)
            network = create_model(name, RGB.channels, len(NAMES), **FAMILIES[name])
            for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)):
                norm.running_mean.uniform_(-0.5, 0.5)
                norm.running_var.uniform_(0.5, 2)
            model = StreamNetwork(network, RGB)
            clip = {"sample_size": SIZE, "sample_duration": FRAMES, "clip_stride": 1, "provenance": {"fps": 25.0}}
            learnt = {"dataset": "HMDB51", "split": 1, "val_fraction": 0.34, "only_RGB": True, "modality": "RGB"}
            state = {"network": network.origin, "arch": network.arch, "stream": RGB.name, "class_names": NAMES}
            state |= {"recipe": clip | {"normalisation": model.normalisation}, "options": learnt, "epoch": 1}
            files[name] = folder / f"{name.replace(':', '_')}.pth"
            checkpoint.save(files[name], state | {"state_dict": network.state_dict()})
        return files[name]

    return file_of


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_tested_predicted_with_and_looked_into(name, stored, hmdb51, tmp_path):
    words = words_for(hmdb51, tmp_path, network=(), script="test_single_stream.py")
    tested = parse_opts(
        [*words, "--only_RGB", "--resume_path1", str(stored(name)), "--test_sampling", "spaced", "--num_clips", "1"],
        "test_single_stream.py",
    )
    assert 0 <= test_single_stream.main(tested)["top1"] <= 1
    film = next((hmdb51 / "frames").rglob("done")).parent
    answer = ["--weights", str(stored(name)), "--json", str(tmp_path / "answer.json"), "--device", "cpu"]
    predict.main(build_parser().parse_args([str(film), *answer]))
    assert (tmp_path / "answer.json").exists()
    seen = ["--weights", str(stored(name)), "--out", str(tmp_path / "cam"), "--device", "cpu", "--strips", "1"]
    grad_cam.main(grad_cam.parse_args([str(film), *seen]))
    assert (tmp_path / "cam" / "evidence.csv").exists()


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_exported_and_the_file_answers_as_it_does(name, kind, stored, hmdb51, tmp_path, capsys):
    words = EXPORTS[kind].split()
    if any(importlib.util.find_spec(package) is None for package in FORMATS[words[1]].requires):
        pytest.skip(f"needs {', '.join(FORMATS[words[1]].requires)}")
    path = tmp_path / ("x.onnx" if kind == "onnx" else "x.xml")
    if kind == "int8":
        words += ["--calibrate", str(hmdb51 / "frames"), "--annotation_path", str(hmdb51 / "labels")]
    export.main(export.parse_args([str(stored(name)), *words, "--out", str(path), "--rounds", "0"]))
    assert path.exists()
    assert ("the same first class in 8 of 8 clips" in capsys.readouterr().out) or kind == "int8"
