"""Model cards: what checkpoints say of themselves, what training writes into them, and what resuming makes of it."""

import hashlib
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import CLASSES, small, words_for, write_hmdb51
from runs import one
from source_files import ROOT
from torch import nn
from torch.optim import SGD

import STS_train
import train
from datasets import RGB
from datasets.lists.entries import Entry
from datasets.records.fingerprint import list_sha256
from engine import checkpoint
from engine.checkpoint import resuming as differences
from engine.checkpoint import tensor_file
from engine.checkpoint.__main__ import main as print_card
from engine.checkpoint.__main__ import parse_args
from engine.checkpoint.card import card
from engine.checkpoint.text import as_text
from engine.command import cli
from engine.training.schedules import Cosine, Plateau, Schedule, Warmup
from engine.training.stepper import Stepper
from opts import parse_opts


@pytest.fixture(scope="module")
def run(hmdb51, tmp_path_factory) -> Path:
    """Two checkpoints of one epoch each."""
    folder = tmp_path_factory.mktemp("card")
    words = [*words_for(hmdb51, folder), "--n_epochs", "2", "--checkpoint", "1"]
    train.main(parse_opts(words))
    return folder


@pytest.fixture
def first(run) -> Path:
    return one(run, "*varLR1.pth")


def shown(path: Path, *words: str, capsys) -> str:
    print_card(parse_args([str(path), *words]))
    return capsys.readouterr().out


def test_a_trained_checkpoint_states_what_it_is(first, hmdb51, capsys):
    text = shown(first, capsys=capsys)
    rows = [line.split("  ", 1) for line in text.splitlines()]
    said = {name: value.strip() for name, value in rows}
    assert said["network"] == "resnet-10"
    assert said["stream"] == "rgb"
    assert said["classes"] == f"3: {', '.join(CLASSES)}"
    assert said["clip"].startswith("8 frames of 32x32 pixels, ")
    assert {"clip_stride 1", "sampling corrected", "crop corners", "view rgb"} <= {*said["clip"].split(", ")}
    assert said["normalisation"] == "mean 114.775 107.735 99.475, std 1 1 1"
    assert said["data set"] == "HMDB51, split 1"
    assert said["training videos"].startswith("6 of 6 listed videos")
    assert said["epoch"] == "1 of 2"  # as in the file's name, and in the log
    assert "acc 0." in said["validation"]
    assert "--batch_size 4 (default 20)" in [text.strip() for name, text in rows if name == "option"]
    assert len(text.splitlines()) < 30


def test_parameters_and_multiplications_are_those_of_the_network(first):
    state, macs = checkpoint.load(first), []
    network = train.start_stream(Namespace(**state["options"]), RGB, state, "x", 3, resuming=True).network
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.Linear):
            layer.register_forward_hook(lambda m, _, out: macs.append(out.numel() * m.weight[0].numel()))
    network.eval()(torch.zeros(1, 3, 8, 32, 32))
    assert state["macs"] == sum(macs)
    assert card(state, "x")["parameters"] == state["parameters"] == sum(p.numel() for p in network.parameters())


def test_the_videos_of_a_checkpoint_can_be_recomputed_with_sha256sum(first, hmdb51, tmp_path):
    data = checkpoint.load(first)["data"]
    lines = [
        f"{name}/film{v}_{name}_f_cm_np1_fr_med_0 {label}\n" for label, name in enumerate(CLASSES) for v in range(3)
    ]
    for subset, count in (("train", 6), ("val", 3)):
        assert (data[subset]["videos"], data[subset]["listed"], data[subset]["image"]) == (count, count, [40, 48])
    subsets = {frozenset(chosen): chosen for chosen in splits_of(lines)}
    assert data["val"]["sha256"] in {hashlib.sha256("".join(v).encode()).hexdigest() for v in subsets.values()}
    (tmp_path / "list").write_text(f"a/ü {3}\n", "utf-8")
    done = subprocess.run(["sha256sum", tmp_path / "list"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == list_sha256([Entry("a/ü", 3, "")])


def splits_of(lines: list[str]):
    """Every choice of one video per class: what may be held out."""
    for a in lines[:3]:
        for b in lines[3:6]:
            for c in lines[6:]:
                yield a, b, c


def test_the_hash_knows_order_names_and_labels():
    a, b = Entry("a", 0, ""), Entry("b", 1, "")
    hashes = [list_sha256(v) for v in ([a, b], [b, a], [a], [a, Entry("b", 0, "")], [a, Entry("c", 1, "")])]
    assert len(set(hashes)) == 5
    assert list_sha256([a, b]) == hashes[0]


def test_options_that_differ_from_their_defaults_come_first_and_all_can_be_shown(first, capsys):
    short, every = shown(first, capsys=capsys), shown(first, "--options", capsys=capsys)
    assert "--width 0.0625 (default 1)" in short
    assert "--lr_patience" not in short
    assert "frame_dir" not in short  # of this machine, and so the same in no two runs
    assert every.index("--width 0.0625") < every.index("--lr_patience 10")
    options = checkpoint.load(first)["options"]
    assert [name for name in options if f"--{name} " not in every] == []


def test_everything_is_there_as_json(first, capsys):
    said = json.loads(shown(first, "--json", capsys=capsys))
    assert said["changed"]["batch_size"] == [4, 20]
    assert said["classes"] == {"number": 3, "names": list(CLASSES)}
    assert said["data"] == checkpoint.load(first)["data"]
    assert said["options"]["lr_patience"] == 10
    assert {"optimizer", "rng"} <= set(said["holds"])


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"epoch": 6, "options": {"n_epochs": 5}}, "5 of 5"),
        ({"epoch": 3, "step": 7, "options": {"n_epochs": 5}}, "2 of 5, and the next one begun"),
        ({"epoch": 9, "arch": "resnext-101", "optimizer": {}}, "8"),  # as STS-Net and MARS count
        ({"epoch": 200, "arch": "resnet-18", "optimizer": {}, "scheduler": {}}, "200"),  # 3D-ResNets of 2020
        ({"epoch": 200, "arch": "resnet-18", "left_behind": ["optimizer", "scheduler"]}, "200"),
        ({"epoch": "many"}, "not stated"),
    ],
)
def test_epochs_are_counted_as_in_training(entries, said):
    text = as_text(card({"state_dict": nn.Linear(3, 2).state_dict()} | entries, "x"))
    assert [line.split(None, 1) for line in text.split("\n") if line.startswith("epoch")] == [["epoch", said]]


def test_a_network_and_its_card_are_exported(first, tmp_path, capsys):
    exported = tmp_path / "out" / "x.safetensors"
    shown(first, "--export", str(exported), capsys=capsys)
    a, b = (json.loads(shown(path, "--json", capsys=capsys)) for path in (first, exported))
    differing = {name for name in a if a[name] != b[name]}
    assert differing == {"file", "holds"}


def test_a_published_checkpoint_is_described_as_far_as_it_goes(tmp_path, capsys):
    weights = {f"module.{name}": w for name, w in small("resnet", num_classes=7).state_dict().items()}
    for state in (weights, {"arch": "resnext-101", "epoch": 9, "state_dict": weights, "optimizer": {}}):
        torch.save(state, tmp_path / "x.pth")
        said = shown(tmp_path / "x.pth", capsys=capsys)
        assert said.count("not stated") >= 8
        assert "7, names not stated" in said
        assert "3 channels" in said
        assert ("resnext-101" in said) == ("arch" in state)
        described = print_card(parse_args([str(tmp_path / "x.pth")]))
        assert described["parameters"] == sum(p.numel() for p in small("resnet", num_classes=7).parameters())
        assert described["macs"] is described["data"] is described["changed"] is None
        capsys.readouterr()


def test_a_checkpoint_of_before_states_what_it_knows(first, tmp_path, capsys):
    state = {n: v for n, v in checkpoint.load(first).items() if n not in ("macs", "parameters", "data", "defaults")}
    checkpoint.save(tmp_path / "x.pth", state)
    said = shown(tmp_path / "x.pth", capsys=capsys)
    assert "MACs per clip      not stated" in said
    assert "training videos    videos not stated" in said
    assert "which differ from their defaults is not stated" in said


def test_what_is_no_checkpoint_has_no_card(tmp_path):
    torch.save({"a": 1}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth: holds neither weights nor a description"):
        print_card(parse_args([str(tmp_path / "x.pth")]))


@pytest.mark.parametrize("entry", ["recipe", "options", "metrics", "data", "tested", "class_names", "defaults"])
def test_a_strange_entry_of_a_stranger_is_no_reason_to_fail(entry, tmp_path):
    weights = nn.Linear(3, 2).state_dict()
    for strange in (None, [], ""):
        assert as_text(card({"state_dict": weights, entry: strange}, "x"), options=True)


@pytest.mark.slow
def test_the_tool_runs_from_any_folder(first, tmp_path):
    (tmp_path / "x.pth").write_bytes(first.read_bytes())
    script = str(ROOT / "utils1" / "checkpoint.py")
    command = [sys.executable, "-W", "error", script, "x.pth", "--export", "x.safetensors"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "wrote x.safetensors\n")
    assert (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.pth", "--export", "x.bin"], "error: x.bin: its name must end in .safetensors, by which it is known"),
        (["none.pth"], "error: none.pth: no such checkpoint file\n"),
    ],
)
def test_the_tool_ends_in_one_line(first, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pth").write_bytes(first.read_bytes())
    with pytest.raises(SystemExit) as end:
        cli.run(print_card, lambda: parse_args(words))
    err = capsys.readouterr().err
    assert (end.value.code, err.count("\n")) == (2, 1)
    assert err.startswith(message)


def test_a_distilled_student_states_its_own_size_and_data(hmdb51, tmp_path):
    words = words_for(hmdb51, tmp_path)
    train.main(parse_opts([*words, "--modality", "Flow"]))
    flow = str(one(tmp_path, "*Flow_train*best.pth"))
    STS_train.main(parse_opts([*words, "--modality", "RGB_Flow", "--resume_path1", flow, "--distill", "mse"]))
    student, teacher = checkpoint.load(one(tmp_path, "SFS*best.pth")), checkpoint.load(flow)
    assert student["data"] == teacher["data"]
    assert student["parameters"] > teacher["parameters"]  # three channels, not two
    assert student["defaults"]["distill"] == ["mse", "review", "dkd"]


# What resuming makes of other data, another number of processes and changed options.


@pytest.fixture
def moved(hmdb51, first, tmp_path) -> tuple[Path, Path]:
    """A data set of one more video than the checkpoint's, and the checkpoint where a run is to go on."""
    return write_hmdb51(tmp_path / "more", train=4), first


def resume(data: Path, first: Path, results: Path, *words: str) -> None:
    train.main(parse_opts([*words_for(data, results), "--resume", str(first), "--n_epochs", "2", *words]))


def test_a_run_does_not_go_on_with_other_videos_unless_one_insists(moved, tmp_path, caplog):
    data, first = moved
    with pytest.raises(ValueError, match=r"made with other videos: train: 6 of 6 listed videos in the .*, 9 of 9 "):
        resume(data, first, tmp_path / "run")
    assert not list(tmp_path.rglob("*.pth"))
    resume(data, first, tmp_path / "run", "--resume_anyway")
    assert "made with other videos" in caplog.text
    assert checkpoint.load(one(tmp_path, "*varLR2.pth"))["data"]["train"]["videos"] == 9


def test_data_that_have_moved_are_the_same_data(first, tmp_path):
    resume(write_hmdb51(tmp_path / "elsewhere"), first, tmp_path / "run")
    assert one(tmp_path, "*varLR2.pth")


def test_differences_of_videos_are_listed_by_subset():
    def data(train, val):
        return {n: {"videos": v, "listed": 9, "sha256": s} for n, (v, s) in (("train", train), ("val", val))}

    old = data((9, "a"), (3, "b"))
    assert differences.changed_data(old, data((9, "a"), (3, "b"))) == []
    assert differences.changed_data({}, old) == []
    changed = differences.changed_data(old, data((8, "c"), (3, "d")))
    assert changed[0] == "train: 9 of 9 listed videos in the checkpoint, 8 of 9 listed videos now"
    assert changed[1].startswith("val: 3 of 9 listed videos, but others than in the checkpoint")


def test_another_number_of_processes_is_said(hmdb51, first, tmp_path, caplog):
    state = checkpoint.load(first)
    state["rng"] = state["rng"] * 2
    checkpoint.save(tmp_path / "two.pth", state)
    resume(hmdb51, tmp_path / "two.pth", tmp_path / "run")
    assert (
        "two.pth: made by 2 processes, now there are 1: a step has other clips, so the results will differ"
        in caplog.text
    )
    caplog.clear()
    resume(hmdb51, first, tmp_path / "same")
    assert "processes" not in caplog.text


def test_a_changed_rate_is_that_of_the_resumed_run(hmdb51, first, tmp_path):
    words = ["--learning_rate", "0.003", "--weight_decay", "0.5", "--momentum", "0.3"]
    with pytest.raises(ValueError, match=r"other options: learning_rate 0\.1 in the checkpoint, 0\.003 now"):
        resume(hmdb51, first, tmp_path / "run", *words)
    resume(hmdb51, first, tmp_path / "run", *words, "--resume_anyway")
    (row,) = map(json.loads, one(tmp_path, "metrics.jsonl").read_text().splitlines())
    assert row["lr"] == 0.003
    (group, *_) = checkpoint.load(one(tmp_path, "*varLR2.pth"))["optimizer"]["param_groups"]
    assert (group["lr"], group["weight_decay"], group["momentum"], group["dampening"]) == (0.003, 0.5, 0.3, 0.9)


@pytest.mark.parametrize(
    ("stored", "now", "settings"),
    [
        ({}, {}, set()),
        ({"learning_rate": 0.2}, {}, {"lr"}),
        ({"nesterov": True}, {}, {"nesterov", "dampening"}),
        ({"ft_begin_index": 2}, {}, {"lr", "weight_decay"}),  # layers that were frozen have a rate of 0
        ({"lr_multiples": "tsn"}, {}, {"lr", "weight_decay"}),
        ({"batch_size": 7}, {}, set()),
        ({"batch_size": 7}, {"lr_scale_base": 32}, {"lr"}),
        ({"iter_size": 7, "lr_scale_base": 32}, {"lr_scale_base": 32}, {"lr"}),
    ],
)
def test_options_change_the_settings_that_follow_from_them(stored, now, settings):
    opt = vars(parse_opts([]))
    assert differences.changed_settings({}, opt) == set()
    assert differences.changed_settings({**opt, **now, **stored}, {**opt, **now}) == settings


def plateau(optimizer: SGD) -> Schedule:
    return Plateau(optimizer, Warmup(), patience=1)


def cosine(optimizer: SGD) -> Schedule:
    return Cosine(optimizer, Warmup(), total=4)


def stepper_of(lr: float, build: Callable[[SGD], Schedule]) -> Stepper:
    task = nn.Module()
    task.model = nn.Module()
    task.model.network = nn.Linear(1, 1)
    optimizer = SGD(task.parameters(), lr=lr)
    return Stepper(task, optimizer, build(optimizer))


@pytest.mark.parametrize(
    ("build", "before", "changed", "after"),
    [(plateau, 0.01, "lr", 0.5), (plateau, 0.01, "momentum", 0.01), (cosine, 0.5, "lr", 0.25)],
)
def test_a_new_rate_replaces_that_of_a_plateau_and_scales_a_curve(build, before, changed, after):
    old, new = stepper_of(1.0, build), stepper_of(0.5, build)
    for _ in range(2):
        old.schedule.step()
    for _ in range(5):
        old.schedule.epoch(1.0)
    assert old.optimizer.param_groups[0]["lr"] == pytest.approx(before)
    new.load(old.state(), "a.pth", {changed})
    assert new.optimizer.param_groups[0]["lr"] == pytest.approx(after)
    assert new.schedule.steps == 2


def test_the_entries_of_the_card_are_part_of_what_is_exported(first):
    written = checkpoint.load(first).keys()
    assert {"macs", "parameters", "data", "defaults", "metrics"} <= set(tensor_file.DESCRIPTION) & written
