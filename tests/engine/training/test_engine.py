"""Loops, checkpoints, logs and scoring, with tasks of a few weights."""

import json
import os
import pickle
import signal
import sys
import zipfile
from argparse import Namespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from engine import ScoreAccumulator, checkpoint, confusion, result_lines, score_videos, video_metrics
from engine.checkpoint.rolling import Checkpoints
from engine.command import cli
from engine.command.cli import EvaluationCountError, exit_code, is_explained, one_line
from engine.device.reproducibility import setup
from engine.monitor.logs import Curves, JsonLog, TsvLog
from engine.training.loop import CHECK_EVERY, Epoch, FiniteCheck, evaluate, train_one_epoch
from engine.training.schedules import Schedule, Warmup
from engine.training.stepper import Stepper
from sts_common.files import write_atomically

CPU = torch.device("cpu")


class Linear(nn.Module):
    """A task on vectors that keeps the contract of a task."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, batch):
        logits = self.fc(batch["x"])
        loss = nn.functional.cross_entropy(logits, batch["label"])
        return {"loss": loss, "logits": logits, "loss_half": loss / 2}


def batches(n: int = 6, size: int = 4):
    generator = torch.Generator().manual_seed(3)
    return [
        {
            "x": torch.randn(size, 4, generator=generator),
            "label": torch.randint(3, (size,), generator=generator),
            "video": ["v"] * size,
        }
        for _ in range(n)
    ]


def test_training_reports_every_scalar_and_evaluation_changes_nothing():
    task = Linear()
    before = [p.clone() for p in task.parameters()]
    metrics = evaluate(task, batches(), CPU)
    assert set(metrics) == {"loss", "loss_half", "acc"}
    assert metrics["loss_half"] == pytest.approx(metrics["loss"] / 2)
    assert all(torch.equal(a, b) for a, b in zip(before, task.parameters(), strict=True))


def test_a_loss_that_is_no_number_stops_before_the_step():
    task, data = Linear(), batches()
    data[2]["x"][0, 0] = float("nan")
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="step 3"):
        train_one_epoch(task, data, Stepper(task, optimizer, Schedule(optimizer, Warmup())), CPU, Epoch())
    assert all(p.isfinite().all() for p in task.parameters())


def test_a_gpus_losses_are_looked_at_now_and_then():
    check = FiniteCheck(CHECK_EVERY)
    for _ in range(CHECK_EVERY - 1):
        check.note(torch.tensor(float("inf")))
    with pytest.raises(FloatingPointError, match=f"step {CHECK_EVERY} or up to"):
        check.note(torch.tensor(1.0))


def test_video_metrics_of_a_known_case():
    scores = torch.eye(7)[[0, 1, 1, 2, 3]] - torch.arange(7) / 100
    metrics = video_metrics(scores, torch.tensor([0, 0, 1, 2, 6]))
    assert metrics["top1"] == pytest.approx(3 / 5)
    assert metrics["mean_class"] == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    assert metrics["top5"] == pytest.approx(4 / 5)
    table = confusion(scores, torch.tensor([0, 0, 1, 2, 6]))
    assert table.sum() == 5
    assert table[0, 1] == table[6, 3] == 1


def test_top5_of_fewer_than_five_classes_is_everything():
    assert video_metrics(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))["top5"] == 1.0


def test_result_lines_are_the_published_ones():
    scores = torch.zeros(2, 12)
    scores[0, [10, 3, 7, 1, 2]] = torch.tensor([5.0, 4, 3, 2, 1])
    scores[1, [4, 0, 11, 5, 6]] = torch.tensor([5.0, 4, 3, 2, 1])
    assert result_lines(scores, torch.tensor([10, 6])) == [
        "Video[0] : \t top5 [10  3  7  1  2]\t top1 = 10\t true = 10\t video = 1.0",
        "Video[1] : \t top5 [ 4  0 11  5  6]\t top1 = 4\t true = 6\t video = 0.5",
        "Video accuracy = 0.5",
    ]


class Network(nn.Module):
    def forward(self, batch):
        return Namespace(logits=batch["rgb"].float() * 2)


def clips(counts, size):
    data = [
        {"rgb": torch.tensor([v, k, 0.5]), "label": v % 3, "index": v} for v, n in enumerate(counts) for k in range(n)
    ]
    return data, DataLoader(data, batch_size=size)


@pytest.mark.parametrize("size", [1, 4, 7])
def test_scores_are_means_over_clips_whatever_the_batches(size):
    counts = [3, 1, 5, 2]
    data, loader = clips(counts, size)
    changes = {"activation": lambda logits: logits.softmax(-1), "fuse": lambda logits: -logits.sum(0)}
    tally = ScoreAccumulator(counts, 2, 3, CPU, **changes)
    logits, seen, top1, top5, activated, fused = score_videos([Network(), Network()], loader, tally, device=CPU)
    assert seen.tolist() == counts
    for v in range(4):
        mean = torch.stack([row["rgb"] for row in data if row["index"] == v]).mean(0) * 2
        torch.testing.assert_close(logits[:, v], mean.expand(2, -1))
        after = torch.stack([(row["rgb"] * 2).softmax(-1) for row in data if row["index"] == v]).mean(0)
        torch.testing.assert_close(activated[:, v], after.expand(2, -1))
        hits = [(row["rgb"].argmax() == row["label"]).item() for row in data if row["index"] == v]
        assert top1[:, v].tolist() == [sum(hits)] * 2
        assert fused[0, v] == sum((row["rgb"].argmin() == row["label"]).item() for row in data if row["index"] == v)
    assert top5.tolist() == [counts] * 2
    assert fused[1].tolist() == counts


@pytest.mark.parametrize("counts", [[3, 1], [3, 3], [2, 2]])
def test_a_clip_too_many_or_too_few_is_an_error_of_its_own(counts):
    _, loader = clips([3, 2], 2)
    with pytest.raises(EvaluationCountError) as raised:
        score_videos([Network()], loader, ScoreAccumulator(counts, 1, 3, CPU), device=CPU)
    assert exit_code(raised.value) == 4


def test_a_checkpoint_comes_back(tmp_path):
    state = {"epoch": 3, "state_dict": Linear().state_dict(), "options": {"a": [1, 2.5, None]}}
    checkpoint.save(tmp_path / "a.pth", state)
    loaded = checkpoint.load(tmp_path / "a.pth")
    assert loaded["options"] == state["options"]
    assert torch.equal(loaded["state_dict"]["fc.weight"], state["state_dict"]["fc.weight"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "p.pth").write_bytes(pickle.dumps({"a": 1}))
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as archive:
        archive.writestr("a", "b")
    (tmp_path / "t.pth").write_bytes(b"text")
    for name, message in (("list", "holds a list"), ("p", "damaged"), ("z", "damaged"), ("t", "damaged")):
        with pytest.raises(ValueError, match=rf"{name}\.pth: {message}"):
            checkpoint.load(tmp_path / f"{name}.pth")


class Dying(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_loader_process_is_explained_and_a_bug_is_not():
    with pytest.raises(RuntimeError) as raised:
        list(DataLoader(Dying(), num_workers=1))
    assert is_explained(raised.value)
    assert "--n_workers" in one_line(raised.value)
    assert not is_explained(RuntimeError("shapes do not match"))


def test_gradients_without_an_order_are_explained():
    """The words are torch's, of a function that a GPU has no other for."""
    words = "grid_sampler_2d_backward_cuda does not have a deterministic implementation, but you set 'torch.use_...'"
    assert is_explained(RuntimeError(words))
    assert "leave out --deterministic" in one_line(RuntimeError(words))


def test_batch_norm_of_a_single_value_is_explained():
    with pytest.raises(ValueError) as raised:
        torch.nn.BatchNorm3d(2)(torch.zeros(1, 2, 1, 1, 1))
    assert "--batch_size 2 or more" in one_line(raised.value)


def test_of_one_checkpoint_to_keep_the_newest_stays_beside_the_best(tmp_path):
    kept = Checkpoints(f"{tmp_path / 'run'}{{}}.pth", tmp_path / "run_best.pth", keep=1)
    for name in ("run1.pth", "run2.pth", "run3_step4.pth", "run_best.pth"):
        (tmp_path / name).touch()
    kept.prune()
    assert {path.name for path in tmp_path.iterdir()} == {"run3_step4.pth", "run_best.pth"}


def test_checkpoints_behind_the_newest_go_only_if_the_run_goes_on_from_it(tmp_path):
    kept = Checkpoints(f"{tmp_path / 'run'}{{}}.pth", tmp_path / "run_best.pth", keep=1)
    for name in ("run2.pth", "run3_step4.pth"):
        (tmp_path / name).touch()
    kept.prune_behind((3, 0))  # of run2.pth: the newer one is damaged
    assert len(list(tmp_path.iterdir())) == 2
    kept.prune_behind((3, 4))
    assert [path.name for path in tmp_path.iterdir()] == ["run3_step4.pth"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space") as full:
        write_atomically(path, fail)
    assert full.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_to_be_written_or_the_one_that_was_read_meanwhile(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as taken:
        write_atomically(tmp_path / "folder", lambda file: file.write(b"x"))
    assert taken.value.filename == str(tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match="source"):
        write_atomically(tmp_path / "file", lambda file: file.write((tmp_path / "source").read_bytes()))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_logs_are_cut_back_to_where_the_run_starts(tmp_path):
    columns = {"epoch": "epoch", "loss": "loss", "lr": "lr"}
    log, jsonl = TsvLog(tmp_path / "a.log", columns, 1), JsonLog(tmp_path / "m.jsonl", 1)
    for epoch in (1, 2, 3):
        log.write({"epoch": epoch, "loss": 0.1 + 0.2, "lr": 0.1})
        jsonl.write({"epoch": epoch})
    assert (tmp_path / "a.log").read_bytes().startswith(b"epoch\tloss\tlr\r\n1\t0.30000000000000004\t0.1\r\n2\t")
    TsvLog(tmp_path / "a.log", columns, 3)
    JsonLog(tmp_path / "m.jsonl", 3)
    assert [line.split("\t")[0] for line in (tmp_path / "a.log").read_text().splitlines()] == ["epoch", "1", "2"]
    assert [json.loads(line)["epoch"] for line in (tmp_path / "m.jsonl").read_text().splitlines()] == [1, 2]
    TsvLog(tmp_path / "a.log", columns, 1)
    assert len((tmp_path / "a.log").read_text().splitlines()) == 1


def test_a_column_may_cover_several_metrics(tmp_path):
    log = TsvLog(tmp_path / "a.log", {"epoch": "epoch", "mse": "loss_mse", "none": "loss_kd"}, 1)
    log.write({"epoch": 1, "loss_mse_layer4": 1.5, "loss_mse_avgpool": 1.0, "loss_review": 9.0})
    assert (tmp_path / "a.log").read_text().splitlines()[1] == "1\t2.5\t0.0"


def test_without_tensorboardx_there_are_no_curves_and_the_cure_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # as if it were not installed
    curves = Curves(tmp_path / "tb", 1)
    curves.write({"loss": 1.0}, 1)
    curves.close()
    assert "pip install tensorboardX" in caplog.text
    assert len(caplog.records) == 1
    assert not (tmp_path / "tb").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_give_up_on_a_full_disk_and_never_block(tmp_path, caplog, monkeypatch):
    curves = Curves(tmp_path / "tb", 1)
    curves.write({"loss": 1.0}, 1)

    def fail(*_):
        raise OSError(28, "No space left on device")

    events = curves.writer.file_writer.event_writer
    monkeypatch.setattr(events._ev_writer, "write_event", fail)
    curves.write({f"term{i}": 1.0 for i in range(200)}, 2)  # its thread dies in the middle of this
    events._worker.join(10)
    for epoch in range(3, 60):
        curves.write({f"term{i}": 1.0 for i in range(20)}, epoch)
    assert "curves stop here" in caplog.text
    curves.close()


def test_devices_that_are_not_there_are_refused():
    assert setup(0, "cpu") == CPU
    for name in ("cuda:99", "gpu", "cuda:x"):
        with pytest.raises(ValueError, match=f"--device {name}"):
            setup(0, name)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("bad\n value"), 2, "bad value"),
        (FileNotFoundError("a: no such file"), 2, "a: no such file"),
        (PermissionError(13, "Permission denied", "x.pth"), 2, "x.pth: Permission denied"),
        (OSError(28, "No space left on device", "x.pth"), 5, "no space left: x.pth"),
        (FloatingPointError("the loss became nan"), 3, "the loss became nan"),
        (OSError(24, "Too many open files"), 2, cli.TOO_MANY_FILES),
        (RuntimeError("Too many open files. Communication with the workers"), 2, cli.TOO_MANY_FILES),
        (ValueError("Caught.\nOriginal Traceback (most recent):\n  File x\nValueError: a.jpg: bad\n"), 2, "a.jpg: bad"),
    ],
)  # fmt: skip
def test_errors_become_one_line_and_a_code(error, code, line):
    assert (exit_code(error), one_line(error)) == (code, line)
