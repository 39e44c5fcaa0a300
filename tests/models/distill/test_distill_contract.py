"""Contract of distillation losses: arguments, labels, shapes of features, projectors, optimisers."""

import logging
from argparse import Namespace
from functools import cache

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from helpers import small
from judges import Judge
from small_tasks import FLOW, RGB, make_batch, random_output, shapes
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models import DISTILLERS, MODELS, Distill, Output, StreamNetwork, build_distillers, create_distiller, output_shapes
from models.distill import LossSpec, OptimizerSettings, OutputShapes, parse_teacher_losses
from models.distill.arguments import parse_loss_args
from models.distill.projector import Projector, resizing
from opts import parse_opts

ANY = "resnet"  # the cheapest; nothing here knows more of it


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.setitem(DISTILLERS, "judge", LossSpec(Judge))


@cache
def network_of(model: str = ANY) -> nn.Module:
    """Return a network that no test changes."""
    return small(model)


@cache
def shapes_of(model: str) -> OutputShapes:
    return shapes(network_of(model))[0]


def streams(*arguments: dict) -> list[StreamNetwork]:
    """An RGB student, and flow teachers with these arguments."""
    return [StreamNetwork(small(ANY), RGB), *(StreamNetwork(small(ANY, 2, **a), FLOW) for a in arguments)]


def make_task(name: str, teacher: dict | None = None, ce_weight: float = 1.0, **arguments) -> Distill:
    student, flow = streams(teacher or {})
    loss = create_distiller(name, *shapes(student.network, flow.network), **arguments)
    return Distill(student, flow, [loss], ce_weight=ce_weight).train()


def gradients(task: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", DISTILLERS)
def test_every_argument_of_a_loss_is_an_option_or_one_of_loss_args(name):
    spec = DISTILLERS[name]
    options = vars(parse_opts([]))
    assert set(spec.options) <= set(spec.arguments)
    assert set(spec.options.values()) <= set(options)
    rare = {key for key in spec.extra_arguments if not key.startswith("optimizer.")}
    assert rare == set(spec.arguments) - set(spec.options)
    assert bool(set(spec.extra_arguments) - rare) == (spec.build.optimizer is not None)


FIRST, SECOND = list(MODELS[ANY].build.stages)[:2]
OTHER = {"layers": [FIRST], "levels": [SECOND, "avgpool"], "norm": "variance", "time_kernel": 3}
OF_OPTIONS = [(name, argument) for name, spec in DISTILLERS.items() for argument in spec.options]


@pytest.mark.parametrize(("name", "argument"), OF_OPTIONS)
def test_every_option_of_a_loss_changes_it(name, argument):
    network, found = network_of(), []
    opt = parse_opts(["--modality", "RGB_Flow", "--distill", name])
    option = DISTILLERS[name].options[argument]
    for changes in ({}, {option: OTHER.get(argument) or 2 * getattr(opt, option)}):
        torch.manual_seed(0)
        changed = Namespace(**vars(opt) | changes)
        (loss,) = build_distillers(changed, network, network, 0)
        student, teacher = random_output(shapes_of(ANY), 1), random_output(shapes_of(ANY), 2)
        terms = loss(student, teacher, torch.tensor([0, 1, 2, 3]))
        found.append({key: loss.warmup(1) * term.item() for key, term in terms.items()})
    assert found[0] != found[1]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", DISTILLERS)
def test_a_loss_that_needs_no_labels_works_without_them(name, model):
    loss = create_distiller(name, shapes_of(model), shapes_of(model))
    out = random_output(shapes_of(model), 1)
    if not loss.needs_labels:
        assert all(term.isfinite() for term in loss(out, out, None).values())
    else:
        assert name == "dkd"


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("none", {}, "--distill none: choose among mse, review"),
        ("mse", {"alpha": 1}, "mse: has no argument alpha; it takes layers, weight, norm"),
        ("mse", {"layers": ["layer9"]}, "--output_layers layer9: choose among layer1"),
        ("mse", {"norm": "std"}, "--distill_norm std: choose one of none, variance"),
        ("kd", {"optimizer": {"lr": 1}}, "kd: has no optimiser of its own"),
        ("judge", {"optimizer": {"kind": "lion"}}, "optimizer.kind lion: choose one of sgd, adam, adamw"),
        ("judge", {"optimizer": {"lr": -1.0}}, "optimizer.lr must be > 0"),
        ("judge", {"optimizer": {"betas": (0.5,)}}, "the two optimizer.betas"),
    ],
)
def test_what_a_loss_has_not_got_is_refused_by_name(judge, name, arguments, match):
    network = network_of()
    with pytest.raises(ValueError, match=match):
        create_distiller(name, *shapes(network, network), **arguments)


def test_arguments_of_the_command_line_have_the_types_of_their_defaults(judge):
    words = ["judge.hidden=8", "judge.weight=2", "judge.optimizer.kind=sgd", "judge.optimizer.betas=0.1,0.2"]
    assert parse_loss_args(words, DISTILLERS) == {
        "judge": {"hidden": 8, "weight": 2.0, "optimizer": {"kind": "sgd", "betas": (0.1, 0.2)}}
    }
    opt = parse_opts(["--modality", "RGB_Flow", "--distill", "mse", "judge", "--loss_args", *words])
    network = network_of()
    _, loss = build_distillers(opt, network, network, 0)
    assert loss.judge[0].out_features == 8
    assert loss.optimizer == OptimizerSettings("sgd", 0.01, betas=(0.1, 0.2))
    assert Judge.optimizer == OptimizerSettings(lr=0.01, betas=(0.5, 0.999))


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("judge.hidden", "expected LOSS.KEY=VALUE"),
        ("hidden=4", "expected LOSS.KEY=VALUE"),
        ("kd.weight=4", "has an option of its own, --kd_weight"),
        ("judge.width=4", "of these judge takes hidden, weight, optimizer.kind, optimizer.lr"),
        ("judge.hidden=wide", "judge.hidden=wide: expected a value like 4"),
        ("judge.optimizer.betas=x,1", "expected a value like 0.5"),
        ("kd.optimizer.lr=1", "of these kd takes standardise"),
        ("gan.weight=4", "no such loss is in use, there are mse"),
    ],
)
def test_bad_arguments_of_losses_are_refused(judge, word, match):
    with pytest.raises(ValueError, match=match) as raised:
        parse_loss_args([word], DISTILLERS)
    assert str(raised.value).startswith(f"--loss_args {word}: ")


def test_arguments_of_a_loss_that_is_not_in_use_are_refused(judge):
    network = network_of()
    opt = parse_opts(["--modality", "RGB_Flow", "--distill", "kd", "--loss_args", "judge.hidden=2"])
    with pytest.raises(ValueError, match="no such loss is in use, there are kd"):
        build_distillers(opt, network, network, 0)
    opt.teacher_losses = ["flow=judge"]
    (loss,) = build_distillers(opt, network, network, 0, name="flow")
    assert loss.judge[0].out_features == 2


def test_losses_of_teachers_have_factors():
    words = ["flow=mse,dkd*0.5", "rgb=kd*2e-1"]
    assert parse_teacher_losses(words, DISTILLERS) == {
        "flow": [("mse", 1.0), ("dkd", 0.5)],
        "rgb": [("kd", 0.2)],
    }


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["flow"], "--teacher_losses flow: expected TEACHER=LOSS"),
        (["flow="], "expected TEACHER=LOSS"),
        (["flow=mse,"], r"\(none\) is no loss, choose among mse"),
        (["flow=mse,fsp"], "fsp is no loss, choose among mse"),
        (["flow=mse,mse"], "names a loss twice"),
        (["flow=mse", "flow=kd"], "flow has losses already"),
        (["flow=mse*-1"], "a factor must be >= 0, got -1"),
        (["flow=mse*nan"], "a factor must be >= 0, got nan"),
        (["flow=mse*much"], "expected a value like 1.0"),
    ],
)
def test_bad_losses_of_teachers_are_refused(words, match):
    with pytest.raises(ValueError, match=match):
        parse_teacher_losses(words, DISTILLERS)


@pytest.mark.parametrize(("given", "wanted"), [(6, 4), (6, 2), (2, 6), (3, 5), (1, 4), (4, 1)])
def test_an_axis_is_averaged_or_interpolated(given, wanted):
    matrix = resizing(given, wanted)
    torch.testing.assert_close(matrix.sum(0), torch.ones(wanted))
    x = torch.rand(1, given)
    expected = F.adaptive_avg_pool1d(x, wanted) if wanted < given else F.interpolate(x[None], wanted, mode="linear")[0]
    torch.testing.assert_close(x @ matrix, expected)


@pytest.mark.parametrize(
    ("given", "wanted", "weights"),
    [
        ((4, 8, 6, 6), (6, 2, 12, 3), {"channels.weight": (6, 4, 1, 1, 1), "channels.bias": (6,)}),
        ((4, 8, 6, 6), (4, 8, 6, 5), {}),
        ((4,), (6,), {"channels.weight": (6, 4), "channels.bias": (6,)}),
    ],
)
def test_a_projector_gives_the_shape_of_the_teacher(given, wanted, weights):
    projector = Projector(given, wanted)
    assert projector(torch.rand(2, *given)).shape == (2, *wanted)
    assert {name: tuple(x.shape) for name, x in projector.state_dict().items()} == weights
    same = Projector(given, wanted, converts_channels=False)
    assert same(torch.rand(2, *given)).shape == (2, given[0], *wanted[1:])
    assert not list(same.parameters())


def test_resizing_a_map_is_the_mean_of_its_places_or_linear():
    x = torch.rand(2, 3, 8, 6, 6)
    torch.testing.assert_close(Projector((3, 8, 6, 6), (3, 2, 3, 3))(x), F.adaptive_avg_pool3d(x, (2, 3, 3)))
    larger = F.interpolate(x, (16, 12, 9), mode="trilinear")
    torch.testing.assert_close(Projector((3, 8, 6, 6), (3, 16, 12, 9))(x), larger)


def test_features_of_unlike_shapes_are_refused_with_both_shapes_or_projected(caplog):
    caplog.set_level(logging.INFO)
    teacher = {"width": 0.25, "conv1_t_stride": 2}
    match = (
        "--distill mse: layer1 of the student has 8 channels of 4x8x8 places .time, height, width., layer1 of the "
        "teacher 16 channels of 2x8x8 places .*: --project auto"
    )
    with pytest.raises(ValueError, match=match):
        make_task("mse", teacher, layers=["layer1", "avgpool"])
    task, batch = make_task("mse", teacher, layers=["layer1", "avgpool"], project=True), make_batch()
    assert [line for line in caplog.messages if line.startswith("projector for mse: layer1 of the student has 8")]
    out = task(batch)
    student, taught = task.model(batch), task.teachers[0](batch)
    projectors = task.losses[0].projectors
    expected = 50 * F.mse_loss(projectors["layer1"](student.features["layer1"]), taught.features["layer1"])
    torch.testing.assert_close(out["loss_mse_layer1"], expected)
    out["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in task.losses.parameters())
    assert task.loss_parameters() == list(task.losses.parameters())
    assert set(task.losses.state_dict()) == {
        f"0.projectors.{layer}.channels.{name}" for layer in ("layer1", "avgpool") for name in ("weight", "bias")
    }


def test_review_is_projected_in_size_alone():
    task = make_task("review", {"width": 0.25, "conv1_t_stride": 2}, project=True, mid_channels=4)
    out = task(make_batch())
    assert len([name for name in out if name.startswith("loss_review_")]) == 5
    assert task.losses[0].projectors.keys() == {"layer1_preact", "layer2_preact"}
    assert not any("projectors" in name for name in task.losses.state_dict())


UNEQUAL = [  # student, teacher, and the stages of the latter that teach those of the former
    ("resnet2p1d", "i3d", {"layer2": "inception3", "layer3": "inception4", "layer4": "inception5"}),
    ("resnet", "googlenet", {"layer2": "inception3", "layer3": "inception4", "layer4": "inception5"}),
    ("vgg", "c3d", {"block2": "conv2", "block3": "conv3", "block4": "conv4", "block5": "conv5"}),
    ("s3d", "resnext", {"inception3": "layer2", "inception4": "layer3", "inception5": "layer4"}),
    ("c3d", "i3d_resnet", {"conv2": "layer1", "conv3": "layer2", "conv4": "layer3", "conv5": "layer4"}),
]


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"), UNEQUAL, ids=lambda value: value if type(value) is str else ""
)
def test_stages_of_unequal_numbers_are_paired_from_the_last_and_others_left_out(student, teacher, pairs, caplog):
    caplog.set_level(logging.INFO)
    networks = small(student), small(teacher, in_channels=2)
    opt = parse_opts(
        "--modality RGB_Flow --distill review at dkd --review_mid 4 --project auto "
        "--sample_size 64 --sample_duration 8".split()
    )
    review, attention, dkd = build_distillers(opt, *networks, 0)
    assert dict(review.levels) == pairs | {"avgpool": "avgpool"}
    assert {
        ours.removesuffix("_preact"): theirs.removesuffix("_preact") for ours, theirs in attention.compared.items()
    } == pairs
    alone = [stage for stage in networks[0].stages if stage not in pairs]
    for name in ("review", "at"):
        assert (f"{name}: leaves out {', '.join(alone)} of the student" in caplog.text) == bool(alone)
    outputs = [
        Output(torch.randn(2, 5), {name: torch.randn(2, *shape) for name, shape in known.features.items()})
        for known in (output_shapes(network, (network.in_channels, 8, 64, 64)) for network in networks)
    ]
    for loss in (review, attention, dkd):
        terms, _ = loss.terms(*outputs, torch.tensor([0, 1]))
        assert all(term.isfinite() and term > 0 for term in terms.values())
    opt.review_layers = [next(iter(pairs)), "avgpool"]
    assert list(build_distillers(opt, *networks, 0)[0].levels) == opt.review_layers
    opt.review_layers = ["layer9"]
    with pytest.raises(ValueError, match=f"--review_layers layer9: choose among {', '.join(pairs)}, avgpool"):
        build_distillers(opt, *networks, 0)


def test_frozen_stages_are_warned_of_where_they_are_reviewed(caplog):
    opt = parse_opts("--modality RGB_Flow --review_mid 4 --project auto".split())
    networks = small("resnet"), small("i3d", in_channels=2)
    for loss, begin, frozen in (("review", 2, ""), ("review", 4, "layer2, layer3"), ("dkd", 4, "")):
        caplog.clear()
        opt.distill = [loss]
        build_distillers(opt, *networks, begin)
        assert (f"--ft_begin_index {begin} freezes {frozen}:" in caplog.text) == bool(frozen)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", DISTILLERS)
def test_nothing_is_projected_or_drawn_where_shapes_agree(name, model):
    draws, shapes = [], shapes_of(model)
    for project in (False, True):
        torch.manual_seed(3)
        loss = create_distiller(name, shapes, shapes, project=project)
        assert not loss.projectors
        draws.append(torch.rand(()))
    assert draws[0] == draws[1]


def test_student_and_adversary_learn_apart_in_one_backward_pass(judge):
    task, batch = make_task("judge"), make_batch()
    out = task(batch)
    assert set(out) == {"loss", "logits", "loss_ce", "loss_judge", "own_loss_judge", "acc_teacher"}
    torch.testing.assert_close(out["loss"], out["loss_ce"] + out["loss_judge"])
    found = {}
    for key in ("loss", "own_loss_judge", "sum"):
        task.zero_grad(set_to_none=True)
        out = task(batch)
        (out["loss"] + out["own_loss_judge"] if key == "sum" else out[key]).backward()
        found[key] = gradients(task)
    assert {name.split(".")[0] for name in found["loss"]} == {"model"}
    assert {name.split(".")[0] for name in found["own_loss_judge"]} == {"losses"}
    assert all(torch.equal(value, (found["loss"] | found["own_loss_judge"])[n]) for n, value in found["sum"].items())
    assert found["own_loss_judge"].keys() == {f"losses.{name}" for name, _ in task.losses.named_parameters()}
    assert not task.loss_parameters()
    (built,) = task.own_optimizers().values()
    assert isinstance(built, torch.optim.Adam)
    assert built.param_groups[0]["betas"] == (0.5, 0.999)


def test_the_projector_of_an_adversary_learns_with_the_student(judge):
    task = make_task("judge", {"width": 0.25}, project=True)
    task(make_batch())["loss"].backward()
    moved = {name for name in gradients(task) if name.startswith("losses")}
    assert moved == {"losses.0.projectors.avgpool.channels.weight", "losses.0.projectors.avgpool.channels.bias"}
    assert len(task.loss_parameters()) == 2
    assert len(task.losses[0].own_parameters()) == 4


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_an_optimiser_has_its_settings(kind):
    parameter = nn.Parameter(torch.ones(2))
    built = OptimizerSettings(kind, lr=0.5, momentum=0.3, betas=(0.1, 0.2), weight_decay=0.01).build([parameter])
    group = built.param_groups[0]
    assert type(built).__name__.lower() == kind
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.01)
    assert group["momentum"] == 0.3 if kind == "sgd" else group["betas"] == (0.1, 0.2)


def test_a_batch_without_labels_teaches_what_one_with_them_does():
    found = []
    for without in ((), ("label",)):
        torch.manual_seed(5)
        task = make_task("mse", ce_weight=0)
        torch.manual_seed(6)
        out = task(make_batch(*without))
        out["loss"].backward()
        found.append((out, gradients(task)))
    (labelled, expected), (bare, got) = found
    assert torch.equal(labelled["loss"], bare["loss"])
    assert labelled.keys() - bare.keys() == {"acc_teacher"}
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)


@pytest.mark.parametrize(
    ("name", "ce_weight", "who"), [("dkd", 0, "dkd need"), ("mse", 0.5, r"cross-entropy \(ce_weight 0.5\) need")]
)
def test_missing_labels_are_named_with_those_who_need_them(name, ce_weight, who):
    task = make_task(name, ce_weight=ce_weight)
    with pytest.raises(ValueError, match=f"no labels, which {who}"):
        task(make_batch("label"))


def test_a_negative_weight_of_the_cross_entropy_is_refused():
    with pytest.raises(ValueError, match="--ce_weight must be >= 0 and finite, got -1"):
        make_task("mse", ce_weight=-1)


def test_several_teachers_have_terms_of_their_names():
    student, flow, wide = streams({}, {"width": 0.25})
    mse, kd, again = (
        create_distiller(name, *shapes(student.network, teacher.network), factor=factor)
        for name, teacher, factor in (("mse", flow, 1.0), ("kd", wide, 0.5), ("kd", wide, 1.0))
    )
    task = Distill(student, {"a": flow, "b": wide, "c": wide}, {"a": [mse], "b": [kd], "c": [again]}).train()
    batch = make_batch()
    out = task(batch)
    terms = {"loss_ce", "loss_a_mse_avgpool", "loss_b_kd", "loss_c_kd"}
    assert {name for name in out if name.startswith("loss_")} == terms
    assert {name for name in out if name.startswith("acc")} == {"acc_teacher_a", "acc_teacher_b", "acc_teacher_c"}
    torch.testing.assert_close(out["loss"], sum(out[name] for name in terms))
    torch.testing.assert_close(2 * out["loss_b_kd"], out["loss_c_kd"])
    alone = Distill(student, flow, [mse]).train()(batch)
    torch.testing.assert_close(alone["loss_mse_avgpool"], out["loss_a_mse_avgpool"])


def test_teachers_and_losses_have_the_same_names(judge):
    student, flow = streams({})
    for losses in ([], {"b": []}):
        with pytest.raises(ValueError, match="teachers and losses have other names: a and"):
            Distill(student, {"a": flow}, losses)
    two = [create_distiller("judge", *shapes(student.network, flow.network)) for _ in range(2)]
    with pytest.raises(ValueError, match="two losses called judge"):
        Distill(student, flow, two)
    task = Distill(student, {"a": flow, "b": flow}, {"a": two[:1], "b": two[1:]})
    assert set(task.own_optimizers()) == {"a_judge", "b_judge"}


def test_a_teacher_of_other_classes_has_no_accuracy():
    task = make_task("mse", {"num_classes": 7})
    assert "acc_teacher" not in task(make_batch())
    student, flow = streams({})
    assert "acc_teacher" not in Distill(student, flow, [], other_classes=[""]).train()(make_batch())
    assert "acc_teacher" in Distill(student, flow, []).train()(make_batch())


@pytest.mark.parametrize("without", [(), ("label",)])
def test_processes_share_the_gradients_of_adversaries_and_projectors(judge, without):
    """DistributedDataParallel refuses a second step if a parameter had no gradient in the first."""
    task = make_task("judge", {"width": 0.25}, ce_weight=0, project=True)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        shared, found = DistributedDataParallel(task), []
        for module in (shared, task, shared):
            task.zero_grad(set_to_none=True)
            torch.manual_seed(4)
            out = module(make_batch(*without))
            (out["loss"] + out["own_loss_judge"]).backward()
            found.append(gradients(task))
    finally:
        dist.destroy_process_group()
    assert found[0].keys() == {name for name, p in task.named_parameters() if p.requires_grad}
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient)
        torch.testing.assert_close(found[2][name], gradient)


def test_teachers_keep_weights_statistics_and_mode():
    student, *teachers = streams({}, {"width": 0.25})
    named = dict(zip("ab", teachers, strict=True))
    losses = {
        "a": [create_distiller("kd", *shapes(student.network, teachers[0].network))],
        "b": [create_distiller("review", *shapes(student.network, teachers[1].network), mid_channels=4)],
    }
    task = Distill(student, named, losses).train()
    before = {name: value.clone() for name, value in task.teachers.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        task(make_batch())["loss"].backward()
        optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in task.teachers.state_dict().items())
    assert all(p.grad is None for p in task.teachers.parameters())
    assert not any(module.training for module in task.teachers.modules())
