"""Each family of networks is trained, tested, predicted with, looked into, and exported, also in 8 bits."""

import importlib.util
import os
from pathlib import Path

import pytest
from helpers import words_for

import export
import predict
import STS_train
import test_single_stream
import train
from engine import checkpoint
from opts import DISTILL, SINGLE, TRAIN, parse_opts
from utils1 import grad_cam
from workflows.exporting.formats import FORMATS
from workflows.predicting.predict_options import build_parser

CLIPS = "--sample_size 32 --sample_duration 8"
FAMILIES = {
    "resnext": "--model resnext --model_depth 50 --width 0.25",
    "resnet2p1d": "--model resnet2p1d --model_depth 10 --width 0.0625",
    "c3d": "--model c3d --width 0.0625",
    "i3d": "--model i3d --width 0.0625",
    "s3d": "--model s3d --width 0.0625",
    "i3d_resnet": "--model i3d_resnet --model_depth 18 --width 0.0625",
    "s3d_resnet": "--model s3d_resnet --model_depth 18 --width 0.0625",
    "tam": "--model resnet2d --model_depth 18 --width 0.0625 --model_args temporal=tam",
    "tam of one frame": "--model googlenet --width 0.0625 --model_args temporal=tam temporal_stride=on",
    "tsm": "--model resnet2d --model_depth 18 --width 0.0625 --model_args temporal=tsm",
    "torchvision s3d": "--model torchvision:s3d --clip_stride 1",
    "torchvision mvit": "--model torchvision:mvit_v2_s --clip_stride 1",
    "torchvision swin3d": "--model torchvision:swin3d_t --clip_stride 1",
}
EXPORTS = {
    "onnx": "--format onnx",
    "int8": "--format openvino --dtype int8 --calibrate_clips 4 --max_drop 100 --tolerance 10",
}
# Exports that take a minute and more each: with EVERY_EXPORT=1 in the environment they are tried, too.
DEAR = [(name, kind) for name in FAMILIES if name.startswith("torchvision") for kind in EXPORTS]
DEAR += [(name, "int8") for name in ("resnext", "i3d", "s3d", "i3d_resnet", "s3d_resnet")]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(hmdb51, tmp_path_factory):
    """The checkpoint of a family, trained once for an epoch of two steps."""
    files: dict[str, Path] = {}

    def file_of(name: str) -> Path:
        if name not in files:
            folder = tmp_path_factory.mktemp(name.replace(" ", "_"))
            words = [*words_for(hmdb51, folder, network=(), script=TRAIN), *FAMILIES[name].split(), *CLIPS.split()]
            words += "--only_RGB --val_fraction 0.34 --learning_rate 0.001 --run_name run".split()
            train.main(parse_opts(words, TRAIN))
            (files[name],) = folder.rglob("run_best.pth")
        return files[name]

    return file_of


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_trained_tested_predicted_with_and_looked_into(name, trained, hmdb51, tmp_path):
    weights = str(trained(name))
    words = [*words_for(hmdb51, tmp_path, network=(), script=SINGLE), "--only_RGB", "--resume_path1", weights]
    tested = test_single_stream.main(parse_opts([*words, "--test_sampling", "spaced", "--num_clips", "1"], SINGLE))
    assert 0 <= tested["top1"] <= 1
    film = str(next((hmdb51 / "frames").rglob("done")).parent)
    answer = tmp_path / "answer.json"
    predict.main(build_parser().parse_args([film, "--weights", weights, "--json", str(answer), "--device", "cpu"]))
    assert answer.exists()
    out = ["--out", str(tmp_path / "cam"), "--device", "cpu", "--strips", "1"]
    grad_cam.main(grad_cam.parse_args([film, "--weights", weights, *out]))
    assert (tmp_path / "cam" / "evidence.csv").exists()


def test_a_flow_teacher_of_one_family_reviews_a_student_of_another_whose_first_stage_it_has_not(hmdb51, tmp_path):
    more = [*CLIPS.split(), *"--val_fraction 0.34 --learning_rate 0.001 --run_name run".split()]
    more += "--train_sampling random --val_sampling center".split()
    words = [*words_for(hmdb51, tmp_path / "flow", network=(), script=TRAIN), *FAMILIES["i3d"].split(), *more]
    train.main(parse_opts([*words, "--modality", "Flow"], TRAIN))
    (teacher,) = (tmp_path / "flow").rglob("run_best.pth")
    words = [*words_for(hmdb51, tmp_path / "sfs", network=(), script=DISTILL), *FAMILIES["resnet2p1d"].split(), *more]
    words += ["--modality", "RGB_Flow", "--resume_path1", str(teacher), *"--distill review dkd --project auto".split()]
    STS_train.main(parse_opts(words, DISTILL))
    (student,) = (tmp_path / "sfs").rglob("run_best.pth")
    reviewed = {name.split(".")[2] for name in checkpoint.load(student)["losses"] if "connectors" in name}
    assert reviewed == {"layer2", "layer3", "layer4", "avgpool"}


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_exported_and_the_file_answers_as_it_does(name, kind, trained, hmdb51, tmp_path, capsys):
    words = EXPORTS[kind].split()
    if any(importlib.util.find_spec(package) is None for package in FORMATS[words[1]].requires):
        pytest.skip(f"needs {', '.join(FORMATS[words[1]].requires)}")
    if (name, kind) in DEAR and not os.environ.get("EVERY_EXPORT"):
        pytest.skip("takes a minute and more: EVERY_EXPORT=1")
    path = tmp_path / ("x.onnx" if kind == "onnx" else "x.xml")
    if kind == "int8":
        words += ["--calibrate", str(hmdb51 / "frames"), "--annotation_path", str(hmdb51 / "labels")]
    opt = export.parse_args([str(trained(name)), *words, "--out", str(path), "--rounds", "0"])
    if (name, kind) == ("tam of one frame", "int8"):  # the frame before it is a tensor without a number
        with pytest.raises(ValueError, match="--dtype int8: NNCF finds no ranges for some activations"):
            export.main(opt)
        assert not path.exists()
        return
    export.main(opt)
    assert path.exists()
    assert ("the same first class in 8 of 8 clips" in capsys.readouterr().out) or kind == "int8"
