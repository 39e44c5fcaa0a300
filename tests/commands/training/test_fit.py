"""Training, loading and scoring by keyword arguments, as in a notebook: the files, bits and errors of the scripts."""

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CLASSES, fill, small, words_for
from runs import differences

import predict
import STS_train
import test_single_stream
import test_two_stream
import train
from datasets import FLOW, RGB, RGB_DIFF, build_loader, build_recipe
from engine import checkpoint
from models import Classify, ClipMixing, Distill, StreamNetwork, build_distillers, create_model, frozen_norms
from opts import CLIP, parse_opts
from workflows.testing.loading import load_checkpoint
from workflows.testing.scoring import score
from workflows.training.fitting import FitResult, fit

ARGUMENTS = {"depth": 10, "width": 0.0625}
OWN = {"options", "defaults"}  # entries in which a run of a script and one of a program may differ
UNLIKE = {"ft_begin_index", "keep"}  # options: of no effect without weights to fine-tune; as chosen here


@pytest.fixture(scope="module")
def opt(hmdb51):
    return parse_opts([*words_for(hmdb51, Path("unused")), "--modality", "RGB_Flow"])


def network(stream=RGB) -> StreamNetwork:
    return StreamNetwork(create_model("resnet", stream.channels, len(CLASSES), **ARGUMENTS), stream)


def classify() -> Classify:
    torch.manual_seed(1)
    return Classify(network(), mixing=ClipMixing(mixup=0.2), label_smoothing=0.1)


def classify_differences() -> Classify:
    return Classify(network(RGB_DIFF))


def distill(opt) -> Distill:
    torch.manual_seed(2)
    student, teacher = network(), network(FLOW)
    return Distill(student, teacher, build_distillers(opt, student.network, teacher.network, 0))


def run(opt, task, folder: Path, **arguments) -> FitResult:
    loaders = build_loader(opt, "train"), build_loader(opt, "val")
    facts = {"class_names": CLASSES, "recipe": build_recipe(opt, loaders[0], CLIP)}
    settings = {"checkpoint": 1, "keep": 0, "device": "cpu"}
    return fit(task, *loaders, folder=folder, **facts | settings | arguments)


def test_a_distillation_is_resumed_with_its_own_teacher(opt, tmp_path):
    settings = {"n_epochs": 1, "learning_rate": 0.01}
    run(opt, distill(opt), tmp_path, **settings)
    other = distill(opt)
    with torch.no_grad():
        other.teachers[0].network.get_classifier().bias.add_(1)
    with pytest.raises(ValueError, match="made with other teachers: the flow teacher has weights of sha256"):
        run(opt, other, tmp_path, resume="auto", **settings | {"n_epochs": 2})
    run(opt, other, tmp_path, resume="auto", resume_anyway=True, **settings | {"n_epochs": 2})


def differing(a: dict, b: dict) -> set[str]:
    return {name for name in a.keys() | b.keys() if differences(a.get(name, "absent"), b.get(name, "absent"))}


def epoch_of(result: FitResult, epoch: int) -> dict:
    return checkpoint.load(result.files.checkpoint.format(epoch))


@pytest.fixture(scope="module")
def trained(opt, tmp_path_factory) -> FitResult:
    task = classify()
    result = run(opt, task, tmp_path_factory.mktemp("fit"), run_name="rgb", n_epochs=2, learning_rate=0.05, ema=0.9)
    assert task.model.class_names == list(CLASSES)
    assert task.model.recipe["sample_size"] == 32
    return result


def test_a_run_gives_the_bits_and_files_of_the_script(opt, hmdb51, tmp_path):
    words = [*words_for(hmdb51, tmp_path / "script", script="train.py"), *"--n_epochs 2 --checkpoint 1".split()]
    words += [*"--modality RGB --run_name rgb --lr_schedule cosine --lr_warmup 0.5 --clip_grad 1".split()]
    words += ["--lr_multiples", "tsm"]
    accuracy = train.main(parse_opts(words))["acc"]
    torch.manual_seed(1)
    settings = {"n_epochs": 2, "lr_schedule": "cosine", "lr_warmup": 0.5, "clip_grad": 1.0, "lr_multiples": "tsm"}
    result = run(parse_opts(words), Classify(network()), tmp_path, run_name="rgb", **settings)
    assert result.accuracy == accuracy
    assert result.best == tmp_path / "rgb_best.pth"
    script = tmp_path / "script" / "HMDB51"
    for name in ("rgb_1.pth", "rgb_2.pth", "rgb_best.pth"):
        theirs, ours = checkpoint.load(script / name), checkpoint.load(tmp_path / name)
        assert differing(theirs, ours) <= OWN, name
        assert {key for key, value in ours["options"].items() if theirs["options"][key] != value} == UNLIKE
    for name in ("rgb_train.log", "rgb_val.log", "rgb/metrics.jsonl"):
        assert (script / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert {path.name for path in (script / "rgb").iterdir()} == {path.name for path in (tmp_path / "rgb").iterdir()}


def test_fine_tuning_gives_the_bits_of_the_script(opt, hmdb51, trained, tmp_path):
    words = [*words_for(hmdb51, tmp_path / "script", script="train.py"), "--modality", "RGB"]
    words += ["--pretrain_path", str(trained.best), *"--run_name rgb --ft_begin_index 3 --freeze_BN".split()]
    train.main(parse_opts(words))
    torch.manual_seed(1)
    model = load_checkpoint(trained.best)
    model.reset_classifier(len(CLASSES))
    assert model.class_names == []
    task = Classify(model, frozen_norms(model.network, 3))
    settings = {"n_epochs": 1, "learning_rate": 0.001, "weight_decay": 1e-5, "ft_begin_index": 3}
    result = run(opt, task, tmp_path, run_name="rgb", **settings)
    theirs = checkpoint.load(tmp_path / "script" / "HMDB51" / "rgb_best.pth")
    assert differing(theirs, checkpoint.load(result.best)) <= OWN


def test_distillation_gives_the_bits_of_the_script(opt, hmdb51, tmp_path):
    flow = run(opt, Classify(network(FLOW)), tmp_path, run_name="flow", n_epochs=1)
    words = [*words_for(hmdb51, tmp_path / "script", script="STS_train.py"), "--modality", "RGB_Flow"]
    STS_train.main(parse_opts([*words, "--resume_path1", str(flow.best), "--run_name", "sfs"]))
    torch.manual_seed(1)
    teacher, student = load_checkpoint(flow.best), network()
    task = Distill(student, teacher, build_distillers(opt, student.network, teacher.network, 0))
    result = run(opt, task, tmp_path, run_name="sfs", n_epochs=1)
    theirs = checkpoint.load(tmp_path / "script" / "HMDB51" / "sfs_best.pth")
    assert differing(theirs, checkpoint.load(result.best)) <= OWN


@pytest.mark.parametrize("kind", ["classify", "distill"])
def test_an_epoch_resumed_equals_two_to_the_last_bit(opt, kind, tmp_path):
    make: Callable = classify if kind == "classify" else lambda: distill(opt)
    settings = {"optimizer": "adamw", "learning_rate": 1e-3, "lr_schedule": "step", "lr_step": 1}
    whole = run(opt, make(), tmp_path / "whole", n_epochs=2, **settings)
    run(opt, make(), tmp_path / "parts", n_epochs=1, resume="auto", **settings)
    torch.manual_seed(77)  # what is drawn here plays no part
    parts = run(opt, make(), tmp_path / "parts", n_epochs=2, resume="auto", **settings)
    assert differing(epoch_of(whole, 2), epoch_of(parts, 2)) == set()
    assert (parts.accuracy, parts.best.name) == (whole.accuracy, whole.best.name)


def test_a_run_goes_on_in_the_middle_of_an_epoch(opt, tmp_path):
    opt = Namespace(**vars(opt) | {"batch_size": 2})
    settings = {"n_epochs": 1, "save_steps": 1, "lr_schedule": "onecycle"}
    whole = run(opt, classify(), tmp_path / "whole", **settings)
    assert len(build_loader(opt, "train")) == 3
    middle = tmp_path / "whole" / "run_1_step3.pth"
    again = run(opt, classify(), tmp_path / "again", resume=middle, **settings)
    assert differing(epoch_of(whole, 1), epoch_of(again, 1)) == set()


def test_its_checkpoint_is_tested_and_used_with_the_same_logits(opt, hmdb51, trained, tmp_path, monkeypatch):
    words = [*words_for(hmdb51, tmp_path, network=()), "--resume_path1", str(trained.best)]
    test_single_stream.main(parse_opts([*words, "--modality", "RGB"]))
    saved = np.load(tmp_path / "HMDB51" / "test_rgb.npz")
    model = load_checkpoint(trained.best)
    scores = score({"rgb": model}, build_loader(opt, "test", [RGB]), device="cpu")
    assert (scores.logits.numpy() == saved["logits"]).all()
    assert (scores.video, scores.class_names) == (saved["video"].tolist(), list(CLASSES))
    about = {"file": str(trained.best), "reads": "rgb", "arch": "resnet-10", "recipe": {}}
    assert scores.about["checkpoints"]["rgb"] | {"recipe": {}} == about
    frames = next(path for path in (hmdb51 / "frames").rglob(scores.video[0].split("/")[-1]))
    monkeypatch.setattr(sys, "argv", ["predict.py", str(frames), "--weights", str(trained.best)])
    answer = dict(predict.main(predict.parse_args()))
    assert answer.keys() == set(CLASSES)
    assert max(answer, key=answer.get) == CLASSES[scores.logits[0, 0].argmax()]


def test_fused_scores_are_those_of_the_script(opt, hmdb51, trained, tmp_path):
    flow = run(opt, Classify(network(FLOW)), tmp_path, run_name="flow", n_epochs=1)
    paths = ["--resume_path1", str(trained.best), "--resume_path2", str(flow.best)]
    words = [*words_for(hmdb51, tmp_path, network=()), "--modality", "RGB_Flow", *paths]
    test_two_stream.main(parse_opts([*words, *"--fusion softmax --fusion_weights 1 3 --clip_mean after".split()]))
    saved = np.load(tmp_path / "HMDB51" / "test_rgb+flow_RGB_Flow.npz")
    networks = {"rgb": load_checkpoint(trained.best), "flow": load_checkpoint(flow.best)}
    how = {"fusion": "softmax", "fusion_weights": [1, 3], "clip_mean": "after"}
    scores = score(networks, build_loader(opt, "test"), device="cpu", **how)
    for name in ("logits", "activated", "clips", "clip_top1", "clip_top5", "fused_hits", "label"):
        assert (getattr(scores, name).numpy() == saved[name]).all(), name
    assert scores.streams == ["rgb", "flow"]
    assert scores.about["activation"] == "softmax"


def test_what_cannot_be_scored_is_refused(opt, trained):
    test = build_loader(opt, "test", [RGB])
    model, other = load_checkpoint(trained.best), StreamNetwork(small("resnet", 3, 9), RGB)
    with pytest.raises(ValueError, match="one of the subset test"):
        score({"rgb": model}, build_loader(opt, "val"), device="cpu")
    with pytest.raises(ValueError, match=r"^b: 9 classes, but .*rgb_best\.pth has 3; they cannot be fused"):
        score({"a": model, "b": other}, test, device="cpu")
    with pytest.raises(ValueError, match=r"^a: 2 classes, but the annotation has 3"):
        score({"a": StreamNetwork(small("resnet", 3, 2), RGB)}, test, device="cpu")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lr": 0.1}, r"^lr=0\.1: no setting of a training; there are .*learning_rate"),
        ({"optimizer": "lion"}, "--optimizer lion: is none of sgd, adamw"),
        ({"device": "tpu9"}, "--device tpu9"),
        ({"class_names": ["a"] * 4}, "class_names: 4 names for 3 outputs"),
        ({"class_names": []}, "class_names: 0 names for 3 outputs"),
        ({"recipe": {"sample_size": 32}}, "recipe: lacks sample_duration"),
        ({"run_name": "a/b"}, "use letters, digits"),
        ({"ft_begin_index": 7}, "--ft_begin_index 7"),
        ({"resume": "none.pth"}, r"none\.pth"),
        ({"class_names": ["a"]}, "class_names: 1 name, but the train videos have 3 classes"),
        ({"class_names": ["a", "b", "a"]}, "class_names: two classes are called a"),
        ({"recipe": {"sample_size": 32, "sample_duration": 99}}, "the recipe states sample_duration 99"),
    ],
)
def test_what_makes_no_run_is_refused_and_leaves_nothing(opt, changes, problem, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        run(opt, classify(), tmp_path, **{"n_epochs": 1} | changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("subsets", "task", "problem"),
    [
        (("val", "val"), classify, "^train: this loader reads the same clips in every epoch: make it of"),
        (("train", "train"), classify, "^val: this loader draws clips at random: make it of the subset val"),
        (("train", "test"), classify, "^val: this loader reads every clip, as a test does: make it with mode='val'"),
        (("train", "val"), classify_differences, "^train: the clips have rgb, flow, but a network reads rgbdiff"),
    ],
)
def test_loaders_that_do_not_suit_are_refused_and_leave_nothing(opt, subsets, task, problem, tmp_path):
    loaders = [build_loader(opt, subset) for subset in subsets]
    facts = {"class_names": CLASSES, "recipe": {"sample_size": opt.sample_size, "sample_duration": opt.sample_duration}}
    with pytest.raises(ValueError, match=problem):
        fit(task(), *loaders, folder=tmp_path, device="cpu", n_epochs=1, **facts)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_without_the_view_of_a_network_is_refused_by_name():
    problem = r"^the batch has no flow, which the network reads, but rgb: .*streams=\['flow', "
    with pytest.raises(ValueError, match=problem):
        network(FLOW)({"rgb": torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8)})


def test_a_network_that_does_not_know_itself_is_refused(opt, tmp_path):
    task = classify()
    task.model.network.origin = {}
    with pytest.raises(ValueError, match="make it with create_model"):
        run(opt, task, tmp_path, n_epochs=1)


def test_another_run_is_no_continuation(opt, trained, tmp_path, caplog):
    folder, settings = trained.best.parent, {"run_name": "rgb", "n_epochs": 2, "learning_rate": 0.05, "ema": 0.9}

    def go_on(task=None, **changes):
        return run(opt, task or classify(), folder, **settings | {"resume": "auto"} | changes)

    wider = StreamNetwork(create_model("resnet", 3, 3, depth=10, width=0.0625, no_max_pool=True), RGB)
    unlike = StreamNetwork(create_model("resnet", 3, 3, **ARGUMENTS), RGB, {"mean": [0.0] * 3, "std": [1.0] * 3})
    for changes, problem in (
        ({"resume": None}, "holds checkpoints of this run already"),
        ({"learning_rate": 0.01}, r"learning_rate 0\.05 in the checkpoint, 0\.01 now"),
        ({"resume": folder / "rgb_1.pth"}, "is newer than"),
        ({"task": Classify(wider)}, r"made with other network: .*'no_max_pool': False.*'no_max_pool': True"),
        ({"task": Classify(unlike)}, "made with other normalisation"),
        ({"class_names": ["x", "y", "z"]}, "made with other classes"),
    ):
        with pytest.raises(ValueError, match=problem):
            go_on(**changes)
    assert go_on().accuracy == trained.accuracy, "there is nothing left to do"
    caplog.clear()
    assert go_on(learning_rate=0.01, resume_anyway=True).accuracy == trained.accuracy
    assert "going on with the new ones" in caplog.text


def published(**entries) -> dict:
    return fill.sts_checkpoint(fill.fill(small("resnet", 3, 5, model_depth=18).state_dict())) | entries


def test_a_checkpoint_is_loaded_with_what_it_states(trained):
    model = load_checkpoint(trained.best)
    state = checkpoint.load(trained.best)
    assert not model.training
    assert (model.class_names, model.stream, model.source) == (list(CLASSES), "rgb", str(trained.best))
    assert model.recipe == state["recipe"]
    assert model.normalisation == state["recipe"]["normalisation"]
    assert model.network.origin == state["network"]
    assert all(torch.equal(x, state["state_dict"][name]) for name, x in model.network.state_dict().items())


def test_published_checkpoints_are_loaded_by_what_they_show(tmp_path):
    checkpoint.save(tmp_path / "a.pth", published(arch="resnet-18"))
    model = load_checkpoint(tmp_path / "a.pth", width=0.125)
    assert (model.stream, model.num_classes, model.class_names, model.recipe) == ("rgb", 5, [], {})
    assert model.network.arch == "resnet-18"
    chosen = load_checkpoint(tmp_path / "a.pth", normalisation=[1, 2, 3, 4, 5, 6], no_max_pool=True)
    assert chosen.normalisation == {"mean": [1, 2, 3], "std": [4, 5, 6]}
    assert chosen.network.origin["args"]["no_max_pool"]
    with pytest.raises(ValueError, match=r"a\.pth: weights of resnet-18, not resnext-50"):
        load_checkpoint(tmp_path / "a.pth", model="resnext", depth=50)
    with pytest.raises(ValueError, match="--model_args colour=VALUE"):
        load_checkpoint(tmp_path / "a.pth", colour="red")
    with pytest.raises(ValueError, match="check --modality"):
        load_checkpoint(tmp_path / "a.pth", stream=FLOW)


def test_a_checkpoint_of_before_networks_were_stated_is_loaded_by_its_options(trained, tmp_path):
    state = checkpoint.load(trained.best)
    del state["network"]
    state["options"] |= {"model": "resnet", "model_depth": 10, "width": 0.0625, "no_max_pool": True}
    checkpoint.save(tmp_path / "old.pth", state)
    args = load_checkpoint(tmp_path / "old.pth").network.origin["args"]
    assert (args["depth"], args["width"], args["no_max_pool"]) == (10, 0.0625, True)
