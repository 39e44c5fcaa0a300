"""Losses beyond those of the paper against loops over numbers, in half precision, and by finite differences."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from models import Output, create_distiller
from models.distill import OutputShapes
from models.distill.logit_kd import standardised
from models.distill.relations import correlations

SHAPES = OutputShapes({"layer1": (3, 2, 4, 4), "layer2": (5, 2, 2, 2), "avgpool": (5,)}, 6)
WIDER = OutputShapes({"layer1": (4, 2, 4, 4), "layer2": (7, 2, 2, 2), "avgpool": (7,)}, 6)
RELATIVE = ("at", "sp", "rkd", "dist", "logits")  # to teachers of any width


def outputs(clips: int = 4, shapes: OutputShapes = SHAPES, seed: int = 0, scale: float = 1.0) -> Output:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(clips, *shape, generator=generator, dtype=torch.float64) * scale

    return Output(numbers(shapes.num_classes), {name: numbers(*shape) for name, shape in shapes.features.items()})


def terms(name: str, student: Output, teacher: Output, **arguments) -> dict[str, float]:
    loss = create_distiller(name, SHAPES, WIDER if teacher.features["avgpool"].shape[1] == 7 else SHAPES, **arguments)
    return {key: term.item() for key, term in loss(student, teacher, None).items()}


def length(numbers: Sequence[float]) -> float:
    return math.sqrt(sum(x * x for x in numbers))


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(x / temperature) for x in row]
    return [x / sum(powers) for x in powers]


def huber(x: float) -> float:
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def pearson(a: Sequence[float], b: Sequence[float]) -> float:
    a, b = ([x - mean(row) for x in row] for row in (a, b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / (length(a) * length(b))


def test_attention_transfer_by_hand():
    student, teacher = outputs(), outputs(shapes=WIDER, seed=1)
    for stage in ("layer1", "layer2"):
        errors = []
        for i in range(4):
            rows = []
            for maps in (student.features[stage][i], teacher.features[stage][i]):
                energy = [mean([x * x for x in place]) for place in maps.flatten(1).T.tolist()]
                rows.append([x / length(energy) for x in energy])
            errors += [(x - y) ** 2 for x, y in zip(*rows, strict=True)]
        assert terms("at", student, teacher, weight=2.0)[f"loss_at_{stage}"] == pytest.approx(2 * mean(errors))


def test_similarity_preserving_by_hand():
    student, teacher = outputs(), outputs(shapes=WIDER, seed=1)
    rows = []
    for features in (student.features["layer2"], teacher.features["layer2"]):
        flat = features.flatten(1).tolist()
        products = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in flat] for a in flat]
        rows.append([x / length(row) for row in products for x in row])
    errors = [(x - y) ** 2 for x, y in zip(*rows, strict=True)]
    assert terms("sp", student, teacher, weight=3.0) == {"loss_sp": pytest.approx(3 * mean(errors))}
    other = terms("sp", student, teacher, weight=3.0, level="avgpool")["loss_sp"]
    assert other != pytest.approx(3 * mean(errors))


def test_relational_kd_by_hand():
    student, teacher = outputs(), outputs(shapes=WIDER, seed=1)
    distances, cosines = [], []
    for vectors in (student.features["avgpool"].tolist(), teacher.features["avgpool"].tolist()):

        def direction(i: int, j: int, vectors=vectors) -> list[float]:
            return [x - y for x, y in zip(vectors[i], vectors[j], strict=True)]

        apart = [length(direction(i, j)) for i in range(4) for j in range(4)]
        distances.append([x / mean([y for y in apart if y]) for x in apart])
        cosines.append([])
        for corner in range(4):
            for i in range(4):
                for j in range(4):
                    a, b = direction(i, corner), direction(j, corner)
                    product = sum(x * y for x, y in zip(a, b, strict=True))
                    cosines[-1].append(product / (length(a) * length(b)) if product else 0.0)
    expected = [mean([huber(x - y) for x, y in zip(*pair, strict=True)]) for pair in (distances, cosines)]
    found = terms("rkd", student, teacher, distance_weight=2.0, angle_weight=5.0)
    assert list(found.values()) == pytest.approx([2 * expected[0], 5 * expected[1]])


def test_dist_by_hand():
    student, teacher = outputs(), outputs(seed=1)
    s, t = ([softmax(row, 2.0) for row in output.logits.tolist()] for output in (student, teacher))
    clips = mean([1 - pearson(a, b) for a, b in zip(s, t, strict=True)])
    classes = [list(zip(*rows, strict=True)) for rows in (s, t)]
    columns = mean([1 - pearson(a, b) for a, b in zip(*classes, strict=True)])
    found = terms("dist", student, teacher, beta=2.0, gamma=3.0, temperature=2.0)
    assert found == {"loss_dist_inter": pytest.approx(8 * clips), "loss_dist_intra": pytest.approx(12 * columns)}
    assert correlations(torch.ones(1, 3), torch.randn(1, 3)).item() == 0


@pytest.mark.parametrize("distance", ["l1", "l2", "ce", "kl"])
def test_distances_of_logits_by_hand(distance):
    student, teacher = outputs(), outputs(seed=1)
    s, t = ([[x / 2 for x in row] for row in output.logits.tolist()] for output in (student, teacher))
    differences = [x - y for a, b in zip(s, t, strict=True) for x, y in zip(a, b, strict=True)]
    logs = [[[math.log(p) for p in softmax(row)] for row in rows] for rows in (s, t)]
    expected = {
        "l1": mean([abs(x) for x in differences]),
        "l2": mean([x * x for x in differences]),
        "ce": -mean([a[b.index(max(b))] for a, b in zip(logs[0], t, strict=True)]),
        "kl": mean([sum(math.exp(y) * (y - x) for x, y in zip(a, b, strict=True)) for a, b in zip(*logs, strict=True)]),
    }
    found = terms("logits", student, teacher, distance=distance, weight=0.5, temperature=2.0)
    assert found == {"loss_logits": pytest.approx(expected[distance] / 2)}


def test_standardised_logits_compare_and_do_not_measure():
    student, teacher = outputs(), outputs(seed=1)
    rows = []
    for row in student.logits.tolist():
        deviation = length([x - mean(row) for x in row]) / math.sqrt(len(row) - 1)
        rows.append([(x - mean(row)) / deviation for x in row])
    torch.testing.assert_close(standardised(student.logits), torch.tensor(rows, dtype=torch.float64))
    moved = Output(student.logits * 7 - 3, student.features)
    plain, standard = ({"standardise": flag} for flag in (False, True))
    assert terms("kd", moved, teacher, **standard) == pytest.approx(terms("kd", student, teacher, **standard))
    assert terms("kd", moved, teacher, **plain) != pytest.approx(terms("kd", student, teacher, **plain))
    label = torch.tensor([0, 1, 2, 3])
    loss = create_distiller("dkd", SHAPES, SHAPES, standardise=True)
    same, other = (loss(output, teacher, label) for output in (student, moved))
    assert all(same[key].item() == pytest.approx(other[key].item()) for key in same)


@pytest.mark.parametrize("name", RELATIVE)
def test_gradients_are_those_of_finite_differences(name):
    loss, teacher = create_distiller(name, SHAPES, SHAPES), outputs(2, seed=1)

    def total(logits: Tensor, *features: Tensor) -> Tensor:
        student = Output(logits, dict(zip(SHAPES.features, features, strict=True)))
        return sum(loss(student, teacher, None).values())

    student = outputs(2)
    inputs = [x.requires_grad_() for x in (student.logits, *student.features.values())]
    assert gradcheck(total, inputs, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [*RELATIVE, "anc"])
@pytest.mark.parametrize("clips", [1, 4])
def test_half_precision_of_any_scale_is_finite_and_close(name, dtype, clips):
    loss = create_distiller(name, SHAPES, SHAPES).eval()  # without dropout
    exact = [outputs(clips, seed=seed, scale=100.0) for seed in (0, 1)]
    half = [
        Output(x.logits.to(dtype).requires_grad_(), {n: f.to(dtype).requires_grad_() for n, f in x.features.items()})
        for x in exact
    ]
    with torch.autocast("cpu", dtype=dtype, enabled=name == "anc"):
        found = loss(*half, None)
    sum(found.values()).backward()
    gradients = [x.grad for x in (half[0].logits, *half[0].features.values()) if x.grad is not None]
    assert gradients and all(x.isfinite().all() for x in (*gradients, *found.values()))
    reference = loss.double()(*exact, None)
    for key, term in found.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(reference[key].item(), rel=0.05, abs=0.01)


@pytest.mark.parametrize("name", RELATIVE)
def test_within_autocast_a_loss_has_the_bits_of_float32(name):
    loss = create_distiller(name, SHAPES, SHAPES).eval()
    pair = [
        Output(x.logits.float().requires_grad_(), {n: f.float().requires_grad_() for n, f in x.features.items()})
        for x in (outputs(4, seed=seed) for seed in (0, 1))
    ]
    inputs = [pair[0].logits, *pair[0].features.values()]
    results = []
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            found = loss(*pair, None)
        gradients = torch.autograd.grad(sum(found.values()), inputs, allow_unused=True)
        results.append([*found.values(), *(x for x in gradients if x is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("review", {"mid_channels": 0}, "--review_mid must be >= 1"),
        ("dkd", {"temperature": 0.0}, "--dkd_temperature must be > 0"),
        ("kd", {"weight": -1.0}, "--kd_weight must be >= 0"),
        ("mse", {"weight": -1.0}, "--SFS_alpha must be >= 0"),
        ("dkd", {"warmup_epochs": -1}, "--distill_warmup must be >= 0"),
        ("logits", {"distance": "l3"}, "logits.distance=l3: choose one of l1, l2, ce, kl"),
        ("logits", {"temperature": 0.0}, "logits.temperature must be > 0"),
        ("dist", {"temperature": -1.0}, "dist.temperature must be > 0"),
        ("dist", {"beta": -1.0}, "dist.beta must be >= 0"),
        ("dist", {"temperature": float("nan")}, "dist.temperature must be > 0 and finite, got nan"),
        ("logits", {"temperature": float("inf")}, "logits.temperature must be > 0 and finite, got inf"),
        ("at", {"weight": float("nan")}, "at.weight must be >= 0 and finite, got nan"),
        ("sp", {"level": "layer9"}, "sp.level layer9: choose among"),
        ("rkd", {"angle_weight": -1.0}, "rkd.angle_weight must be >= 0"),
        ("anc", {"dropout": 1.0}, r"anc.dropout must be in \[0, 1\), got 1.0"),
        ("anc", {"regularisers": ("l3",)}, "anc.regularisers=l3: choose among l1, l2, fake_as_real"),
        ("anc", {"optimizer": {"gamma": 0.0}}, "optimizer.gamma must be > 0"),
        ("anc", {"optimizer": {"milestones": (-1,)}}, "optimizer.milestones >= 0, got 0.1 and -1"),
    ],
)
def test_arguments_out_of_range_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        create_distiller(name, SHAPES, SHAPES, **arguments)


def test_the_discriminator_by_hand():
    torch.manual_seed(0)
    student, teacher = outputs(), outputs(seed=1)
    quiet = {"dropout": 0.0, "weight": 2.0}
    loss = create_distiller("anc", SHAPES, SHAPES, regularisers=("",), **quiet).double()
    assert [key for key in loss.discriminator.state_dict() if "weight" in key] == [
        f"model.{i}.weight" for i in (0, 2, 4, 6)
    ]
    ours, theirs = (loss.discriminator(output.features["avgpool"]).tolist() for output in (student, teacher))
    taken = mean([math.log1p(math.exp(-x)) for x in ours])
    found, own = loss.terms(student, teacher, None)
    assert found["loss_anc"].item() == pytest.approx(2 * taken)
    told = mean([math.log1p(math.exp(-x)) for x in theirs]) + mean([math.log1p(math.exp(x)) for x in ours])
    assert own.item() == pytest.approx(2 * told)
    numbers = torch.cat([p.flatten() for p in loss.discriminator.parameters()]).tolist()
    penalties = {"l1": sum(map(abs, numbers)), "l2": sum(x * x for x in numbers), "fake_as_real": taken}
    for names in (("l1",), ("l2",), ("fake_as_real",), ("l1", "fake_as_real")):
        held = create_distiller("anc", SHAPES, SHAPES, regularisers=names, regulariser_weight=0.3, **quiet).double()
        held.load_state_dict(loss.state_dict())
        expected = 2 * told + 0.3 * sum(penalties[name] for name in names)
        assert held.own_loss(student, teacher, None).item() == pytest.approx(expected)


def test_features_are_dropped_in_training_alone():
    loss = create_distiller("anc", SHAPES, SHAPES).double()
    student = outputs()
    draws = [loss(student, student, None)["loss_anc"].item() for _ in range(3)]
    assert len(set(draws)) == 3
    loss.eval()
    assert len({loss(student, student, None)["loss_anc"].item() for _ in range(3)}) == 1


def test_its_learning_rate_falls_after_its_milestones():
    settings = create_distiller("anc", SHAPES, SHAPES, optimizer={"milestones": (2, 5), "gamma": 0.5}).optimizer
    rates = [settings.rate(epoch) for epoch in range(1, 8)]
    assert rates == pytest.approx([0.001] * 2 + [0.0005] * 3 + [0.00025] * 2)
    assert create_distiller("anc", SHAPES, SHAPES, optimizer={"milestones": (0,)}).optimizer.rate(1000) == 0.001
