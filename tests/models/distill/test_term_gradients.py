"""Gradient norms of terms of a distillation, on the parts of a student."""

from argparse import Namespace

import pytest
import torch

from models import Distill, StreamNetwork, create_distiller, create_model, output_shapes
from models.analysis.term_gradients import term_gradients, whole
from workflows.training.loss_report import advice, loss_report, table

CPU = torch.device("cpu")


@pytest.fixture
def task() -> Distill:
    torch.manual_seed(0)
    networks = [create_model("resnet", 3, 5, depth=10, width=0.0625) for _ in range(2)]
    shapes = [output_shapes(network, (3, 4, 32, 32)) for network in networks]
    stream = Namespace(name="rgb", mean=(100.0,) * 3, std=(50.0,) * 3)
    student, teacher = (StreamNetwork(network, stream) for network in networks)
    losses = [create_distiller("mse", *shapes, layers=["layer2"]), create_distiller("kd", *shapes, warmup_epochs=10)]
    return Distill(student, teacher, losses)


@pytest.fixture
def batch() -> dict:
    generator = torch.Generator().manual_seed(1)
    clips = torch.randint(0, 255, (3, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)
    return {"rgb": clips, "label": torch.tensor([0, 1, 2])}


def test_norms_are_those_of_a_backward_pass(task, batch):
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


def test_what_does_not_learn_has_no_norm(task, batch):
    for name, parameter in task.model.network.named_parameters():
        parameter.requires_grad_(task.model.network.stage_of(name) > 4)
    norms = term_gradients(task, batch)
    assert norms.keys() == {"loss_ce", "loss_kd"}
    assert all(row[:5] == [0] * 5 and row[5] for row in norms.values())


def test_the_report_says_by_how_much_a_term_would_pull_as_hard(task, batch):
    lines = loss_report(task, [batch], CPU, "off")
    assert lines[0].split() == "gradient norm of stem layer1 layer2 layer3 layer4 classifier all".split()
    assert [line.split()[0] for line in lines[1:4]] == ["loss_ce", "loss_mse_layer2", "loss_kd"]
    assert lines[-1].startswith("as hard as the cross-entropy: loss_mse_layer2 x ")
    assert advice({"loss_ce": [3.0, 4.0], "loss_a": [0.0, 10.0]}) == ["as hard as the cross-entropy: loss_a x 0.5"]
    assert "no cross-entropy" in advice({"loss_a": [1.0]})[0]
    assert table({"loss_a": [3.0, 4.0]}, ["stem", "classifier"])[1].split() == ["loss_a", "3", "4", "5"]
    with pytest.raises(ValueError, match="--loss_report: there is no training batch"):
        loss_report(task, [], CPU, "off")
