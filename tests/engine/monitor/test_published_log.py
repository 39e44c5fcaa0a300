"""The logs of distillation beside a stand-in of the published logging, which knows only networks and batches."""

import csv
import io
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import words_for

import STS_train
import train
from datasets import FLOW, RGB, build_loader
from engine import checkpoint
from models import load_stream
from opts import parse_opts

ALPHA = 50
STILL = "--learning_rate 0 --n_workers 0 --n_epochs 1 --checkpoint 1".split()  # every batch sees the same


@pytest.fixture(scope="module")
def teacher(hmdb51, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train.main(parse_opts([*words_for(hmdb51, folder), "--modality", "Flow"]))
    return next(folder.rglob("*_best.pth"))


class Mean:
    """A running mean over samples, as the published meters take it."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def update(self, value: torch.Tensor, samples: int) -> None:
        self.sum, self.count = self.sum + value.item() * samples, self.count + samples

    @property
    def avg(self) -> float:
        return self.sum / self.count


@torch.no_grad()
def published_rows(opt, student, teacher) -> tuple[dict[str, float], dict[str, float]]:
    """Return the columns that MARS_train.py and MERS_train.py log of an epoch, of training and validation."""
    name = "MERS" if "mers" in opt.distill else "SFS"
    loss, acc = Mean(), Mean()
    student.eval()  # before the statistics of its batch norms move
    for batch in build_loader(opt, "val", (RGB,)):
        logits = student(batch).logits
        loss.update(F.cross_entropy(logits, batch["label"]), len(logits))
        acc.update((logits.argmax(1) == batch["label"]).float().mean(), len(logits))
    total, feature, own, hits = Mean(), Mean(), Mean(), Mean()
    loader = build_loader(opt, "train")
    loader.set_epoch(1)
    student.train()
    for batch in loader:
        target, seen = batch["label"], student(batch)
        cross_entropy = F.cross_entropy(seen.logits, target)
        mse = ALPHA * F.mse_loss(seen.features["avgpool"], teacher(batch).features["avgpool"])
        for meter, value in ((total, cross_entropy + mse), (feature, mse), (own, cross_entropy)):
            meter.update(value, len(target))
        hits.update((seen.logits.argmax(1) == target).float().mean(), len(target))
    trained = {"epoch": 1, "loss": total.avg, "loss_MSE": feature.avg, f"loss_{name}": own.avg, "acc": hits.avg}
    return trained | {"lr": 0.0}, {"epoch": 1, "loss": loss.avg, "acc": acc.avg}


def logged(path: Path) -> dict[str, float]:
    header, row = csv.reader(io.StringIO(path.read_bytes().decode()), delimiter="\t")
    return dict(zip(header, map(float, row), strict=True))


def distilled(hmdb51, teacher: Path, folder: Path, *words: str):
    opt = parse_opts(
        [*words_for(hmdb51, folder), *STILL, "--modality", "RGB_Flow", "--resume_path1", str(teacher), *words]
    )
    STS_train.main(opt)
    name = "MERS" if "mers" in opt.distill else "SFS"
    logs = [logged(next(folder.rglob(f"{name}_*_{subset}_*.log"))) for subset in ("train", "val")]
    return opt, next(folder.rglob(f"{name}_*_1.pth")), logs


@pytest.mark.parametrize("method", ["mse", "mers"])
def test_columns_of_distillation_hold_what_the_published_code_writes_into_them(hmdb51, teacher, tmp_path, method):
    opt, path, logs = distilled(hmdb51, teacher, tmp_path, "--distill", method)
    student, flow = (
        load_stream(opt, stream, checkpoint.load(file), str(file)) for stream, file in ((RGB, path), (FLOW, teacher))
    )
    for written, expected in zip(logs, published_rows(opt, student, flow.eval()), strict=True):
        assert list(written) == list(expected)
        assert written == pytest.approx(expected, rel=1e-4)


def test_losses_that_the_published_code_lacks_are_part_of_the_total(hmdb51, teacher, tmp_path):
    _, _, (written, _) = distilled(hmdb51, teacher, tmp_path, "--distill", "review", "kd", "--distill_warmup", "0")
    assert list(written) == ["epoch", "loss", "loss_MSE", "loss_SFS", "acc", "lr"]
    assert written["loss_MSE"] == 0
    assert written["loss"] > written["loss_SFS"] > 0
