"""Weights of losses: schedules over the epochs, gradient norms of terms, and shares by which they are balanced."""

import re
from math import cos, pi

import pytest
import torch
from helpers import small
from small_tasks import RGB, make_batch, shapes

from models import Distill, StreamNetwork, create_distiller
from models.analysis.term_gradients import loss_gradients, term_gradients, whole
from models.distill import labels_of, parse_schedules, parse_shares, schedule_of
from models.distill.distiller import Distiller
from models.distill.schedule import parse_schedule
from opts import DISTILL, parse_opts
from workflows.training import loss_report
from workflows.training.loss_report import balance_losses

CPU = torch.device("cpu")
LABELS = labels_of({"flow": ["mse", "dkd"], "rgb": ["mse"]}, 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1.0] * 5),
        ("0.5", [0.5] * 5),
        ("0..1@0-4", [0.25, 0.5, 0.75, 1.0, 1.0]),
        ("1..0@1-3", [1.0, 0.5, 0.0, 0.0, 0.0]),
        ("2..0.1@2-4:cosine", [2.0, 2.0, 2 - 1.9 * (1 - cos(pi / 2)) / 2, 0.1, 0.1]),
        ("1e-3..1e2@0-1", [100.0] * 5),
    ],
)
def test_a_schedule_is_constant_or_goes_from_one_factor_to_another(text, expected):
    schedule = parse_schedule(text, text)
    assert [schedule(epoch) for epoch in range(1, 6)] == pytest.approx(expected, abs=1e-12)
    assert [schedule(epoch) for epoch in (4, 5)] == expected[3:]  # to the last bit


def test_a_warm_up_is_a_schedule():
    schedule, loss = parse_schedule("0..1@0-7", ""), Distiller(7)
    assert [schedule(epoch) for epoch in range(1, 12)] == pytest.approx([loss.warmup(epoch) for epoch in range(1, 12)])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mse", "expected LOSS=VALUE, or TEACHER.LOSS=VALUE"),
        ("mse=", "expected LOSS=VALUE"),
        ("kd=1", "no such loss is in use, choose among ce, flow.mse, flow.dkd, rgb.mse"),
        ("rgb.dkd=1", "no such loss is in use"),
        ("mse=-1", "expected a factor >= 0, or FROM..TO@FIRST-LAST like 1..0@10-40"),
        ("mse=nan", "expected a factor >= 0"),
        ("mse=1..0", "expected a factor >= 0"),
        ("mse=1..0@3", "expected a factor >= 0"),
        ("mse=1..0@3-3", "the last epoch must be after the first, got 3-3"),
        ("mse=1..0@1-3:step", "step is no shape, choose one of linear, cosine"),
        ("mse=1e999", "a factor must be finite"),
    ],
)
def test_bad_schedules_are_refused(word, message):
    with pytest.raises(ValueError, match=f"--loss_schedule .*{re.escape(message)}"):
        parse_schedules([word], LABELS)


def test_a_loss_without_its_teacher_is_that_of_all_but_those_that_have_a_word():
    words = ["mse=0.5", "rgb.mse=2", "ce=0"]
    found = {name: schedule(1) for name, schedule in parse_schedules(words, LABELS).items()}
    assert found == {"flow.mse": 0.5, "rgb.mse": 2.0, "ce": 0.0}
    pairs = [("flow", "mse"), ("rgb", "mse"), ("flow", "dkd"), ("", "ce")]
    assert [schedule_of(words, *pair) for pair in pairs] == ["0.5", "2", "", "0"]
    with pytest.raises(ValueError, match="mse has a value already"):
        parse_schedules(["mse=1", "mse=2"], LABELS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ce=1"], "one loss alone is in balance: name two or more"),
        (["ce=1", "mse=0"], "--balance flow.mse=0: a share must be a number > 0"),
        (["ce=1", "mse=x"], "a share must be a number > 0"),
        (["ce=1", "kd=1"], "--balance kd=1: no such loss is in use"),
    ],
)
def test_bad_shares_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse_shares(words, LABELS)


@pytest.mark.parametrize(
    "words",
    [
        ["--loss_schedule", "kd=1..0@1-2"],
        ["--balance", "ce=1", "kd=1"],
        ["--ce_weight", "0", "--loss_schedule", "ce=1"],
    ],
)
def test_losses_that_are_not_in_use_are_refused_before_anything_is_read(words, capsys):
    with pytest.raises(SystemExit) as end:
        parse_opts(["--modality", "RGB_Flow", "--distill", "mse", *words], DISTILL)
    assert end.value.code == 2
    assert "no such loss is in use, choose among" in capsys.readouterr().err


def make_task(*losses: dict, **settings) -> Distill:
    torch.manual_seed(0)
    networks = [small("resnet", width=0.0625) for _ in range(2)]
    built = [create_distiller(loss.pop("name"), *shapes(*networks), **loss) for loss in map(dict, losses)]
    return Distill(*(StreamNetwork(network, RGB) for network in networks), built, **settings)


class Loader(list):
    def set_epoch(self, epoch: int, step: int = 0) -> None:
        self.epoch = epoch


@pytest.fixture
def loader() -> Loader:
    return Loader([make_batch("flow", clips=3, frames=4)])


def test_a_schedule_weighs_a_loss_in_training_alone(loader):
    plain = make_task({"name": "mse"}, {"name": "kd"})
    task = make_task({"name": "mse", "schedule": "1..0@1-3"}, {"name": "kd"}, ce_schedule="0.5")
    (batch,) = loader
    task.epoch = plain.epoch = 2
    found, full = task.train()(batch), plain.train()(batch)
    assert found["loss_mse_avgpool"] == 0.5 * full["loss_mse_avgpool"]
    assert found["loss_ce"] == 0.5 * full["loss_ce"]
    assert found["loss_kd"] == full["loss_kd"]
    tested, wanted = task.eval()(batch), plain.eval()(batch)
    torch.testing.assert_close(tested["loss_ce"], wanted["loss_ce"])  # two steps of training moved both alike


def test_norms_of_losses_are_those_of_all_their_terms_without_schedules(loader):
    task = make_task({"name": "mse", "layers": ["layer4", "avgpool"], "schedule": "0..1@5-9"}, {"name": "kd"})
    (batch,) = loader
    norms, terms = loss_gradients(task, batch), term_gradients(task, batch)
    assert list(norms) == ["ce", "mse", "kd"]
    assert norms["kd"] == pytest.approx(sum(x * x for x in terms["loss_kd"]) ** 0.5)
    task.train().epoch = 9
    out, network = task(batch), task.model.network
    (out["loss_mse_layer4"] + out["loss_mse_avgpool"]).backward()
    squares = sum(p.grad.double().square().sum().item() for p in network.parameters() if p.grad is not None)
    assert norms["mse"] == pytest.approx(squares**0.5, rel=1e-4)


def test_balance_gives_each_loss_its_share_and_a_checkpoint_restores_it(loader, caplog):
    caplog.set_level("INFO")
    losses = [{"name": "mse"}, {"name": "kd", "warmup_epochs": 9}]
    task, resumed = make_task(*losses), make_task(*losses)
    random = torch.random.get_rng_state()
    stored = balance_losses(task, loader, CPU, "off", ["ce=2", "mse=1", "kd=0.5"], {})
    assert loader.epoch == 1
    assert torch.equal(torch.random.get_rng_state(), random)
    norms = loss_gradients(task, loader[0])
    assert norms["mse"] == pytest.approx(norms["ce"] / 2, rel=1e-4)
    assert norms["kd"] == pytest.approx(norms["ce"] / 4, rel=1e-4)
    assert (task.ce_weight, stored["balance"]["ce"]) == (1.0, 1.0)
    assert f"mse x {stored['balance']['mse']!r}" in caplog.text
    assert balance_losses(resumed, Loader(), CPU, "off", ["ce=2", "mse=1", "kd=0.5"], stored) == stored
    assert [loss.factor for loss in resumed.losses] == [loss.factor for loss in task.losses]
    assert balance_losses(resumed, Loader(), CPU, "off", [], stored) == {}


def test_all_processes_balance_by_the_gradients_of_the_first(loader, monkeypatch):
    task = make_task({"name": "mse"})
    monkeypatch.setattr(loss_report, "take_from_main", lambda found: found.copy_(torch.tensor([3.0, 12.0])))
    stored = balance_losses(task, loader, CPU, "off", ["ce=1", "mse=2"], {})
    assert stored == {"balance": {"ce": 1.0, "mse": 0.5}}


def test_a_loss_without_a_gradient_cannot_be_balanced(loader):
    task = make_task({"name": "mse", "weight": 0.0})
    with pytest.raises(ValueError, match="--balance mse: has no gradient on the student"):
        balance_losses(task, loader, CPU, "off", ["ce=1", "mse=1"], {})
    with pytest.raises(ValueError, match="--balance: there is no training batch"):
        balance_losses(task, Loader(), CPU, "off", ["ce=1", "mse=1"], {})
    with pytest.raises(ValueError, match="kd: no such loss is in use, there are ce, mse"):
        balance_losses(task, loader, CPU, "off", ["ce=1", "mse=1"], {"balance": {"kd": 2.0}})


TERMS = {"name": "mse", "layers": ["layer2"]}, {"name": "kd", "warmup_epochs": 10}


def test_norms_are_those_of_a_backward_pass(loader):
    task, (batch,) = make_task(*TERMS), loader
    state = {name: value.clone() for name, value in task.state_dict().items()}
    random = torch.random.get_rng_state()
    norms = term_gradients(task, batch)
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert norms.keys() == {"loss_ce", "loss_mse_layer2", "loss_kd"}
    task.train().epoch = 10  # after the warm-up
    out, network = task(batch), task.model.network
    for name, row in norms.items():
        network.zero_grad()
        out[name].backward(retain_graph=True)
        squares = [0.0] * 6
        for place, parameter in network.named_parameters():
            if parameter.grad is not None:
                squares[network.stage_of(place)] += parameter.grad.square().sum().item()
        assert row == pytest.approx([square**0.5 for square in squares], rel=1e-4)
        assert whole(row) == pytest.approx(sum(squares) ** 0.5, rel=1e-4)
    assert norms["loss_mse_layer2"][3:] == [0, 0, 0]  # nothing after it
    assert all(norms["loss_mse_layer2"][:3])


def test_what_does_not_learn_has_no_norm(loader):
    task, (batch,) = make_task(*TERMS), loader
    for name, parameter in task.model.network.named_parameters():
        parameter.requires_grad_(task.model.network.stage_of(name) > 4)
    norms = term_gradients(task, batch)
    assert norms.keys() == {"loss_ce", "loss_kd"}
    assert all(row[:5] == [0] * 5 and row[5] for row in norms.values())


def test_the_report_says_by_how_much_a_term_would_pull_as_hard(loader):
    task = make_task(*TERMS)
    lines = loss_report.loss_report(task, loader, CPU, "off")
    assert lines[0].split() == "gradient norm of stem layer1 layer2 layer3 layer4 classifier all".split()
    assert [line.split()[0] for line in lines[1:4]] == ["loss_ce", "loss_mse_layer2", "loss_kd"]
    assert lines[-1].startswith("as hard as the cross-entropy: loss_mse_layer2 x ")
    assert loss_report.advice({"loss_ce": [3.0, 4.0], "loss_a": [0.0, 10.0]}) == [
        "as hard as the cross-entropy: loss_a x 0.5"
    ]
    assert "no cross-entropy" in loss_report.advice({"loss_a": [1.0]})[0]
    assert loss_report.table({"loss_a": [3.0, 4.0]}, ["stem", "classifier"])[1].split() == ["loss_a", "3", "4", "5"]
    with pytest.raises(ValueError, match="--loss_report: there is no training batch"):
        loss_report.loss_report(task, [], CPU, "off")
