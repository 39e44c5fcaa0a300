"""Networks as safetensors files: written, read, and used by the scripts in place of a checkpoint."""

import json
from argparse import Namespace

import pytest
import torch
from helpers import small, words_for
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import test_single_stream
import train
from datasets import RGB
from engine import checkpoint
from engine.checkpoint import tensor_file
from models import load_stream
from opts import parse_opts


def state_of(network: nn.Module) -> dict:
    return {
        "epoch": 3,
        "step": 0,
        "arch": "resnet-10",
        "stream": "rgb",
        "class_names": ["run", "jump ü"],
        "recipe": {"sample_size": 32, "provenance": {"fps": 25.0, "bound": None}},
        "options": {"model": "resnet", "distill": ["mse"], "only_RGB": False, "width": 0.125},
        "metrics": {"acc": 0.5, "loss": 1.25},
        "best": [0.5, -1.25],
        "optimizer": {"state": {}},
        "rng": [{}],
        "state_dict": network.state_dict(),
    }


def test_a_network_and_its_description_come_back(tmp_path):
    state, path = state_of(small("resnet")), tmp_path / "x.safetensors"
    tensor_file.write(path, state, "x.pth")
    loaded = checkpoint.load(path)
    assert loaded["state_dict"].keys() == state["state_dict"].keys()
    for name, tensor in state["state_dict"].items():
        assert torch.equal(tensor, loaded["state_dict"][name]), name
        assert tensor.dtype == loaded["state_dict"][name].dtype
    described = {name: value for name, value in state.items() if name in tensor_file.DESCRIPTION}
    assert {name: value for name, value in loaded.items() if name != "state_dict"} == described
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_other_programs_find_the_description_as_json(tmp_path):
    tensor_file.write(tmp_path / "x.safetensors", state_of(nn.Linear(3, 2)), "x.pth")
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert json.loads(file.metadata()["sts_net"])["class_names"] == ["run", "jump ü"]
        assert file.get_tensor("weight").shape == (2, 3)


@pytest.mark.parametrize("bare", [True, False])
def test_published_weights_are_exported_without_their_prefix(bare, tmp_path):
    weights = {f"module.{name}": tensor for name, tensor in nn.Linear(3, 2).state_dict().items()}
    state = weights if bare else {"arch": "resnext-101", "state_dict": weights}
    tensor_file.write(tmp_path / "x.safetensors", state, "x.pth")
    assert checkpoint.load(tmp_path / "x.safetensors")["state_dict"].keys() == {"weight", "bias"}


def test_tensors_that_share_memory_or_are_not_contiguous_are_written(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    weights = {"a": whole, "b": whole.t(), "c": whole[:, 1], "empty": torch.zeros(0, 3), "one": torch.tensor(True)}
    tensor_file.write(tmp_path / "x.safetensors", {"state_dict": weights}, "x.pth")
    loaded = checkpoint.load(tmp_path / "x.safetensors")["state_dict"]
    assert all(torch.equal(weights[name], loaded[name]) for name in weights)


def test_files_of_others_load_and_their_missing_checksum_is_said(tmp_path, caplog):
    save_file(nn.Linear(3, 2).state_dict(), tmp_path / "other.safetensors", {"format": "pt"})
    assert checkpoint.load(tmp_path / "other.safetensors").keys() == {"state_dict"}
    assert "other.safetensors: has no checksum" in caplog.text


@pytest.mark.parametrize(
    ("state", "name", "message"),
    [
        ({"state_dict": {}}, "x.safetensors", "a.pth: holds no network weights"),
        ({"state_dict": {"a": [1]}}, "x.safetensors", "a.pth: holds no network weights"),
        ({"state_dict": {"a": torch.ones(1)}}, "x.pt", r"x\.pt: its name must end in \.safetensors"),
    ],
)
def test_what_cannot_be_exported_is_refused(state, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        tensor_file.write(tmp_path / name, state, "a.pth")
    assert not list(tmp_path.iterdir())


def test_a_description_that_is_none_is_refused(tmp_path):
    tensors = {"a": torch.ones(1)}
    for said in ("[1]", "{", "[" * 100_000):
        save_file(tensors, tmp_path / "x.safetensors", {"sts_net": said, "sha256": tensor_file.checksum(said, tensors)})
        with pytest.raises(ValueError, match=r"x\.safetensors: its description"):
            checkpoint.load(tmp_path / "x.safetensors")


def test_scripts_take_an_exported_network_where_they_take_a_checkpoint(hmdb51, tmp_path):
    train.main(parse_opts([*words_for(hmdb51, tmp_path / "run"), "--modality", "RGB"]))
    (made,) = (tmp_path / "run").rglob("*varLR1.pth")
    exported = tmp_path / "rgb.safetensors"
    tensor_file.write(exported, checkpoint.load(made), str(made))
    results = []
    for path in (made, exported):
        words = words_for(hmdb51, tmp_path / "test", network=())
        results.append(test_single_stream.main(parse_opts([*words, "--resume_path1", str(path)])))
    assert results[0] == results[1]
    state = checkpoint.load(exported)
    assert load_stream(Namespace(**state["options"]), RGB, state, str(exported)).num_classes == 3
