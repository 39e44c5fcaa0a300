"""Exported files say what their checkpoints say, to any batch, and what a user must know; or they are not there."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import options, small
from safetensors import safe_open
from source_files import ROOT
from torch import nn
from torch.export.passes import move_to_device_pass

import export
from datasets import FLOW, RGB, read_video
from datasets.clips import crops
from datasets.clips.sampling import all_clips
from datasets.decoding.images import resample_frames
from engine import checkpoint
from models import FUSIONS, MODELS, StreamNetwork, build_model, fuse
from models.inference.deployed import Deployed
from workflows.exporting import parity as export_checks
from workflows.exporting.formats import FORMATS, destination
from workflows.exporting.onnx_file import OPSET
from workflows.exporting.plan import build_export

NAMES = ["run", "jump ü", "sit"]
FRAMES, SIZE = 8, 32
CLIP = {"sample_size": SIZE, "sample_duration": FRAMES, "clip_stride": 1}
# Network, stream and seed of each checkpoint; all are normalised differently.
KNOWN = {
    "rgb": ("resnet", RGB, 1),
    "sfs": ("resnet", RGB, 2),
    "flow": ("resnet", FLOW, 3),
    "resnext": ("resnext", RGB, 4),
}
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in FORMATS["onnx"].requires),
    reason="needs onnx, onnxscript and onnxruntime",
)
both = pytest.mark.parametrize("kind", ["pt2", pytest.param("onnx", marks=needs_onnx)])


def trained(model: str = "resnet", stream=RGB, seed: int = 0) -> StreamNetwork:
    """A network with statistics and weights of batch norms that folding must get right."""
    torch.manual_seed(seed)
    network = small(model, stream.channels, len(NAMES))
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm3d)):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    normalisation = {"mean": [110.0 + seed] * stream.channels, "std": [40.0 + seed] * stream.channels}
    return StreamNetwork(network, stream, normalisation).eval()


def write_checkpoint(path: Path, network: StreamNetwork, model: str = "resnet", **changes) -> Path:
    depth = {"resnet": 10, "resnext": 50}[model]
    stream = network.stream
    provenance = {"fps": 25.0, "short_side": 48} | ({"algorithm": "tvl1", "bound": 20.0} if stream == "flow" else {})
    clip = CLIP | {"provenance": provenance}
    state = {
        "epoch": 3,
        "arch": f"{model}-{depth}",
        "stream": stream,
        "class_names": NAMES,
        "recipe": clip | {"normalisation": network.normalisation} | changes.pop("recipe", {}),
        "options": vars(options(model, depth)),
        "metrics": {"acc": 0.5},
        "data": {"dataset": "HMDB51"},
        "state_dict": network.network.state_dict(),
    }
    checkpoint.save(path, state | changes)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """Checkpoints by name."""
    folder, made = tmp_path_factory.mktemp("checkpoints"), {}
    for name, (model, *_) in KNOWN.items():
        made[name] = write_checkpoint(folder / f"{name}.pth", *networks(name), model)
    return made


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """Files that tests only read, made once: (format, names of checkpoints, options) -> path."""
    folder, files = tmp_path_factory.mktemp("exported"), {}

    def file_of(kind: str, *names: str, words: tuple = ()) -> Path:
        key = (kind, names, words)
        if key not in files:
            out = folder / f"{len(files)}.{kind}"
            files[key] = run(*(made[name] for name in names), "--format", kind, "--out", out, *words)
        return files[key]

    return file_of


def networks(*names: str) -> list[StreamNetwork]:
    """Return the networks of the checkpoints."""
    return [trained(*KNOWN[name]) for name in names]


def clips(count: int, *streams) -> dict[str, torch.Tensor]:
    return {
        stream.name: torch.randint(0, 256, (count, stream.channels, FRAMES, SIZE, SIZE), dtype=torch.uint8)
        for stream in streams or (RGB, FLOW)
    }


def logits_of(models: list[StreamNetwork], batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.stack([model(batch).logits for model in models])


def run(*words: object) -> Path:
    """Export; the file."""
    words = [str(word) for word in words]
    export.main(export.parse_args([*words, *([] if "--rounds" in words else ["--rounds", "0"])]))
    return Path(words[words.index("--out") + 1])


def opened(path: Path):
    """The file as its users open it: (function of clips, description)."""
    if path.suffix == ".pt2":
        extra = {"sts_net": ""}
        module = torch.export.load(path, extra_files=extra).module()
        return module, json.loads(extra["sts_net"])
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [result.name for result in session.get_outputs()]
    wanted = {x.name for x in session.get_inputs()}

    def call(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        results = session.run(None, {name: x.numpy() for name, x in batch.items() if name in wanted})
        return {name: torch.from_numpy(x) for name, x in zip(names, results, strict=True)}

    return call, json.loads(session.get_modelmeta().custom_metadata_map["sts_net"])


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("pt2", "rgb"),
        pytest.param("onnx", "rgb", marks=needs_onnx),
        pytest.param("onnx", "resnext", marks=[needs_onnx, pytest.mark.slow]),
    ],
)
def test_one_stream_gives_the_logits_of_its_checkpoint_to_any_batch(kind, name, exported):
    path = exported(kind, name, words=("--softmax",))
    call, _ = opened(path)
    own = networks(name)
    for count in (1, 2, 3, 7):
        batch = clips(count, RGB)
        results = call(batch)
        assert list(results) == ["logits", "probabilities"]
        assert results["logits"].shape == (count, len(NAMES))
        assert apart(results["logits"], logits_of(own, batch)[0]) < 1e-4
    assert not list(path.parent.glob(".*"))  # the temporary name


FUSED, WORDS = ("flow", "rgb"), ("--fusion_weights", 3, 1, "--softmax")


@pytest.mark.slow
@both
def test_networks_are_one_model_by_activno_with_an_input_a_stream_in_any_order_and_weighted(kind, exported):
    call, about = opened(exported(kind, *FUSED, words=WORDS))
    assert about["inputs"] == {
        "flow": {"dtype": "uint8", "shape": ["batch", 2, FRAMES, SIZE, SIZE]},
        "rgb": {"dtype": "uint8", "shape": ["batch", 3, FRAMES, SIZE, SIZE]},
    }
    assert about["fusion"] == {"method": "activno", "weights": [0.75, 0.25]}
    for count in (1, 4):
        batch = clips(count)
        flow, rgb = logits_of(networks(*FUSED), batch)
        wanted = 0.75 * flow + 0.25 * rgb
        for given in (batch, dict(reversed(batch.items()))):
            results = call(given)
            assert list(results) == ["logits", "probabilities"]
            assert apart(results["logits"], wanted) < 1e-4
            torch.testing.assert_close(results["probabilities"], wanted.softmax(1), rtol=1e-3, atol=1e-5)


@both
def test_the_file_says_what_its_user_must_know(kind, made, exported):
    path = exported(kind, *FUSED, words=WORDS)
    _, about = opened(path)
    assert about["class_names"] == NAMES
    provenance = {"fps": 25.0, "short_side": 48, "algorithm": "tvl1", "bound": 20.0}
    assert about["recipe"] == CLIP | {"provenance": provenance}
    assert about["dtype"] == "float32"
    assert [entry["sha256"] for entry in about["checkpoints"]] == [
        hashlib.sha256(made[name].read_bytes()).hexdigest() for name in FUSED
    ]
    assert [entry["file"] for entry in about["checkpoints"]] == ["flow.pth", "rgb.pth"]
    assert about["checkpoints"][0]["data"] == {"dataset": "HMDB51"}
    assert about["checkpoints"][1]["normalisation"] == {"mean": [111.0] * 3, "std": [41.0] * 3}
    assert str(ROOT).encode() not in path.read_bytes()  # no stack traces, which would name folders of this machine


@needs_onnx
def test_onnx_says_its_opset_and_names_its_batch_axis(exported):
    onnx = pytest.importorskip("onnx")
    path = exported("onnx", "rgb", words=("--softmax",))
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert opened(path)[1]["opset"] == OPSET
    # Norms are folded, and no activation is turned round for a layout that onnxruntime has not got.
    assert not {node.op_type for node in model.graph.node} & {"BatchNormalization", "Transpose"}


def test_safetensors_hold_the_network_as_it_was_trained(made, tmp_path):
    path = run(made["rgb"], "--format", "safetensors", "--out", tmp_path / "x.safetensors")
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["sts_net"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    own = networks("rgb")[0].network.state_dict()
    assert about["class_names"] == NAMES
    assert about["recipe"]["sample_duration"] == FRAMES
    assert all(torch.equal(weights[name], weight) for name, weight in own.items())
    half = run(made["rgb"], "--format", "safetensors", "--out", tmp_path / "h.safetensors", "--dtype", "float16")
    halved = checkpoint.load(half)["state_dict"]
    assert {weight.dtype for weight in halved.values() if weight.dim() > 1} == {torch.float16}
    assert torch.equal(halved["bn1.running_var"], own["bn1.running_var"])


def test_indices_among_the_weights_stay_whole_numbers_in_half_precision(tmp_path):
    opt = options("resnet2d", 18, consensus="tle_sketch", segments=2)
    network = build_model(opt, RGB.channels, len(NAMES))
    about = {"recipe": {"sample_duration": 2}, "options": vars(opt), "arch": "resnet2d-18"}
    source = write_checkpoint(tmp_path / "x.pth", StreamNetwork(network, RGB), **about)
    half = run(source, "--format", "safetensors", "--out", tmp_path / "h.safetensors", "--dtype", "bfloat16")
    hashes = checkpoint.load(half)["state_dict"]["consensus.encoder.hashes"]
    assert torch.equal(hashes, network.get_buffer("consensus.encoder.hashes"))


@pytest.mark.parametrize(
    ("kind", "dtype"), [("pt2", "bfloat16"), pytest.param("onnx", "float16", marks=[needs_onnx, pytest.mark.slow])]
)
def test_half_precision_takes_half_the_bytes_and_gives_float32(kind, dtype, exported):
    whole, path = exported(kind, "rgb", words=("--softmax",)), exported(kind, "rgb", words=("--dtype", dtype))
    assert path.stat().st_size < 0.8 * whole.stat().st_size
    call, about = opened(path)
    assert about["dtype"] == dtype
    batch = clips(3, RGB)
    made_logits = call(batch)["logits"]
    assert made_logits.dtype == torch.float32
    assert 0 < apart(made_logits, logits_of(networks("rgb"), batch)[0]) < export_checks.LIMITS[dtype]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_module_fuses_as_a_test_does(fusion):
    models, batch = networks("rgb", "sfs", "flow"), clips(2)
    results = Deployed(models, fusion=fusion, weights=[2, 1, 1])(batch)
    (name,) = results
    assert name == ("logits" if fusion == "activno" else "scores")
    assert apart(results[name], fuse(logits_of(models, batch), fusion, [2, 1, 1])) < 1e-4


@pytest.mark.parametrize(("model", "channels_last"), [*((name, True) for name in MODELS), ("resnet", False)])
def test_the_module_leaves_its_networks_as_they_are(model, channels_last):
    own = trained(model)
    before = {name: weight.clone() for name, weight in own.state_dict().items()}
    batch = clips(2, RGB)
    made = Deployed([own], channels_last=channels_last)(batch)["logits"]
    assert apart(made, logits_of([own], batch)[0]) < 1e-4
    assert all(torch.equal(before[name], weight) for name, weight in own.state_dict().items())
    assert [type(module) for module in own.modules()] == [type(module) for module in trained(model).modules()]


def test_a_fusion_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="--fusion mean: choose one of activno"):
        Deployed(networks("rgb"), fusion="mean")


def test_a_program_can_be_moved_to_another_device(exported):
    path = exported("pt2", *FUSED, words=WORDS)
    program = move_to_device_pass(torch.export.load(path), "meta")  # without memory, but as strict as a GPU
    batch = {name: x.to("meta") for name, x in clips(3).items()}
    assert program.module()(batch)["logits"].shape == (3, len(NAMES))


@pytest.mark.slow
def test_the_parity_is_printed_and_the_latency_of_all_ways(made, tmp_path, capsys):
    run(made["rgb"], made["flow"], "--format", "pt2", "--out", tmp_path / "x.pt2", "--rounds", "1")
    said = capsys.readouterr().out
    assert re.search(r"parity .* batches of 1, 2, 5: \d\.\de-0\d of the largest score \(limit 1e-04\)", said)
    assert "the same first class in 8 of 8 clips" in said
    heads = "1 clip, ms (of CPU) | 8 clips, ms (of CPU) | 8 clips, times as fast |"
    assert f"{torch.get_num_threads()} threads, median of 1 | {heads}" in said
    rows = re.findall(r"^\| ([\w.]+) \| [\d.]+ \([\d.]+\) \| [\d.]+ \([\d.]+\) \| [\d.]+ \|$", said, re.MULTILINE)
    assert rows == ["checkpoints", "folded", "x.pt2"]
    assert f"computing flow comes on top, {FRAMES} pairs of frames per clip: docs/flow.md" in said
    run(made["rgb"], "--format", "safetensors", "--out", tmp_path / "x.safetensors", "--rounds", "1")
    said = capsys.readouterr().out
    assert "flow" not in said
    assert "|" not in said


def test_all_that_is_timed_follows_to_another_device(made, exported):
    path, other = exported("pt2", *FUSED, words=WORDS), torch.device("meta")
    kind = FORMATS["pt2"]._replace(devices=lambda: ("meta",))
    calls = export_checks.timed_calls(build_export([made[name] for name in FUSED]), kind, path, other, path.name)
    assert list(calls) == ["checkpoints", "folded", path.name]
    batch = {name: x.to(other) for name, x in clips(2).items()}
    for name in ("folded", path.name):  # torch has no autocast, which the checkpoints ask about, for this device
        assert calls[name](batch)["logits"].device == other


@pytest.mark.slow
def test_float16_is_not_timed_on_a_cpu(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run(made["rgb"], "--format", "pt2", "--out", tmp_path / "x.pt2", "--dtype", "float16", "--rounds", "1")
    assert "float16 is for GPUs: it is not timed on the CPU" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["weights", "scores that are no numbers"])
def test_a_file_that_differs_from_its_checkpoints_is_not_left(damage, made, tmp_path, monkeypatch):
    def write(own, file):
        with torch.no_grad():
            weight = own.models[0].network.fc.weight
            kept = weight.clone()
            weight.mul_(1.001) if damage == "weights" else weight.fill_(3e38)  # whose sums are infinite
            FORMATS["safetensors"].write(own, file)
            weight.copy_(kept)

    words = [made["rgb"], "--format", "safetensors", "--out"]
    before = run(*words, tmp_path / "x.safetensors").read_bytes()
    worse = FORMATS["safetensors"]._replace(write=write)
    monkeypatch.setattr("workflows.exporting.export.FORMATS", {"safetensors": worse})
    for name in ("x", "y"):
        message = rf"{name}\.safetensors: not written, it is .* of the largest score away .*: --tolerance accepts it"
        with pytest.raises(ValueError, match=message):
            run(*words, tmp_path / f"{name}.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
    assert (tmp_path / "x.safetensors").read_bytes() == before
    if damage == "weights":
        run(*words, tmp_path / "x.safetensors", "--tolerance", "1e-2")
        assert (tmp_path / "x.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["run", "jump", "sit"]}, r"b\.pth: its classes are not those of .*rgb\.pth"),
        ({"recipe": {"short_side": 40}}, r"b\.pth: made with --short_side 40, .* with source; they cannot be fused"),
        ({"recipe": {"sample_duration": 16}}, r"b\.pth: made with sample_duration 16"),
        ({"recipe": {"clip_stride": 2}}, r"b\.pth: made with clip_stride 2, .* with 1; they cannot be fused"),
        ({"recipe": {"provenance": {"fps": 10.0}}}, r"b\.pth: made with fps 10\.0"),
        ({"stream": "sound"}, r"b\.pth: does not say how to use it"),
        ({"arch": "resnet-18"}, r"b\.pth: weights of resnet-18, not resnet-10"),
    ],
)
def test_a_pair_that_does_not_fit_together_is_refused(changes, message, made, tmp_path):
    other = write_checkpoint(tmp_path / "b.pth", networks("sfs")[0], **changes)
    with pytest.raises(ValueError, match=message):
        run(made["rgb"], other, "--format", "pt2", "--out", tmp_path / "x.pt2")
    assert [file.name for file in tmp_path.iterdir()] == ["b.pth"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("RGB --format pt2 --out x.onnx", r"--out x\.onnx: its name must end in \.pt2"),
        ("RGB --format openvino --out x.onnx", r"--out x\.onnx: its name must end in \.xml"),
        ("RGB --format onnx --dtype bfloat16", "--dtype bfloat16: --format onnx takes float32 or float16"),
        ("RGB --format openvino --dtype float16 --out x.xml", "--dtype float16: --format openvino takes float32 or bf"),
        ("RGB --format pt2 --dtype int8 --calibrate x", "--dtype int8: --format pt2 takes float32"),
        ("RGB --format openvino --dtype int8", "--dtype int8 and --calibrate need each other"),
        ("RGB --format openvino --calibrate x", "--dtype int8 and --calibrate need each other"),
        ("RGB SFS --format safetensors", "--format safetensors holds the weights of one network .*use --format pt2"),
        ("RGB --format safetensors --softmax", "--format safetensors holds the weights of one network"),
        ("RGB --format pt2 --softmax --fusion l2", "--softmax is for the logits of --fusion activno"),
        ("RGB SFS --format pt2 --fusion_weights 1", r"--fusion_weights \[1\.0\]: 2 streams need 2 weights"),
        ("RGB --format pt2 --rounds -1", "--rounds must be >= 0, got -1"),
        ("none.pth --format pt2", r"none\.pth: no such checkpoint file"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_cure(words, message, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    words = [str(made[word.lower()]) if word.isupper() else word for word in words.split()]
    out = [] if "--out" in words else ["--out", f"x.{words[words.index('--format') + 1]}"]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export.main(export.parse_args([*words, *out]))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_overwritten_by_its_export(made, tmp_path):
    path = run(made["rgb"], "--format", "safetensors", "--out", tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors: this is the checkpoint itself"):
        export.main(export.parse_args([str(path), "--format", "safetensors"]))
    again = run(path, "--format", "safetensors", "--out", tmp_path / "y.safetensors")
    assert checkpoint.load(again)["class_names"] == NAMES


def test_without_a_name_the_file_lies_beside_its_checkpoint(made, tmp_path):
    copy = tmp_path / "sfs.best.pth"
    copy.write_bytes(made["sfs"].read_bytes())
    export.main(export.parse_args([str(copy), "--format", "safetensors"]))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sfs.best.pth", "sfs.best.safetensors"]


def test_bare_weights_are_sent_to_the_tool_that_takes_them(tmp_path):
    torch.save({"arch": "resnet-10", "state_dict": small("resnet").state_dict()}, tmp_path / "x.pth")
    with pytest.raises(
        ValueError, match=r"x\.pth: does not say how to use it, .*utils1/checkpoint\.py FILE --export FILE\.safetensors"
    ):
        run(tmp_path / "x.pth", "--format", "pt2", "--out", tmp_path / "x.pt2")


@pytest.mark.slow
@needs_onnx
def test_the_script_runs_by_its_name_and_says_only_what_matters(made, tmp_path):
    words = [made["rgb"], "--format", "onnx", "--out", "x.onnx", "--rounds", "0"]
    command = [sys.executable, "-W", "error", str(ROOT / "export.py"), *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONWARNINGS": "error", "HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == done.stdout.count("\n") == 1
    assert done.stderr.startswith("x.onnx: ")
    assert not list(tmp_path.glob("home/.cache/Microsoft"))  # what onnxruntime keeps for its telemetry


def write_video(path: Path, fps: float, frames: int = 40) -> None:
    """Something that moves, on a video of 80x60."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (80, 60))
    y, x = np.mgrid[:60, :80]
    for t in range(frames):
        channels = (128 + 100 * np.sin(x / 9 + t / 6), 128 + 100 * np.cos(y / 7), 90 + 0 * x)
        writer.write(np.stack(channels, 2).astype(np.uint8))
    writer.release()


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("fps", "stride", "frames"), [(25, 1, 40), (50, 2, 40), (12.5, 1, 20), (30, 1, 51), (25, 1, 5)]
)
def test_clips_as_the_document_cuts_them_are_those_of_a_test(fps, stride, frames, tmp_path):
    write_video(tmp_path / "video.avi", fps, frames)
    recipe = CLIP | {"clip_stride": stride, "provenance": {"fps": 25.0, "short_side": 48}}
    names: dict = {}
    exec(snippets()[0], names)
    cut = names["clips_of"](str(tmp_path / "video.avi"), recipe)
    read = np.stack(list(read_video(tmp_path / "video.avi", 25.0, 48)))
    whole = resample_frames(read, crops.TestCrops(SIZE)(np.random.default_rng(0))(*read.shape[1:3]))
    numbers = all_clips(whole.shape[1], FRAMES, stride, 0, "drop")
    assert cut.shape == (len(numbers), 3, FRAMES, SIZE, SIZE)
    for clip, chosen in zip(cut, numbers, strict=True):
        wanted = whole[:, [number - 1 for number in chosen]]
        assert np.abs(clip.astype(float) - wanted).mean() < 1


@needs_onnx
def test_the_snippets_of_the_document_run(exported, tmp_path, monkeypatch, capsys):
    (tmp_path / "sfs.safetensors").symlink_to(exported("safetensors", "sfs"))
    for kind in ("pt2", "onnx"):
        (tmp_path / f"sts.{kind}").symlink_to(exported(kind, "rgb", words=("--softmax",)))
    write_video(tmp_path / "video.avi", 25)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    names: dict = {}
    for text in snippets():
        if "openvino" not in text:  # test_export_engines has its file
            exec(text, names)
    first, second, third = capsys.readouterr().out.strip().split("\n")
    assert first in NAMES
    assert second.startswith(f"{first} 0.")
    assert third.startswith("resnet-10")


def test_the_commands_of_the_document_can_be_parsed():
    blocks = re.findall(r"```\n(python export.*?)```", (ROOT / "docs" / "export.md").read_text(), re.DOTALL)
    for line in "".join(blocks).strip().split("\n"):
        opt = export.parse_args(line.split()[2:])
        assert destination(opt.out, opt.format, opt.checkpoints).suffix == FORMATS[opt.format].suffix
