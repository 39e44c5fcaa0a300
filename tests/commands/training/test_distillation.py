"""Distillation through STS_train.py: losses with optimisers of their own, projectors, and several teachers."""

import csv
import logging

import pytest
import torch
from distilling import STEPS, distil, metrics, resumed, trained
from helpers import words_for
from judges import MoodyJudge
from runs import differences

from engine import checkpoint
from models import DISTILLERS
from models.distill import LossSpec
from models.inference.cached_outputs import weights_sha256
from opts import DISTILL, parse_opts
from workflows.exporting.plan import build_export
from workflows.testing.loading import load_checkpoint
from workflows.training.chosen_teachers import choose_teachers, load_teachers, read_by


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.setitem(DISTILLERS, "judge", LossSpec(MoodyJudge))


@pytest.fixture(scope="module")
def teachers(hmdb51, tmp_path_factory) -> dict[str, str]:
    """Best checkpoints of an RGB and a flow network, and of a flow network of twice the width."""
    runs = {"rgb": "--modality RGB", "flow": "--modality Flow", "wide": "--modality Flow --width 0.125"}
    return {name: str(path) for name, path in trained(hmdb51, tmp_path_factory.mktemp("runs"), runs).items()}


def test_an_adversary_is_trained_and_resumed_within_an_epoch_to_the_same_bits(judge, hmdb51, teachers, tmp_path):
    words = ["--modality", "RGB_Flow", "--resume_path1", teachers["flow"], "--distill", "mse", "judge", *STEPS]
    words += "--clip_grad 0.1 --iter_size 2 --loss_args judge.hidden=3 judge.optimizer.lr=0.02".split()
    whole = distil(hmdb51, tmp_path / "whole", *words)
    states = [checkpoint.load(whole / f"s_{name}.pth") for name in ("1_step2", "2")]
    for state in states:
        assert set(state["own_optimizers"]) == {"judge"}
        (group,) = state["own_optimizers"]["judge"]["param_groups"]
        assert (group["lr"], group["betas"], len(group["params"])) == (0.02, (0.5, 0.999), 6)
        assert [len(group["params"]) for group in state["optimizer"]["param_groups"]] == [len(parameters(state))]
        assert not any("judge" in name for name in state["state_dict"])
    first, last = (state["losses"]["1.judge.0.weight"] for state in states)
    assert first.shape[0] == 3
    assert not torch.equal(first, last)
    assert all({"train_loss_judge", "train_own_loss_judge"} <= row.keys() for row in metrics(whole))
    for position in ("1_step2", "1"):
        assert resumed(hmdb51, tmp_path / position, whole, position, *words) == []


def parameters(state: dict) -> list[str]:
    """Names of the parameters among the deployed weights."""
    return [name for name in state["state_dict"] if not name.endswith(("mean", "var", "tracked"))]


def test_an_adversary_whose_state_is_missing_starts_afresh_and_that_is_said(judge, hmdb51, teachers, tmp_path, caplog):
    words = ["--modality", "RGB_Flow", "--resume_path1", teachers["flow"], "--distill", "judge", *STEPS]
    whole = distil(hmdb51, tmp_path / "whole", *words)
    state = checkpoint.load(whole / "s_1.pth")
    del state["own_optimizers"]
    checkpoint.save(tmp_path / "bare.pth", state)
    distil(hmdb51, tmp_path / "bare", *words, "--resume", str(tmp_path / "bare.pth"))
    assert "bare.pth: its optimizer state of judge does not fit this run and starts afresh" in caplog.text
    with pytest.raises(ValueError, match=r"loss_args not set in the checkpoint, judge.hidden=3 now"):
        distil(hmdb51, tmp_path / "other", *words, "--loss_args", "judge.hidden=3", "--resume", str(whole / "s_1.pth"))


def test_several_teachers_are_distilled_and_resumed_to_the_same_bits(judge, hmdb51, teachers, tmp_path):
    named = [f"{name}={teachers[name]}" for name in ("flow", "rgb")]
    words = ["--teacher", named[0], "--teacher", named[1], "--teacher_losses", "flow=review,judge", *STEPS]
    words += ["--teacher_losses", "rgb=mse,dkd*0.5", "--balance", "ce=1", "mse=0.5", "review=0.5"]
    words += ["--loss_schedule", "review=0.5..1@1-2", "rgb.dkd=1..0@0-3:cosine"]
    whole = distil(hmdb51, tmp_path / "whole", *words)
    terms = {name.removeprefix("train_") for name in metrics(whole)[0] if "loss_" in name or "acc_" in name}
    review = {f"loss_flow_review_layer{i}" for i in range(1, 5)} | {"loss_flow_review_avgpool"}
    assert terms - {"val_loss_ce"} == review | {
        *("loss_ce", "loss_flow_judge", "own_loss_flow_judge", "acc_teacher_flow"),
        *("loss_rgb_mse_avgpool", "loss_rgb_tckd", "loss_rgb_nckd", "acc_teacher_rgb"),
    }
    rows = list(csv.DictReader((whole / "s_train.log").read_text().splitlines(), delimiter="\t"))
    assert list(rows[0]) == ["epoch", "loss", "loss_flow", "loss_rgb", "loss_SFS", "acc", "lr"]
    parts = [float(rows[0][name]) for name in ("loss_flow", "loss_rgb", "loss_SFS")]
    assert float(rows[0]["loss"]) == pytest.approx(sum(parts))
    assert min(parts) > 0
    state = checkpoint.load(whole / "s_2.pth")
    assert state["stream"] == "rgb"
    assert {name.split(".")[0] for name in state["losses"]} == {"0"}  # those of rgb learn nothing
    assert list(state["balance"]) == ["ce", "rgb.mse", "flow.review"]
    assert state["balance"]["ce"] == 1 != state["balance"]["rgb.mse"]
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words) == []
    with pytest.raises(ValueError, match=r"loss_schedule .* in the checkpoint, mse=2 now"):
        distil(hmdb51, tmp_path / "other", *words, "--loss_schedule", "mse=2", "--resume", str(whole / "s_1.pth"))


def test_a_run_goes_on_with_the_weights_of_its_teachers_alone(hmdb51, teachers, tmp_path, caplog):
    path, state = tmp_path / "t.pth", checkpoint.load(teachers["rgb"])
    words = ["--distill", "kd", "--checkpoint", "1", "--teacher"]
    checkpoint.save(path, state)
    whole = distil(hmdb51, tmp_path / "s", *words, f"t={path}")
    assert checkpoint.load(whole / "s_1.pth")["teachers"] == {"t": weights_sha256(load_checkpoint(path))}
    onward = ["--n_epochs", "2", "--resume", "auto", *words]
    first = next(iter(state["state_dict"]))
    nudged = state["state_dict"] | {first: state["state_dict"][first] + 1e-3}
    for other in (checkpoint.load(teachers["flow"]), state | {"state_dict": nudged}):
        checkpoint.save(path, other)
        digest = r"has weights of sha256 \w{12}"
        said = f"made with other teachers: t {digest} in the checkpoint, {digest} now: .* with --resume_anyway.*$"
        with pytest.raises(ValueError, match=said):
            distil(hmdb51, tmp_path / "s", *onward, f"t={path}")
    distil(hmdb51, tmp_path / "s", "--resume_anyway", *onward, f"t={path}")
    assert "made with other teachers: t has" in caplog.text
    assert checkpoint.load(whole / "s_2.pth")["teachers"] == {"t": weights_sha256(load_checkpoint(path))}


def test_a_run_goes_on_with_another_file_of_its_teacher_and_where_none_is_stated(hmdb51, teachers, tmp_path, caplog):
    words = ["--distill", "kd", "--checkpoint", "1", "--teacher"]
    whole = distil(hmdb51, tmp_path / "s", *words, f"t={teachers['rgb']}")
    checkpoint.save(tmp_path / "copy.pth", checkpoint.load(teachers["rgb"]) | {"epoch": 7})
    distil(hmdb51, tmp_path / "s", *words, f"t={tmp_path / 'copy.pth'}", "--n_epochs", "2", "--resume", "auto")
    state = checkpoint.load(whole / "s_2.pth")
    del state["teachers"]  # as older versions wrote it
    checkpoint.save(whole / "s_2.pth", state)
    distil(hmdb51, tmp_path / "s", *words, f"t={teachers['flow']}", "--n_epochs", "3", "--resume", "auto")
    assert "other teachers" not in caplog.text


def test_a_bank_of_one_flow_teacher_teaches_what_the_plain_run_does_to_the_same_bits(hmdb51, teachers, tmp_path):
    alone = distil(hmdb51, tmp_path / "a", "--modality", "RGB_Flow", "--resume_path1", teachers["flow"])
    words = ["--teacher_losses", "f=mse,review,dkd*1", "--loss_schedule", "f.mse=1", "ce=1"]
    named = distil(hmdb51, tmp_path / "b", "--teacher", f"f={teachers['flow']}", *words)
    a, b = (checkpoint.load(results / "s_best.pth") for results in (alone, named))
    for key in ("state_dict", "optimizer", "rng", "best", "metrics"):
        assert differences(a[key], b[key]) == [], key
    renamed = {f"0.{name}": value for name, value in a["losses"].items()}
    assert differences(renamed, b["losses"]) == []


@pytest.mark.parametrize(
    "option", ["SFS_alpha", "ce_weight", "review_weight", "kd_weight", "kd_temperature", "dkd_beta", "dkd_temperature"]
)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_weights_that_are_no_finite_numbers_are_refused(hmdb51, teachers, tmp_path, option, value):
    words = ["--modality", "RGB_Flow", "--resume_path1", teachers["flow"], "--distill", "mse", "review", "kd", "dkd"]
    with pytest.raises(ValueError, match=rf"--{option} must be .* and finite, got {value}"):
        distil(hmdb51, tmp_path, *words, f"--{option}", value)
    assert not [*tmp_path.iterdir()]


def test_a_new_balance_is_measured_anew(hmdb51, teachers, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    words = ["--teacher", f"t={teachers['rgb']}", "--distill", "kd", "mse", "--checkpoint", "1", "--balance", "ce=1"]
    whole = distil(hmdb51, tmp_path / "s", *words, "kd=1")
    stored = checkpoint.load(whole / "s_1.pth")["balance"]
    again = ["--n_epochs", "2", "--resume", "auto", "--resume_anyway"]
    caplog.clear()
    distil(hmdb51, tmp_path / "s", *words, "kd=9", "mse=1", *again)
    assert "balance as in the checkpoint" not in caplog.text
    now = checkpoint.load(whole / "s_2.pth")["balance"]
    assert list(now) == ["ce", "t.kd", "t.mse"]
    assert now["t.kd"] > 2 * stored["t.kd"]
    distil(hmdb51, tmp_path / "s", *words, "kd=9", "mse=1", *again, "--n_epochs", "3")
    assert "balance as in the checkpoint" in caplog.text
    assert checkpoint.load(whole / "s_3.pth")["balance"] == now


def test_a_file_may_teach_twice_and_a_flow_network_may_learn_from_rgb(hmdb51, teachers, tmp_path):
    twice = [f"--teacher={name}={teachers['rgb']}" for name in "ab"]
    results = distil(hmdb51, tmp_path, "--modality", "Flow", *twice, "--distill", "kd")
    assert checkpoint.load(results / "s_best.pth")["stream"] == "flow"
    (row,) = metrics(results)
    assert row["train_loss_a_kd"] == row["train_loss_b_kd"] > 0


def test_a_wide_teacher_needs_a_projector_which_is_not_deployed(hmdb51, teachers, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    words = ["--modality", "RGB_Flow", "--resume_path1", teachers["wide"], "--distill", "mse"]
    shown = "avgpool of the student has 32 channels, avgpool of the teacher 64 channels"
    with pytest.raises(ValueError, match=f"--distill mse: {shown}: --project auto"):
        distil(hmdb51, tmp_path / "off", *words)
    assert not (tmp_path / "off").exists()
    assert "video" not in caplog.text  # no data had been looked for
    whole = distil(hmdb51, tmp_path / "auto", *words, "--project", "auto", *STEPS)
    assert f"projector for mse: {shown}" in caplog.text
    state = checkpoint.load(whole / "s_2.pth")
    assert set(state["losses"]) == {f"0.projectors.avgpool.channels.{name}" for name in ("weight", "bias")}
    assert not any("projector" in name for name in state["state_dict"])
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words, "--project", "auto", *STEPS) == []
    plan = build_export([whole / "s_best.pth"])
    assert not any("projector" in name for name in plan.deployed().state_dict())


def test_a_teacher_of_other_classes_teaches_features_alone(hmdb51, teachers, tmp_path):
    state = checkpoint.load(teachers["flow"])
    state["class_names"] = ["kick", "jump", "wave"]
    checkpoint.save(tmp_path / "other.pth", state)
    for words in (
        ["--modality", "RGB_Flow", "--resume_path1", str(tmp_path / "other.pth")],
        ["--teacher", f"x={tmp_path / 'other.pth'}"],
    ):
        with pytest.raises(ValueError, match=r"other.pth: trained on 3 classes \(kick"):
            distil(hmdb51, tmp_path / "dkd", *words, "--distill", "mse", "dkd")
        results = distil(hmdb51, tmp_path / words[0], *words, "--distill", "mse")
        assert not any("acc_teacher" in name for name in metrics(results)[0])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--teacher", "flow"], "--teacher flow: expected NAME=CHECKPOINT"),
        (["--teacher", "f=a.pth", "--teacher", "f=b.pth"], "--teacher f=b.pth: there is f=a.pth already"),
        (["--teacher", "f_1=a.pth"], "--teacher f_1: a name has letters, digits and -"),
        (["--teacher", "ce=a.pth"], "--teacher ce: .* is not ce"),
        (["--teacher", "f=a.pth", "--resume_path1", "b.pth"], "--teacher and --resume_path1 both name teachers"),
        (["--teacher", "f=a.pth", "--teacher_losses", "g=mse"], "--teacher_losses g: there is no such .* among f"),
        (["--modality", "RGB_Flow", "--resume_path1", "a.pth", "--teacher_losses", "g=mse"], "needs --teacher g="),
        (["--resume_path1", "a.pth"], "--modality RGB: .* --modality RGB_Flow, or name teachers with --teacher"),
    ],
)
def test_contradictory_teachers_are_refused(words, match):
    with pytest.raises(ValueError, match=match):
        chosen(parse_opts(words, DISTILL))


def chosen(opt) -> dict[str, str]:
    return choose_teachers(opt.teacher or (), opt.resume_path1, opt.modality, opt.teacher_losses or ())


def test_streams_follow_from_student_and_teachers(hmdb51, teachers, tmp_path):
    def views(*words: str) -> list[str]:
        opt = parse_opts([*words_for(hmdb51, tmp_path, script=DISTILL), "--distill", "mse", *words], DISTILL)
        loaded = load_teachers(opt, chosen(opt), ["brush_hair", "cartwheel", "catch"])
        return [view.name for view in read_by(opt.modality, loaded, frames_alone=opt.only_RGB)]

    rgb, flow = (["--teacher", f"{name}={teachers[name]}"] for name in ("rgb", "flow"))
    assert views(*rgb) == ["rgb"]
    assert views(*flow) == ["rgb", "flow"]
    assert views(*flow, *rgb, "--modality", "RGB_Flow") == ["rgb", "flow"]
    assert views(*flow, "--modality", "Flow") == ["flow"]
    assert views(*rgb, "--modality", "Flow") == ["flow", "rgb"]
    assert views(*flow, *rgb, "--sample_size", "24") == ["rgb", "flow@32", "rgb@32"]
    with pytest.raises(ValueError, match="--modality RGB_Flow: no teacher reads flow: leave it out"):
        views(*rgb, "--modality", "RGB_Flow")
