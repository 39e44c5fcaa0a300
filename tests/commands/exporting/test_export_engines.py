"""Exported files run by OpenVINO and onnxruntime: quantised on real clips, measured, and answering as torch does."""

import copy
import ctypes
import importlib.util
import json
import re
import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from answering import NAMES, run, write_weights
from helpers import write_hmdb51
from source_files import ROOT

import export
from engine import checkpoint
from engine.command import cli
from models.inference import runtimes
from models.inference.runtimes import ENGINES, ExportedModel, kept_signal_stack, open_openvino, provider
from utils1 import checkpoint as card
from workflows.exporting import openvino_file, parity
from workflows.exporting.calibration import CalibrationSettings, open_calibration
from workflows.exporting.exact_input import hold_bytes, read_bytes
from workflows.exporting.formats import FORMATS, Format
from workflows.exporting.openvino_file import describe_openvino
from workflows.exporting.plan import Export, build_export
from workflows.exporting.real_clips import compare_accuracy
from workflows.predicting.exported import ExportedNetwork, device_for, engine_for
from workflows.predicting.predict import PredictorSettings, build_predictor

NEEDS = {
    name: all(map(importlib.util.find_spec, packages))
    for name, packages in {
        "openvino": ("openvino", "nncf"),
        "onnx": FORMATS["onnx"].requires,
    }.items()
}
needs_openvino = pytest.mark.skipif(not NEEDS["openvino"], reason="needs openvino and nncf")
needs_onnx = pytest.mark.skipif(not NEEDS["onnx"], reason="needs onnx, onnxscript and onnxruntime")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Frames and labels of three classes, and networks that know them, which held a third of the videos out."""
    root = tmp_path_factory.mktemp("data")
    write_hmdb51(root, NAMES)
    for name in ("rgb", "student"):
        write_weights(root / f"{name}.pth")
        state = checkpoint.load(root / f"{name}.pth")
        learnt = {"dataset": "HMDB51", "split": 1, "val_fraction": 0.34, "only_RGB": False}
        checkpoint.save(root / f"{name}.pth", {**state, "options": {**state["options"], **learnt}})
    return root


def data(place: Path, **settings) -> CalibrationSettings:
    return CalibrationSettings(frame_dir=place / "frames", annotation_path=place / "labels", **settings)


def words(place: Path, *more: object) -> list[str]:
    return [str(word) for word in (place / "rgb.pth", *more, "--rounds", "0")]


def quantised_plan(place: Path, **settings) -> Export:
    plan = build_export([place / "rgb.pth"], dtype="int8")
    return replace(plan, calibration=open_calibration(plan, data(place, **settings)))


@pytest.fixture(scope="module")
def calibrated(place):
    return quantised_plan(place, clips=4)


def test_clips_are_those_of_the_training_list_and_of_what_it_held_out(calibrated):
    found = calibrated.calibration
    assert (len(found.train), len(found.held_out)) == (4, 3)
    names = [{clips.dataset.videos[number].name for number in clips.numbers} for clips in (found.train, found.held_out)]
    assert not names[0] & names[1]
    assert {video.label for video in found.train.dataset.videos} == {0, 1, 2}  # of every class
    assert {name: tuple(clip.shape) for name, clip in found.train[0].items()} == {"rgb": (1, 3, 8, 32, 32)}
    assert torch.equal(found.held_out.batch(2, 2)["rgb"][1], found.held_out[0]["rgb"][0])
    assert found.about == {"dataset": "HMDB51", "split": 1, "val_fraction": 0.34, "clips": 4, "max_drop": 0.5}


def test_labels_that_are_not_named_are_those_of_the_training(place, tmp_path):
    state = checkpoint.load(place / "rgb.pth")
    stated = {**state["options"], "annotation_path": str(place / "labels")}
    checkpoint.save(tmp_path / "rgb.pth", {**state, "options": stated})
    calibration = open_calibration(
        build_export([tmp_path / "rgb.pth"]), CalibrationSettings(frame_dir=place / "frames")
    )
    assert {video.label for video in calibration.train.dataset.videos} == {0, 1, 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_fraction": 0.5}, r"rgb\.pth: trained with --val_fraction 0\.34, here it is 0\.5"),
        ({"val_fraction": 0.0}, r"rgb\.pth: --val_fraction 0 holds no videos out"),
        ({"clips": 0}, "--calibrate_clips must be >= 1, got 0"),
        ({"max_drop": -1.0}, r"--max_drop must lie in \[0, 100\] percentage points, got -1"),
    ],
)
def test_videos_that_cannot_measure_it_are_refused(settings, message, place):
    with pytest.raises(ValueError, match=message):
        open_calibration(build_export([place / "rgb.pth"]), data(place, **settings))


def test_the_accuracy_is_that_of_the_labels_and_no_number_is_refused(calibrated):
    clips = calibrated.calibration
    right = torch.eye(3)[clips.held_out.labels]
    at = iter([right, right.roll(1, 1)])
    found = compare_accuracy(clips, lambda batch: next(at), lambda batch: next(at))
    assert found == (100.0, 0.0, 0, 3)
    with pytest.raises(ValueError, match="the file: a held-out clip has scores that are NaN or infinite"):
        compare_accuracy(clips, lambda batch: right, lambda batch: right * torch.nan)


def worse(plan, scores) -> Format:
    """A format whose files give these scores in place of the network's."""

    def write(export, file):
        file.write(b"graph")
        Path(file.name).with_suffix(".bin").write_bytes(b"weights")

    def read(path, device):
        return lambda clips: {"logits": scores(plan.reference(clips))}

    return Format(
        write, read, suffix=".xml", weights=".bin", describe=lambda path, more: path.write_text(json.dumps(more))
    )


def test_a_file_that_is_less_accurate_is_not_left_and_one_that_is_not_replaces_both_parts(calibrated, tmp_path):
    clips = copy.copy(calibrated.calibration.held_out)
    clips.labels = [int(calibrated.reference(clips[i]).argmax()) for i in range(len(clips))]
    sure = replace(calibrated, calibration=replace(calibrated.calibration, held_out=clips))
    path = tmp_path / "x.xml"
    path.write_text("older")
    (tmp_path / "x.bin").write_text("of the older")
    message = r"x\.xml: not written, int8 takes the accuracy from 100\.00 % to 0\.00 % of 3 held-out videos"
    with pytest.raises(ValueError, match=message):
        parity.write_checked(sure, worse(sure, lambda scores: -scores), path, limit=10.0)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"x.xml": "older", "x.bin": "of the older"}
    with pytest.raises(ValueError, match=r"x\.xml: not written, it is nan of the largest score away"):
        parity.write_checked(sure, worse(sure, lambda scores: scores * torch.nan), path, limit=10.0)
    written = parity.write_checked(sure, worse(sure, lambda scores: scores), path, limit=1e-4)
    assert written.accuracies == (100.0, 100.0, 3, 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.bin", "x.xml"]
    assert (tmp_path / "x.bin").read_text() == "weights"
    stated = json.loads(path.read_text())
    assert stated["accuracy"] == {"checkpoints": 100.0, "file": 100.0, "agreeing": 3, "videos": 3}
    assert stated["bytes"] == len(b"graph") + len(b"weights")


def test_a_graph_is_described_in_place(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text('<?xml version="1.0"?>\n<net><rt_info><sts_net value="{&quot;a&quot;: 1}" /></rt_info></net>')
    describe_openvino(path, {"b": "<ü>"})
    assert "sts_net" in path.read_text("utf-8")
    describe_openvino(path, {"a": 2})
    value = ElementTree.parse(path).find("rt_info/sts_net").attrib["value"]
    assert json.loads(value) == {"a": 2, "b": "<ü>"}


def test_formats_have_short_names(place):
    assert export.parse_args(words(place, "--format", "openvino", "--dtype", "bf16")).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("exported", "message"),
    [
        ("openvino --dtype int8 --calibrate x", "--format openvino needs openvino, nncf: pip install openvino nncf"),
        ("onnx", "--format onnx needs onnx, onnxscript, onnxruntime: pip install onnx onnxscript onnxruntime"),
        ("", "--engine openvino needs openvino: pip install openvino"),
    ],
)
def test_without_the_packages_the_cure_is_one_line_and_exit_2(exported, message, place, videos, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        if exported:
            cli.run(export.main, lambda: export.parse_args(words(place, "--format", *exported.split())))
        else:
            cli.run(lambda _: run(videos, "--weights", "x.xml"), lambda: Namespace(debug=False))
    assert stopped.value.code == cli.INPUT
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("files", "engine", "chosen"),
    [
        (["a.pth"], "auto", "torch"),
        (["a.xml"], "auto", "openvino"),
        (["a.onnx", "b.onnx"], "auto", "onnxruntime"),
        (["a.onnx"], "openvino", "openvino"),
    ],
)
def test_the_program_is_chosen_by_the_names_of_the_files(files, engine, chosen, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert engine_for(files, engine) == chosen


@pytest.mark.parametrize(
    ("files", "engine", "message"),
    [
        (["a.xml"], "torch", r"a\.xml: is an exported file, which --engine openvino reads, and not torch"),
        (["a.pth"], "openvino", r"a\.pth: --engine openvino reads files of export\.py that end in \.xml and \.onnx"),
        (["a.xml", "b.pth"], "auto", r"b\.pth: --engine openvino reads files of export\.py"),
    ],
)
def test_a_file_that_the_program_does_not_read_is_named(files, engine, message):
    with pytest.raises(ValueError, match=message):
        engine_for(files, engine)


def test_openvino_runs_on_the_cpu_alone():
    assert device_for("openvino", "auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="--device meta: --engine openvino runs on cpu here"):
        device_for("openvino", "meta")


def fake(monkeypatch, **about) -> None:
    """A file that adds nothing to its clips."""
    known = {"inputs": {"rgb": {}}, "class_names": list(NAMES), "dtype": "float32", "checkpoints": [{"epoch": 3}]}
    known |= {"recipe": {"sample_size": 32, "sample_duration": 8, "provenance": {}}}
    known |= {"fusion": {"method": "activno", "weights": [1.0]}} | about
    mean = ExportedModel(lambda clips: {"logits": clips["rgb"].float().mean((2, 3, 4))}, known)
    engine = ENGINES["openvino"]._replace(open=lambda *arguments: mean, requires=())
    monkeypatch.setitem(ENGINES, "openvino", engine)


def test_a_file_is_used_as_a_network(monkeypatch):
    fake(monkeypatch)
    predictor = build_predictor("a.xml", device="cpu")
    clip = {"rgb": torch.randint(0, 256, (3, 8, 32, 32), dtype=torch.uint8)}
    assert torch.allclose(predictor.logits([clip])[0, 0], clip["rgb"].float().mean((1, 2, 3)))
    assert predictor.views == ["rgb"]
    (about,) = predictor.about
    assert (about["file"], about["engine"], about["epoch"], about["stream"]) == ("a.xml", "openvino", 3, "rgb")
    predictor.close()


@pytest.mark.parametrize(
    ("about", "settings", "message"),
    [
        ({"fusion": {"method": "l2", "weights": [1.0]}}, {}, "gives no logits, but scores of --fusion l2"),
        ({}, {"amp": "bf16"}, "--amp is for --engine torch; how openvino computes was settled by the export"),
        ({}, {"group_width": 4}, "--group_width is for --engine torch"),
    ],
)
def test_what_a_file_cannot_do_is_refused(about, settings, message, monkeypatch):
    fake(monkeypatch, **about)
    with pytest.raises(ValueError, match=message):
        build_predictor("a.xml", PredictorSettings(**settings), device="cpu")


def test_a_network_of_two_views_reads_both(monkeypatch):
    fake(monkeypatch, inputs={"rgb": {}, "flow": {}})
    network = ExportedNetwork(ENGINES["openvino"].open())
    assert network.views == ["rgb", "flow"]


@pytest.fixture(scope="module")
def files(place) -> dict[str, Path]:
    """The fused pair in each format that can be had here, made once."""
    made = {}
    real = ["--calibrate", place / "frames", "--annotation_path", place / "labels", "--max_drop", "100"]
    for name, more in {
        "f32.xml": ["--format", "openvino"],
        "bf16.xml": ["--format", "openvino", "--dtype", "bf16"],
        "int8.xml": ["--format", "openvino", "--dtype", "int8", *real],
        "int8.onnx": ["--format", "onnx", "--dtype", "int8", *real],
    }.items():
        if NEEDS[more[1]]:
            made[name] = place / name
            export.main(export.parse_args(words(place, place / "student.pth", *more, "--out", place / name)))
    return made


def document(capsys, *words):
    run(*words, "--json", "-")
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@needs_openvino
@pytest.mark.parametrize(
    ("name", "limit"), [("f32.xml", 1e-5), ("bf16.xml", 0.02), ("int8.xml", 0.1), ("int8.onnx", 0.1)]
)
def test_a_file_answers_as_torch_does(name, limit, files, place, videos, capsys):
    if name not in files:
        pytest.skip("needs onnx")
    whole = document(capsys, videos, "--weights", place / "rgb.pth", place / "student.pth")
    own = document(capsys, videos, "--weights", files[name])
    assert own.keys() == whole.keys()
    assert own["recipe"] == whole["recipe"] | {
        name: own["recipe"][name] for name in own["recipe"].keys() - whole["recipe"]
    }
    assert own["checkpoints"][0]["arch"] == "resnet-10 + resnet-10"
    for one, other in zip(own["videos"], whole["videos"], strict=True):
        assert one.keys() == other.keys()
        scores = [{top["class"]: top["probability"] for top in video["top"]} for video in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=limit)
        assert [window["start"] for window in one["windows"]] == [window["start"] for window in other["windows"]]


@pytest.mark.slow
@needs_openvino
def test_a_camera_is_answered_as_torch_does(files, place):
    frames = [np.full((40, 48, 3), 20 * i, np.uint8) for i in range(8)]
    answers = []
    for weights in ([place / "rgb.pth", place / "student.pth"], [files["f32.xml"]]):
        predictor = build_predictor(weights, device="cpu", live=True)
        answers.append(predictor.newest(Path("0"))(frames))
        predictor.close()
    assert torch.allclose(*answers, atol=1e-5)


@pytest.mark.slow
@needs_openvino
def test_the_snippet_of_the_document_runs(files, videos, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    texts = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for suffix in (".xml", ".bin"):
        (tmp_path / f"sts{suffix}").symlink_to(files["f32.xml"].with_suffix(suffix))
    (tmp_path / "video.avi").symlink_to(videos / "run" / "long.avi")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    with kept_signal_stack():
        for text in texts:
            if "def clips_of" in text or "import openvino" in text:
                exec(text, names)
    assert capsys.readouterr().out.strip() in NAMES


@pytest.mark.slow
@needs_openvino
@pytest.mark.skipif(sys.platform != "linux", reason="reads a stack_t of Linux")
def test_signals_are_handled_where_they_were_before_a_file_was_compiled(files):
    signal_stack = partial(ctypes.CDLL(None).sigaltstack, None)
    before, after = ctypes.create_string_buffer(24), ctypes.create_string_buffer(24)
    signal_stack(before)
    opened = open_openvino(files["f32.xml"])
    signal_stack(after)
    assert opened.about and after.raw == before.raw


@pytest.mark.slow
@needs_openvino
def test_a_quantised_file_says_what_it_is_and_what_it_costs(files, place):
    said = open_openvino(files["int8.xml"]).about
    assert said["dtype"] == "int8"
    assert said["calibration"]["clips"] == 6
    assert said["accuracy"].keys() == {"checkpoints", "file", "agreeing", "videos"}
    assert said["quantised"]["layers"] > len(said["quantised"]["float_layers"])
    sizes = {name: files[name].with_suffix(".bin").stat().st_size for name in ("f32.xml", "bf16.xml", "int8.xml")}
    assert sizes["f32.xml"] > 1.9 * sizes["bf16.xml"]
    assert sizes["bf16.xml"] > 1.2 * sizes["int8.xml"]
    assert str(place) not in files["int8.xml"].read_text("utf-8")  # no path of this machine


@pytest.mark.slow
@needs_openvino
def test_the_card_of_a_file_is_what_it_says_of_itself(files, capsys):
    said = card.main(card.parse_args([str(files["int8.xml"])]))
    assert json.loads(capsys.readouterr().out) == said
    assert said["dtype"] == "int8"
    with pytest.raises(ValueError, match=r"int8\.xml: is exported already"):
        card.main(card.parse_args([str(files["int8.xml"]), "--export", "x.safetensors"]))


@pytest.mark.slow
@needs_openvino
def test_layers_that_suffer_stay_in_float32_until_the_accuracy_is_kept(place, tmp_path, monkeypatch):
    """Accuracies are those of a judge who sees no accuracy in a graph until two of its layers are in float32."""
    plan = quantised_plan(place, max_drop=0.5)
    calls, validate = [], openvino_file.Validation.__call__

    def judge(self, compiled, numbers):
        _, scores = validate(self, compiled, numbers)
        calls.append(len(scores))
        full = [n for n, count in enumerate(calls) if count > 1]
        return float(len(full) != 2), scores  # the second pass over all clips is that of the whole int8 graph

    with monkeypatch.context() as patched:
        patched.setattr(openvino_file.Validation, "__call__", judge)
        model = openvino_file.quantise(openvino_file.as_model(plan), plan.calibration)
    kept = openvino_file.quantised_layers(model)
    untouched = replace(plan.calibration, max_drop=100.0)
    all_int8 = openvino_file.quantised_layers(openvino_file.quantise(openvino_file.as_model(plan), untouched))
    assert len(kept["float_layers"]) > len(all_int8["float_layers"])
    assert kept["layers"] == all_int8["layers"]


@pytest.mark.slow
@needs_openvino
def test_bytes_are_not_held_where_that_costs_an_answer(place, monkeypatch):
    """NNCF looks at the accuracy before; the validation that comes last is that of the graph with held bytes."""
    plan = quantised_plan(place, max_drop=0.5)
    validate, grids = openvino_file.Validation.__call__, []

    def judge(self, compiled, numbers):
        _, scores = validate(self, compiled, numbers)
        return float(not grids), scores

    monkeypatch.setattr(openvino_file.Validation, "__call__", judge)
    monkeypatch.setattr(
        openvino_file, "hold_bytes", lambda model, names: grids.append(model) or hold_bytes(model, names)
    )
    model = openvino_file.quantise(openvino_file.as_model(plan), plan.calibration)
    (held,) = grids
    assert [bounds for bounds in first_grids(held) if bounds == [-128, 127, -128, 127]]
    assert not [bounds for bounds in first_grids(model) if bounds == [-128, 127, -128, 127]]


def first_grids(model):
    """The bounds of the grid of what each convolution reads."""
    grids = [
        node.input_value(0).get_node() for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"
    ]
    grids = [grid for grid in grids if grid.get_type_name() == "FakeQuantize"]
    bounds = [[grid.input_value(place).get_node().get_data() for place in range(1, 5)] for grid in grids]
    return [[value.item() for value in values] for values in bounds if all(value.size == 1 for value in values)]


@pytest.mark.slow
@needs_openvino
def test_first_convolutions_read_the_bytes_themselves(place):
    """Also where two networks share an input, and at the borders, where the padding is the mean of the pixels."""
    plan = build_export([place / "rgb.pth", place / "student.pth"], dtype="int8")
    clips = {name: clip.numpy() for name, clip in plan.clips(2).items()}
    model, core = openvino_file.as_model(plan), runtimes.load_openvino().Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    before = core.compile_model(model, "CPU", exact)(clips)[0].copy()
    names = read_bytes(model)
    assert len(set(names)) == 2
    assert np.abs(core.compile_model(model, "CPU", exact)(clips)[0] - before).max() < 1e-4 * np.abs(before).max()

    calibration = open_calibration(plan, data(place, max_drop=100.0))
    quantised = openvino_file.quantise(openvino_file.as_model(plan), calibration)
    grids = [
        layer.input_value(0).get_node() for layer in quantised.get_ordered_ops() if layer.get_friendly_name() in names
    ]
    assert len(grids) == 2
    for grid in grids:
        bounds = [grid.input_value(place).get_node().get_data().item() for place in range(1, 5)]
        assert (bounds, grid.get_levels()) == ([-128, 127, -128, 127], 256)
    assert openvino_file.quantised_layers(quantised)["float_layers"] == []


@pytest.mark.slow
@needs_openvino
def test_weights_of_another_file_are_refused(files, tmp_path):
    for suffix in (".xml", ".bin"):
        (tmp_path / f"x{suffix}").write_bytes(files["f32.xml"].with_suffix(suffix).read_bytes())
    weights = bytearray((tmp_path / "x.bin").read_bytes())
    weights[100] ^= 1
    (tmp_path / "x.bin").write_bytes(weights)
    with pytest.raises(ValueError, match=r"x\.bin: are not the weights that x\.xml was written with"):
        build_predictor(tmp_path / "x.xml", device="cpu")
    (tmp_path / "x.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.bin: no such file"):
        build_predictor(tmp_path / "x.xml", device="cpu")
    (tmp_path / "x.bin").write_bytes(b"")
    (tmp_path / "x.xml").write_text("<net")
    with pytest.raises(ValueError, match=r"x\.xml: is no file of OpenVINO or damaged"):
        build_predictor(tmp_path / "x.xml", device="cpu")


@needs_onnx
def test_a_file_of_others_is_sent_to_the_export(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", 1, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    out = onnx.helper.make_tensor_value_info("y", 1, [1])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "x.onnx",
    )
    with pytest.raises(ValueError, match=r"x\.onnx: does not say how to use it, as files of export\.py do"):
        runtimes.open_onnxruntime(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.onnx: is no file of ONNX or damaged"):
        runtimes.open_onnxruntime(tmp_path / "x.onnx")


def test_onnxruntime_computes_in_float32_on_the_gpu_that_is_asked_for():
    assert provider(torch.device("cuda", 1)) == ("CUDAExecutionProvider", {"device_id": 1, "use_tf32": 0})
    assert provider(torch.device("cpu")) == ("CPUExecutionProvider", {})
