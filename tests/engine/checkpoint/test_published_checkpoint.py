"""Checkpoints for the published code, beside a stand-in of how it loads and goes on with them."""

import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import small, words_for
from torch import nn
from torch.optim import SGD

import STS_train
import train
from datasets import FLOW, RGB
from engine import checkpoint
from engine.checkpoint import published
from engine.checkpoint.__main__ import main as print_card
from engine.checkpoint.__main__ import parse_args
from engine.training.stepper import load_optimizer
from models import load_stream, parameter_groups
from opts import parse_opts

STREAMS = {"RGB": RGB, "Flow": FLOW, "SFS": RGB, "fine-tuned": RGB, "AdamW": RGB}


class Wrapped(nn.Module):
    """Names as in DataParallel, in which the published code puts every network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.module = network


@pytest.fixture(scope="module")
def runs(hmdb51, tmp_path_factory) -> dict[str, tuple]:
    """Options, and the checkpoint of the last epoch, of each kind of run."""
    made = {}

    def run(name, main, *words):
        folder = tmp_path_factory.mktemp(name)
        opt = parse_opts([*words_for(hmdb51, folder), *words])
        main(opt)
        made[name] = opt, next(folder.rglob("*1.pth"))

    run("RGB", train.main)
    run("Flow", train.main, "--modality", "Flow", "--nesterov")
    run("SFS", STS_train.main, "--modality", "RGB_Flow", "--resume_path1", str(made["Flow"][1]))
    run("fine-tuned", train.main, "--pretrain_path", str(made["RGB"][1]), "--ft_begin_index", "4")
    run("AdamW", train.main, "--optimizer", "adamw", "--learning_rate", "0.001")
    return made


def exported(path: Path, folder: Path) -> Path:
    print_card(parse_args([str(path), "--export_published", str(folder / "out.pth")]))
    return folder / "out.pth"


def resumed_as_published(path: Path, opt, network: nn.Module) -> tuple[int, nn.Module, SGD]:
    """As train.py and MARS_train.py of the published code go on: strictly, and with the state of the optimiser."""
    wrapped, read = Wrapped(network), torch.load(path)
    assert f"{opt.model}-{opt.model_depth}" == read["arch"]
    parameters = list(wrapped.parameters())
    trained = [name.startswith(("module.layer4", "module.fc")) for name, _ in wrapped.named_parameters()]
    groups = [{"params": p} if own else {"params": p, "lr": 0.0} for p, own in zip(parameters, trained, strict=True)]
    wrapped.load_state_dict(read["state_dict"])
    optimizer = SGD(
        groups if opt.pretrain_path else parameters,
        lr=opt.learning_rate,
        momentum=opt.momentum,
        dampening=0 if opt.nesterov else opt.dampening,
        weight_decay=opt.weight_decay,
        nesterov=opt.nesterov,
    )
    optimizer.load_state_dict(read["optimizer"])
    return read["epoch"], wrapped.module, optimizer


def step(network: nn.Module, optimizer: SGD, channels: int) -> dict[str, torch.Tensor]:
    """The weights after one more step."""
    clips = torch.randn(3, channels, 8, 32, 32, generator=torch.Generator().manual_seed(3)) * 50
    network.train()
    optimizer.zero_grad()
    F.cross_entropy(network(clips).logits, torch.tensor([0, 1, 2])).backward()
    optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("name", ["RGB", "Flow", "SFS", "fine-tuned"])
def test_the_published_code_goes_on_from_an_export_as_this_one_does(runs, name, tmp_path):
    opt, path = runs[name]
    channels = STREAMS[name].channels
    empty = small("resnet", in_channels=channels, num_classes=3, width=0.0625)
    epoch, network, optimizer = resumed_as_published(exported(path, tmp_path), opt, empty)
    assert epoch == 2
    state = checkpoint.load(path)
    own = load_stream(opt, STREAMS[name], state, str(path)).network.to(memory_format=torch.contiguous_format)
    groups = parameter_groups(own, opt.ft_begin_index if opt.pretrain_path else 0, opt.learning_rate)
    other = SGD(groups, lr=opt.learning_rate, momentum=opt.momentum, dampening=0, weight_decay=opt.weight_decay)
    count = sum(len(group["params"]) for group in groups)
    kept = [group for group in state["optimizer"]["param_groups"] if max(group["params"]) < count]
    own_state = {number: x for number, x in state["optimizer"]["state"].items() if number < count}
    assert load_optimizer(other, {"state": own_state, "param_groups": kept})
    after, expected = step(network, optimizer, channels), step(own, other, channels)
    assert all(torch.equal(after[key], expected[key]) for key in expected)
    assert not torch.equal(after["fc.weight"], state["state_dict"]["fc.weight"])


@pytest.mark.parametrize("name", ["RGB", "Flow", "SFS"])
def test_an_export_holds_what_a_published_file_holds_and_nothing_else(runs, name, tmp_path):
    path = exported(runs[name][1], tmp_path)
    assert not path.read_bytes().startswith(b"PK")  # torch before 1.6 reads no archives
    read = torch.load(path, weights_only=True)
    assert list(read) == ["epoch", "arch", "state_dict", "optimizer"]
    assert all(key.startswith("module.") for key in read["state_dict"])
    momenta = [own["momentum_buffer"] for own in read["optimizer"]["state"].values()]
    assert len(momenta) == len(list(small("resnet").parameters()))
    assert all(tensor.is_contiguous() for tensor in (*read["state_dict"].values(), *momenta))


def test_an_export_comes_back(runs, tmp_path):
    opt, path = runs["SFS"]
    models = [load_stream(opt, RGB, checkpoint.load(p), str(p)) for p in (path, exported(path, tmp_path))]
    for a, b in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(a, b)
    assert models[0].normalisation == models[1].normalisation


def test_another_optimiser_stays_here_and_that_is_said(runs, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        path = exported(runs["AdamW"][1], tmp_path)
    assert "optimizer" not in torch.load(path, weights_only=True)
    assert "holds no state of SGD" in caplog.text
    assert "build resnext-101 alone, and this is resnet-10" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"normalisation": {"mean": [127.5] * 3, "std": [1.0] * 3}}}, "normalises its inputs"),
        (
            {"recipe": {"normalisation": {"mean": list(RGB.mean), "std": [2.0] * 3}}},
            "normalises its inputs",
        ),
        ({"options": {"conv1_t_stride": 2}}, "--conv1_t_stride 2, which the published code does not have"),
        ({"options": {"no_max_pool": True}}, "--no_max_pool True, which the published code does not have"),
    ],
)
def test_what_the_published_code_would_compute_otherwise_is_refused(change, message):
    with pytest.raises(ValueError, match=f"x.pth: .*{message}"):
        published.published_form({"state_dict": small("resnet").state_dict()} | change, "x.pth")


def test_the_normalisation_of_the_published_code_is_that_of_the_streams():
    assert {stream.channels: stream.mean for stream in (RGB, FLOW)} == published.MEANS
    assert RGB.std + FLOW.std == (1.0,) * 5


@pytest.mark.parametrize("name", ["out.safetensors", "in.pth"])
def test_an_export_has_a_name_of_its_own(name, tmp_path):
    torch.save({"state_dict": small("resnet").state_dict()}, tmp_path / "in.pth")
    before = (tmp_path / "in.pth").read_bytes()
    with pytest.raises(ValueError, match=r"--export_published .*the name of another file, which ends in .pth"):
        print_card(parse_args([str(tmp_path / "in.pth"), "--export_published", str(tmp_path / name)]))
    assert (tmp_path / "in.pth").read_bytes() == before
