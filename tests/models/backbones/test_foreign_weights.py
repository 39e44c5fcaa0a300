"""Weights of others: what they were trained to see, what they leave open, and values that are no numbers."""

import json
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import TINY, small, words_for
from torch import Tensor

import predict
import STS_train
import test_single_stream
import test_two_stream
import train
from datasets import RGB
from engine import checkpoint
from engine.checkpoint.__main__ import main as print_card
from engine.checkpoint.__main__ import parse_args as parse_card
from models import NORMALISATIONS, load_stream
from models.weights import load_weights
from opts import adopt, parse_opts
from sts_common.json_text import as_json
from utils1 import grad_cam, layer_similarity, verify
from workflows.exporting.plan import build_export
from workflows.predicting.predict_options import build_parser

NETWORK = "--model resnet --model_depth 10 --width 0.125".split()
MEAN, STD = (0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)


def hara_logits(weights: dict[str, Tensor], clips: Tensor, t_stride: int = 1, pools: bool = True) -> Tensor:
    """Compute the 3D-ResNets project's output of bytes (N, 3, T, H, W) with basic blocks, in eval mode."""

    def norm(x: Tensor, name: str) -> Tensor:
        own = [weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *own)

    def conv(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        return F.conv3d(x, weights[f"{name}.weight"], None, stride, padding)

    shape = (1, 3, 1, 1, 1)
    x = (clips / 255 - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)
    stem = weights["conv1.weight"]
    x = F.relu(norm(F.conv3d(x, stem, None, (t_stride, 2, 2), (stem.shape[2] // 2, 3, 3)), "bn1"))
    x = F.max_pool3d(x, 3, 2, 1) if pools else x
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in weights:
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = F.relu(norm(conv(x, f"{name}.conv1", stride, 1), f"{name}.bn1"))
            out = norm(conv(out, f"{name}.conv2", 1, 1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in weights:
                x = norm(conv(x, f"{name}.downsample.0", stride, 0), f"{name}.downsample.1")
            x, block = F.relu(out + x), block + 1
    return F.linear(x.mean((2, 3, 4)), weights["fc.weight"], weights["fc.bias"])


def lively(network) -> dict[str, Tensor]:
    """Weights with statistics and biases of a network that has seen something."""
    generator = torch.Generator().manual_seed(5)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.3, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
    return state


def balanced(weights: dict[str, Tensor], clips: Tensor, **stem) -> dict[str, Tensor]:
    """The same with a classifier that prefers no class, so that the first one of a clip says something."""
    weights["fc.bias"] -= hara_logits(weights, clips, **stem).mean(0)
    return weights


def as_hara(weights: dict[str, Tensor], depth: int = 10, prefix: str = "") -> dict:
    """A checkpoint as the version of 2020 writes it."""
    named = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    return {"epoch": 200, "arch": f"resnet-{depth}", "state_dict": named, "optimizer": {}, "scheduler": {}}


def seen_by(model, clips: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.eval()({"rgb": clips}).logits


@pytest.fixture
def clips() -> Tensor:
    """Eight clips of unlike colours."""
    generator = torch.Generator().manual_seed(7)
    colour = torch.randint(0, 200, (8, 3, 1, 1, 1), generator=generator)
    return (colour + torch.randint(0, 56, (8, 3, 8, 48, 48), generator=generator)).to(torch.uint8)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("t_size", [3, 7])
@pytest.mark.parametrize(
    ("words", "t_stride", "pools"),
    [([], 1, True), (["--conv1_t_stride", "2"], 2, True), (["--no_max_pool"], 1, False)],
)
def test_weights_of_3d_resnets_give_its_logits(words, t_stride, pools, t_size, prefix, clips, caplog, tmp_path):
    network = small("resnet", num_classes=11, conv1_t_size=t_size)
    weights = balanced(lively(network), clips, t_stride=t_stride, pools=pools)
    torch.save(as_hara(weights, prefix=prefix), tmp_path / "r3d.pth")
    opt = parse_opts([*NETWORK, *words])
    with caplog.at_level(logging.INFO):
        model = load_stream(opt, RGB, checkpoint.load(tmp_path / "r3d.pth"), "r3d.pth")
    expected, got = hara_logits(weights, clips, t_stride, pools), seen_by(model, clips)
    assert len(expected.argmax(1).unique()) > 2
    assert (got.argmax(1) == expected.argmax(1)).sum() == 8
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert "r3d.pth: written as 3D-ResNets of 2020" in caplog.text
    assumed = caplog.text.partition("it is assumed: ")[2]
    assert ("--conv1_t_stride 1" in assumed) == (t_stride == 1)
    assert ("--no_max_pool off" in assumed) == pools


def test_with_another_normalisation_they_would_say_something_else(clips):
    weights = balanced(lively(small("resnet", num_classes=11)), clips)
    published = load_stream(parse_opts([*NETWORK, "--normalisation", "sts"]), RGB, as_hara(weights), "r3d.pth")
    assert (seen_by(published, clips).argmax(1) == hara_logits(weights, clips).argmax(1)).sum() < 4


@pytest.mark.parametrize(
    ("state", "words", "mean", "said"),
    [
        (lambda w: w, [], RGB.mean, "does not say how inputs are normalised"),
        (lambda w: {"state_dict": w, "arch": "resnet-10"}, [], NORMALISATIONS["3d-resnets"]["rgb"][0], "of 2020"),
        (lambda w: {"state_dict": {f"module.{k}": v for k, v in w.items()}, "arch": "resnet-10"}, [], RGB.mean, "MARS"),
        (lambda w: w, ["--normalisation", "half"], (127.5,) * 3, ""),
        (lambda w: w, ["--normalisation", "1", "2", "3", "4", "5", "6"], (1.0, 2.0, 3.0), ""),
        (
            lambda w: {"state_dict": w, "recipe": {"normalisation": {"mean": [9.0] * 3, "std": [2.0] * 3}}},
            ["--normalisation", "half"],
            (9.0,) * 3,
            "states its normalisation",
        ),
    ],
)
def test_a_file_that_does_not_say_how_inputs_are_normalised_is_named(state, words, mean, said, caplog):
    with caplog.at_level(logging.INFO):
        model = load_stream(parse_opts([*NETWORK, *words]), RGB, state(small("resnet").state_dict()), "file.pth")
    assert model.normalisation["mean"] == pytest.approx(mean)
    named = [record.message for record in caplog.records if "normalis" in record.message or "inputs" in record.message]
    assert [said in message and message.startswith("file.pth: ") for message in named] == [True] * bool(said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--normalisation", "caffe"], "expected one of auto, sts, 3d-resnets"),
        (["--normalisation", "1", "2", "3", "4", "5", "0"], "standard deviations, > 0"),
        (["--normalisation", "nan", "2", "3", "4", "5", "6"], "standard deviations, > 0"),
        (["--normalisation", "3d-resnets", "--modality", "Flow"], "has no values for --modality Flow"),
        (["--normalisation", "1", "2", "3", "4"], "has no values for --modality RGB"),
        (["--conv1_t_stride", "0"], "--conv1_t_stride must be >= 1"),
    ],
)
def test_normalisations_and_stems_that_cannot_be_are_refused(words, message, capsys):
    with pytest.raises((SystemExit, ValueError)) as error:
        train.start_stream(parse_opts([*NETWORK, *words]), RGB, {}, "", 3, resuming=False)
    assert message in f"{capsys.readouterr().err} {error.value}"


def test_the_stem_is_found_from_the_weights_unless_another_is_given():
    state = as_hara(small("resnet", conv1_t_size=3).state_dict())
    assert adopt(parse_opts(NETWORK), state, ["conv1_t_size"]).conv1_t_size == 3
    with pytest.raises(ValueError, match=r"x.pth: a first convolution over 3 frames.*leave out --conv1_t_size"):
        load_stream(parse_opts([*NETWORK, "--conv1_t_size", "7"]), RGB, state, "x.pth")


def test_fine_tuning_keeps_what_the_weights_need_and_the_exports_of_it_know(hmdb51, tmp_path):
    """A stem of 3 frames with stride 2, in grey levels of 0 to 1: nobody has to say it again."""
    torch.save(as_hara(small("resnet", width=0.0625, conv1_t_size=3).state_dict()), tmp_path / "r3d.pth")
    words = [*words_for(hmdb51, tmp_path), "--pretrain_path", str(tmp_path / "r3d.pth"), "--conv1_t_stride", "2"]
    train.main(parse_opts(words))
    path = next(tmp_path.rglob("*_best.pth"))
    state = checkpoint.load(path)
    assert state["recipe"]["normalisation"]["std"] == pytest.approx([255 * std for std in STD], rel=1e-6)
    assert (state["options"]["conv1_t_size"], state["options"]["conv1_t_stride"]) == (3, 2)
    model = build_export([str(path)]).models[0]
    assert model.network.conv1.stride == (2, 2, 2)
    assert model.normalisation == state["recipe"]["normalisation"]


@pytest.mark.parametrize("name", ["arch", "resnext"])
def test_an_exported_network_of_others_stays_known_as_theirs(name, tmp_path, caplog):
    state = as_hara(small("resnet").state_dict()) | ({"arch": "resnext-101"} if name == "resnext" else {})
    torch.save(state, tmp_path / "r3d.pth")
    print_card(parse_card([str(tmp_path / "r3d.pth"), "--export", str(tmp_path / "r3d.safetensors")]))
    loaded = checkpoint.load(tmp_path / "r3d.safetensors") | {"arch": "resnet-10"}
    model = load_stream(parse_opts(NETWORK), RGB, loaded, "r3d")
    assert model.normalisation["mean"] == pytest.approx(NORMALISATIONS["3d-resnets"]["rgb"][0])


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "layer1._orig_mod.0."]
)
def test_names_may_be_wrapped_by_data_parallel_and_torch_compile(prefix, tmp_path):
    network, other = small("resnet"), small("resnet")
    plain = network.state_dict()
    if prefix.startswith("layer1"):
        wrapped = {name.replace("layer1.0.", prefix): tensor for name, tensor in plain.items()}
    else:
        wrapped = {prefix + name: tensor for name, tensor in plain.items()}
    load_weights(other, wrapped, "wrapped.pth")
    assert all(torch.equal(a, b) for a, b in zip(plain.values(), other.state_dict().values(), strict=True))
    torch.save({"state_dict": wrapped}, tmp_path / "x.pth")
    described = print_card(parse_card([str(tmp_path / "x.pth"), "--export", str(tmp_path / "x.safetensors")]))
    assert described["channels"] == 3
    assert checkpoint.load(tmp_path / "x.safetensors")["state_dict"].keys() == plain.keys()


@pytest.fixture(scope="module")
def trained(hmdb51, tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of an epoch, and the same with a weight that is no number."""
    found = {}
    for modality in ("RGB", "Flow"):
        folder = tmp_path_factory.mktemp(modality)
        train.main(parse_opts([*words_for(hmdb51, folder), "--modality", modality]))
        path = next(folder.rglob("*_best.pth"))
        state = checkpoint.load(path)
        state["state_dict"]["layer2.0.bn1.running_var"][3] = float("nan")
        torch.save(state, folder / "nan.pth")
        found |= {modality: path, f"nan {modality}": folder / "nan.pth"}
    return found


COMMANDS = {
    "predict": lambda w, film, bad, flow: predict.main(build_parser().parse_args([str(film), "--weights", bad])),
    "test_single_stream": lambda w, film, bad, flow: test_single_stream.main(parse_opts([*w, "--resume_path1", bad])),
    "test_two_stream": lambda w, film, bad, flow: test_two_stream.main(
        parse_opts([*w, "--stream", f"flow={flow}", "--stream", f"rgb={bad}"])
    ),
    "train --pretrain_path": lambda w, film, bad, flow: train.main(parse_opts([*w, "--pretrain_path", bad])),
    "the teacher": lambda w, film, bad, flow: STS_train.main(
        parse_opts([*w, *TINY, "--modality", "RGB_Flow", "--resume_path1", bad])
    ),
    "export": lambda w, film, bad, flow: build_export([bad]),
    "grad_cam": lambda w, film, bad, flow: grad_cam.main(grad_cam.parse_args([str(film), "--weights", bad])),
    "layer_similarity": lambda w, film, bad, flow: layer_similarity.main(
        layer_similarity.parse_args(["--student", bad, "--teacher", flow, *w[:6]])
    ),
    "verify": lambda w, film, bad, flow: verify.main(verify.parse_args([bad, *w[1:4]])),
    "--export_published": lambda w, film, bad, flow: print_card(parse_card([bad, "--export_published", "out.pth"])),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_weights_that_are_no_numbers_are_refused_by_name(command, trained, hmdb51, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = words_for(hmdb51, tmp_path, network=())
    film = next((hmdb51 / "frames").rglob("done")).parent
    bad = trained["nan Flow" if command == "the teacher" else "nan RGB"]
    with pytest.raises(ValueError, match=r"nan.pth: layer2.0.bn1.running_var holds NaN"):
        COMMANDS[command](words, film, str(bad), str(trained["Flow"]))
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".txt", ".npz", ".pth")]


def test_infinity_is_refused_as_well():
    state = small("resnet").state_dict()
    state["fc.bias"][1] = float("-inf")
    with pytest.raises(ValueError, match=r"x.pth: fc.bias holds infinity"):
        load_weights(small("resnet"), state, "x.pth")


def test_scores_that_are_no_numbers_are_refused_though_all_weights_are(trained, hmdb51, tmp_path):
    state = checkpoint.load(trained["RGB"])
    state["state_dict"]["fc.weight"].fill_(3e38)
    torch.save(state, tmp_path / "huge.pth")
    film = next((hmdb51 / "frames").rglob("done")).parent
    words = [*words_for(hmdb51, tmp_path, network=()), "--resume_path1", str(tmp_path / "huge.pth")]
    with pytest.raises(ValueError, match=r"huge.pth: .* has scores that are NaN or infinite"):
        test_single_stream.main(parse_opts(words))
    opt = build_parser().parse_args([str(film), "--weights", str(tmp_path / "huge.pth"), "--json", "a.json"])
    with pytest.raises(ValueError, match=r"huge.pth: a clip has scores"):
        predict.main(opt)
    assert not (tmp_path / "a.json").exists()


def test_json_knows_no_nan():
    value = {"a": [float("nan"), 1.5, (float("inf"), "x")], "b": {"c": float("-inf")}, "d": True}
    assert json.loads(as_json(value)) == {"a": [None, 1.5, [None, "x"]], "b": {"c": None}, "d": True}


@pytest.mark.parametrize("command", ["test_two_stream", "--stream", "predict", "export"])
def test_a_checkpoint_that_is_named_twice_is_refused(command, trained, hmdb51, tmp_path):
    words, rgb = words_for(hmdb51, tmp_path, network=()), str(trained["RGB"])
    again = str(trained["RGB"].parent / ".." / trained["RGB"].parent.name / trained["RGB"].name)
    film = next((hmdb51 / "frames").rglob("done")).parent
    call = {
        "test_two_stream": lambda: test_two_stream.main(
            parse_opts([*words, "--resume_path1", rgb, "--resume_path2", again])
        ),
        "--stream": lambda: test_two_stream.main(
            parse_opts([*words, "--stream", f"a={rgb}", "--stream", f"b={again}"])
        ),
        "predict": lambda: predict.main(build_parser().parse_args([str(film), "--weights", rgb, again])),
        "export": lambda: build_export([rgb, again]),
    }
    with pytest.raises(ValueError, match=r"best.pth: named twice"):
        call[command]()
