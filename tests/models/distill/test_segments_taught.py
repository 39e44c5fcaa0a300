"""Students that see segments, whatever joins them, learn from a teacher by every loss."""

import pytest
import torch
from small_tasks import FLOW, RGB, make_batch
from torch.nn import functional as F

from models import Distill, StreamNetwork, build_distillers, create_model
from models.backbones.contract import within
from opts import parse_opts

SMALL = {"depth": 18, "width": 0.125, "segments": 2}
KINDS = ["average", "max", "weights", "tle_bilinear", "tle_sketch", "tle_fc"]


def task_of(consensus: str, *words: str) -> Distill:
    torch.manual_seed(0)
    student = create_model("resnet2d", 3, 3, **SMALL, consensus=consensus, encoding_size=64)
    teacher = create_model("resnet2d", 2, 3, **SMALL)
    opt = parse_opts([*"--modality RGB_Flow --sample_size 32 --sample_duration 2 --review_mid 8".split(), *words])
    losses = build_distillers(opt, student, teacher, 0)
    return Distill(StreamNetwork(student, RGB), StreamNetwork(teacher, FLOW), losses).train()


@pytest.mark.parametrize("consensus", KINDS)
def test_mers_trains_what_joins_segments_and_the_classifier_by_the_labels_alone(consensus):
    project = ["--project", "auto"] if consensus == "tle_bilinear" else []  # its vector has 64 x 64 values
    task = task_of(consensus, "--distill", "mers", "--SFS_alpha", "0", *project)
    network, seen = task.model.network, make_batch(clips=2, frames=2)
    out = task(seen)
    torch.testing.assert_close(out["logits"], task.model(seen).logits)  # those that a test will see
    assert out["loss_ce"] == F.cross_entropy(out["logits"], seen["label"])
    out["loss"].backward()
    learnt = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    head = {n for n, _ in network.named_parameters() if within(n, "consensus") or within(n, network.classifier)}
    assert learnt == head
    assert network.head_logits is None


@pytest.mark.parametrize("consensus", ["max", "tle_sketch", "tle_fc"])
def test_every_part_of_a_student_of_segments_learns_by_the_whole_method(consensus):
    task = task_of(consensus, "--distill", "mse", "review", "dkd", "--distill_warmup", "0")
    out = task(make_batch(clips=2, frames=2))
    assert {name.split("_")[1] for name in out if name.startswith("loss_")} >= {"ce", "mse", "review"}
    out["loss"].backward()
    silent = [name for name, p in task.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert silent == []


def test_a_vector_of_another_size_than_the_teachers_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"4096 channels.*64 channels.*--project auto"):
        task_of("tle_bilinear", "--distill", "mers")
