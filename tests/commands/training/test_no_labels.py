"""Distillation without labels: students whose outputs are their teacher's classes, and what can be made of them."""

from argparse import Namespace

import pytest
import torch
from distilling import STEPS, distil, metrics, resumed
from helpers import CLASSES, TINY, words_for
from runs import differences

import test_single_stream
import train
from engine import checkpoint
from models import Distill, StreamNetwork, create_distiller, create_model, output_shapes
from opts import SINGLE, TRAIN, parse_opts
from workflows.predicting.predict import build_predictor
from workflows.training.chosen_teachers import all_losses, learns_classes, parse_sizes

RGB_ONLY = ["--modality", "RGB", "--only_RGB"]
OUTPUTS = 9
FREE = ["--ce_weight", "0", "--n_classes", str(OUTPUTS), "--distill", "logits", "anc", "--project", "auto"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> str:
    """An image network of nine classes that are none of the data's."""
    torch.manual_seed(3)
    network = create_model("resnet2d", 3, OUTPUTS, depth=18, width=0.0625)
    path = tmp_path_factory.mktemp("teacher") / "image.pth"
    state = {"arch": network.arch, "network": dict(network.origin), "stream": "rgb", "state_dict": network.state_dict()}
    checkpoint.save(path, state | {"class_names": [f"thing {i}" for i in range(OUTPUTS)]})
    return str(path)


@pytest.fixture(scope="module")
def words(teacher) -> list[str]:
    return [*RGB_ONLY, "--teacher", f"image={teacher}", "--teacher_size", "image=40", *FREE, *STEPS]


def test_a_student_learns_outputs_of_an_image_network_and_then_classes(hmdb51, words, tmp_path):
    whole = distil(hmdb51, tmp_path / "whole", *words)
    rows = metrics(whole)
    terms = {"val_loss_image_logits", "val_loss_image_anc", "train_own_loss_image_anc"}
    assert all(terms <= row.keys() for row in rows)
    assert not any("acc" in name for row in rows for name in row)
    assert rows[0]["val_loss"] == pytest.approx(rows[0]["val_loss_image_logits"] + rows[0]["val_loss_image_anc"])
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words) == []
    best = whole / "s_best.pth"
    assert checkpoint.load(best)["class_names"] == []
    tested = [*words_for(hmdb51, tmp_path, (), SINGLE), *RGB_ONLY, "--resume_path1", str(best)]
    with pytest.raises(ValueError, match=r"s_best\.pth: was trained without labels, so it has no class names"):
        test_single_stream.main(parse_opts(tested, SINGLE))
    with pytest.raises(ValueError, match=r"s_best\.pth: was trained without labels, so it has no class names"):
        build_predictor([best])
    goes_on = [*words_for(hmdb51, tmp_path, TINY, TRAIN), *RGB_ONLY, "--pretrain_path", str(best)]
    train.main(parse_opts([*goes_on, "--run_name", "t"], TRAIN))
    assert checkpoint.load(tmp_path / "HMDB51" / "t_best.pth")["class_names"] == list(CLASSES)


def test_a_run_whose_teacher_is_cached_has_the_same_bits(hmdb51, words, tmp_path):
    words = [*words, "--train_sampling", "center", "--crop", "center", "--flip", "never"]
    plain = distil(hmdb51, tmp_path / "plain", *words)
    cache = tmp_path / "cache"
    cached = distil(hmdb51, tmp_path / "cached", *words, "--teacher_cache", str(cache))
    a, b = (checkpoint.load(results / "s_2.pth") for results in (plain, cached))
    assert all(differences(a[key], b[key]) == [] for key in ("state_dict", "optimizer", "losses", "rng", "metrics"))
    rows = [metrics(results) for results in (plain, cached)]
    assert rows[0] == rows[1]
    seen = sum(b["data"][subset]["videos"] for subset in ("train", "val"))
    assert 0 < len(list(cache.rglob("*.pth"))) <= seen  # each once, though there were two epochs


def make_task(**settings) -> Distill:
    networks = [create_model("resnet", 3, OUTPUTS, depth=10, width=0.0625) for _ in range(2)]
    shapes = [output_shapes(network, (3, 4, 32, 32)) for network in networks]
    stream = Namespace(name="rgb", mean=(0.0,) * 3, std=(1.0,) * 3)
    student, teacher = (StreamNetwork(network, stream) for network in networks)
    losses = [create_distiller(name, *shapes) for name in settings.pop("losses", ["logits"])]
    return Distill(student, teacher, losses, **settings)


def test_labels_that_are_not_the_students_are_not_read():
    batch = {"rgb": torch.randint(0, 255, (2, 3, 4, 32, 32), dtype=torch.uint8), "label": torch.tensor([50, 70])}
    task = make_task(ce_weight=0.0, knows_classes=False)
    for mode in (True, False):
        out = task.train(mode)(batch)
        assert out.keys() == {"loss", "loss_ce", "loss_logits"}
        assert out["loss"].item() == out["loss_logits"].item() > 0
    known = make_task(ce_weight=0.0).eval()(batch | {"label": torch.tensor([0, 1])})
    assert known.keys() == {"loss", "loss_ce", "logits"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ce_weight": 1.0}, r"cross-entropy \(ce_weight 1.0\) needs labels, but the outputs of the student are other"),
        ({"ce_weight": 0.0, "losses": ["dkd"]}, "dkd needs labels, but the outputs of the student are other classes"),
    ],
)
def test_what_needs_labels_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_task(knows_classes=False, **settings)


@pytest.mark.parametrize(
    ("losses", "ce_weight", "outputs", "learns"),
    [
        (["mse"], 1.0, 1000, True),
        (["mse", "dkd"], 0.0, 1000, True),  # dkd reads labels
        (["logits"], 0.0, None, True),  # of teachers of these classes
        (["mse", "kd"], 0.0, 51, True),
        (["logits"], 0.0, 1000, False),
        (["mse", "anc"], 0.0, None, False),
    ],
)
def test_when_classes_are_learnt(losses, ce_weight, outputs, learns):
    assert learns_classes(losses, ce_weight, outputs, 51) == learns


def test_losses_of_a_teacher_are_in_place_of_those_of_all():
    assert all_losses(["a", "b"], ["mse"], ["b=kd,logits*2"]) == {"mse", "kd", "logits"}
    assert all_losses(["b"], ["mse"], ["b=kd,logits*2"]) == {"kd", "logits"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["image"], "--teacher_size image: expected TEACHER=PIXELS, like image=224"),
        (["image=big"], "--teacher_size image=big: expected TEACHER=PIXELS"),
        (["image=0"], "--teacher_size image=0: expected TEACHER=PIXELS"),
        (["other=3"], "--teacher_size other=3: there is no such teacher, choose among image"),
        (["image=3", "image=4"], "--teacher_size image=4: image has a size already"),
    ],
)
def test_bad_sizes_of_teachers_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse_sizes(words, {"image": "image.pth"})
