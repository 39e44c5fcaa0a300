"""The commands' work, from Python by keyword arguments, without a parsed command line."""

import json
import re
import shutil
from argparse import Namespace

import numpy as np
import pytest
import torch
from answering import NAMES, run, write_weights
from source_files import ROOT

import export as export_script
from datasets import FLOW, RGB
from datasets.synthetic import render, write_avi
from engine import checkpoint
from models import StreamNetwork, load_stream
from utils1 import audit, grad_cam
from workflows.auditing.audit import audit_videos
from workflows.exporting.export import export
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe
from workflows.packing.pack import pack_tree, unpack_tree, verify_tree
from workflows.predicting.predict import predict
from workflows.predicting.trained import listed
from workflows.understanding.grad_cam import draw_grad_cam

PAGE = ROOT / "docs" / "predict.md"
COUNTS = ("frame_stride", "window_stride", "batch_size")
RECIPE = {"sample_size": 32, "sample_duration": 8, "provenance": {"fps": 25.0, "short_side": 40}}


@pytest.fixture(scope="module")
def video(videos):
    return videos / "run" / "short.avi"


def network_in(file: str, stream=RGB) -> StreamNetwork:
    """The network of a checkpoint, in training mode."""
    state = checkpoint.load(file)
    return load_stream(Namespace(**state["options"]), stream, state, file).train()


def said(capsys, *words) -> dict:
    """Return the prediction of predict.py for its first video."""
    run(*words, "--logits", "--json", "-")
    return json.loads(capsys.readouterr().out)["videos"][0]


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (["rgb"], {}),
        (["rgb", "student"], {"fusion": "tanh", "fusion_weights": [1.0, 2.0], "frame_stride": 2}),
        (["rgb", "flow"], {"window_stride": 3, "batch_size": 2}),
    ],
)
def test_a_prediction_is_that_of_the_command_to_the_last_bit(names, settings, weights, video, capsys):
    files = [weights[name] for name in names]
    words = [f"--{name}={value}" for name, value in settings.items() if name != "fusion_weights"]
    words += ["--fusion_weights", 1, 2] if "fusion_weights" in settings else []
    expected = said(capsys, video, "--weights", *files, *words, "--device", "cpu")
    answer = predict(str(video), files, device="cpu", **settings)
    assert answer.logits.tolist() == [row["values"] for row in expected["logits"]]
    assert [{"class": name, "probability": round(p, 6)} for name, p in answer.top()] == expected["top"]
    assert list(answer.by_class) == [name for name, _ in answer.top(3)]
    assert answer.by_class == {name: answer.probabilities[i].item() for i, name in enumerate(NAMES)}
    assert [span.record() for span in answer.timeline.windows()] == expected["windows"]
    assert capsys.readouterr().out == ""


def test_the_example_of_the_page_runs(weights, video, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for name, file in (("rgb.pth", weights["rgb"]), ("sfs.pth", weights["student"]), ("video.avi", video)):
        shutil.copy(file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names = {"videos": [video]}
    exec(code, names)
    (answer,) = names["answers"]
    assert torch.equal(answer.logits, names["answer"].logits)
    assert capsys.readouterr().out.splitlines() == [f"{p:.3f}  {name}" for name, p in answer.top()]


def test_networks_of_a_program_are_used_like_their_files_and_stay_as_they_are(weights, video):
    files = [weights["rgb"], weights["flow"]]
    rgb, flow = network_in(files[0]), network_in(files[1], FLOW)
    before = {name: value.clone() for name, value in rgb.state_dict().items()}
    expected = predict(video, files, device="cpu")
    pairs = [(rgb, checkpoint.load(files[0])), (flow, checkpoint.load(files[1]))]
    assert torch.equal(predict(video, pairs, device="cpu").logits, expected.logits)
    alone = predict(video, rgb, class_names=NAMES, recipe=RECIPE, device="cpu")
    assert torch.equal(alone.logits, predict(video, files[0], device="cpu").logits)
    assert rgb.training
    assert all(weight.requires_grad for weight in rgb.parameters())
    assert all(torch.equal(value, before[name]) for name, value in rgb.state_dict().items())


def test_a_given_recipe_or_names_go_before_those_of_the_file(weights, video):
    answer = predict(
        video, weights["rgb"], class_names=["x", "y", "z"], recipe=RECIPE | {"clip_stride": 3}, device="cpu"
    )
    assert answer.by_class.keys() == {"x", "y", "z"}
    assert answer.timeline.span == 22
    strided = predict(video, weights["rgb"], frame_stride=3, device="cpu")
    assert torch.equal(answer.logits, strided.logits)


def test_one_network_or_several_are_listed(weights):
    network, file = network_in(weights["rgb"]), weights["rgb"]
    for alone in (file, network, (network, {})):
        assert listed(alone) == [alone]
    assert listed((network, file)) == [network, file]
    assert listed(name for name in (file, file)) == [file, file]


def test_networks_that_cannot_be_used_are_refused_with_the_cure(weights, video, tmp_path):
    network = network_in(weights["rgb"])
    network.class_names, network.recipe = [], {}
    other = write_weights(tmp_path / "other.pth", names=("a", "b", "c"))
    known = {"class_names": NAMES, "recipe": RECIPE}
    for networks, settings, problem in (
        (network, {}, "network 1: its classes and clips are not known: give class_names and recipe"),
        (network, known | {"class_names": ["a", "b"]}, "network 1: 3 outputs for 2 class names"),
        ([network, network], known, "network 1: named twice; a network fused with itself"),
        (network, known | {"recipe": {"sample_size": 32}}, "recipe: sample_duration is missing; give sample_size and"),
        ([], {}, "no networks: give at least one"),
        ([(network, checkpoint.load(weights["rgb"])), other], {}, "other.pth: its classes are not those of network 1"),
        (weights["rgb"], {"device": "tpu"}, "--device tpu: use auto, cpu"),
        *((weights["rgb"], {name: 0}, f"--{name} must be >= 1, got 0") for name in COUNTS),
    ):
        with pytest.raises(ValueError, match=problem):
            predict(video, networks, **settings)


def test_an_export_is_the_file_of_the_command(weights, tmp_path):
    done = export(weights["rgb"], tmp_path / "here.safetensors", dtype="bfloat16")
    words = [weights["rgb"], *"--format safetensors --dtype bfloat16 --out".split()]
    parity = export_script.main(export_script.parse_args([*words, str(tmp_path / "there.safetensors")]))
    assert done.path == tmp_path / "here.safetensors"
    assert done.parity == parity
    here, there = (checkpoint.load(tmp_path / f"{name}.safetensors") for name in ("here", "there"))
    tensors = here.pop("state_dict"), there.pop("state_dict")
    assert here == there
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(weight, tensors[1][name]) for name, weight in tensors[0].items())


@pytest.mark.slow
def test_networks_of_a_program_become_a_file_with_what_is_said_of_them(weights, tmp_path):
    network = network_in(weights["rgb"])
    done = export(network, tmp_path / "net.pt2", class_names=NAMES, recipe=RECIPE, softmax=True)
    assert done.parity.agreeing == done.parity.clips
    assert done.plan.about()["class_names"] == list(NAMES)
    assert done.plan.about()["checkpoints"][0]["file"] == "network 1"
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())


def test_an_export_that_cannot_be_is_refused(weights, tmp_path):
    network = network_in(weights["rgb"])
    with pytest.raises(ValueError, match=r"net\.bin: its name must end in \.safetensors or \.pt2 or \.onnx"):
        export(weights["rgb"], tmp_path / "net.bin")
    with pytest.raises(ValueError, match="no file: name one"):
        export(network, format="pt2")
    with pytest.raises(ValueError, match="network 1: the file would not say which network it is"):
        export(network, tmp_path / "net.safetensors", class_names=NAMES, recipe=RECIPE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_grad_cam_is_drawn_as_by_the_command(weights, video, tmp_path, capsys):
    drawn = draw_grad_cam(video, [weights["rgb"]], tmp_path / "here", target="wave", device="cpu")
    words = [str(video), "--weights", weights["rgb"], "--target", "wave", "--device", "cpu", "--out"]
    assert capsys.readouterr().out == ""
    (track,) = grad_cam.main(grad_cam.parse_args([*words, str(tmp_path / "there")]))
    assert drawn.class_names[drawn.target] == "wave"
    assert np.array_equal(drawn.tracks[0].heat, track.heat)
    files = sorted(path.name for path in drawn.folder.iterdir())
    assert "video.mp4" in files
    for name in files:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_an_audit_gives_its_report_and_raises_nothing_for_what_it_finds(own_hmdb51, capsys, tmp_path):
    frames, labels = own_hmdb51 / "frames", own_hmdb51 / "labels"
    bad = next(frames.glob("*/*/00002.jpg"))
    bad.write_bytes(b"")
    report = audit_videos(frames, labels, splits=(1,), n_workers=1, quarantine=True, json=tmp_path / "a.json")
    assert [problem.kind for problem in report.errors] == ["empty"]
    assert capsys.readouterr().out == ""
    assert bad.parent.name in (frames / "quarantine.tsv").read_text()
    words = ["--frame_dir", str(frames), "--annotation_path", str(labels), *"--split 1 --n_workers 1 --json".split()]
    with pytest.raises(ValueError, match=r"errors found: \d+; all are listed in .*audit\.tsv"):
        audit.main(audit.parse_args([*words, str(tmp_path / "b.json")]))
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())


def test_frame_folders_are_packed_verified_and_restored(own_hmdb51, tmp_path):
    frames = own_hmdb51 / "frames"
    pack_tree(frames, tmp_path / "packed", workers=1)
    verify_tree(tmp_path / "packed", frames, workers=1)
    unpack_tree(tmp_path / "packed", tmp_path / "again", workers=1)
    for image in frames.rglob("*.jpg"):
        assert (tmp_path / "again" / image.relative_to(frames)).read_bytes() == image.read_bytes()
    with pytest.raises(ValueError, match="lies in it; choose another DST"):
        pack_tree(frames, frames / "packed")
    with pytest.raises(ValueError, match="--workers 0: must be at least 1"):
        unpack_tree(tmp_path / "packed", tmp_path / "new", workers=0)


def test_frames_and_flow_are_extracted_as_a_recipe_says(video, tmp_path):
    recipe = Recipe(short_side=32, fps=10.0, flow=FlowRecipe(name="dis", bound=5.0))
    extract_videos(video.parents[1], str(tmp_path / "out"), recipe, workers=1)
    names = sorted(path.name for path in (tmp_path / "out" / "run" / "short").iterdir())
    assert names[:4] == [f"{i:05d}.jpg" for i in range(1, 5)]  # 0.44 s
    assert [name for name in names if "_x_" in name] == [f"TVL1jpg_x_{i:05d}.jpg" for i in range(1, 4)]
    assert json.loads((tmp_path / "out" / "flow.json").read_text())["bound"] == 5.0
    with pytest.raises(ValueError, match="--workers 0 is not at least 1"):
        extract_videos(video.parents[1], tmp_path / "new", workers=0)


def test_a_video_is_classified_by_one_network_of_spread_frames(tmp_path):
    file = write_weights(tmp_path / "spread.pth", test={"test_sampling": "segments"})
    write_avi(tmp_path / "v.avi", render("disc_rise", 0, 0, frames=20)[0])
    answer = predict(tmp_path / "v.avi", file, device="cpu")
    assert len(answer.timeline.starts) == 1
    with pytest.raises(
        ValueError, match=r"spread\.pth: trained on frames spread over whole videos, and --window_stride"
    ):
        predict(tmp_path / "v.avi", file, window_stride=4, device="cpu")
