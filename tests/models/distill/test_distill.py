"""Distillation losses: contracts of every entry of DISTILLERS, reference values, and the task."""

import pytest
import torch
import torch.nn.functional as F
from helpers import reference, small
from small_tasks import FLOW, RGB, make_batch, random_output, shapes

from models import DISTILLERS, Distill, Output, StreamNetwork, build_distillers, create_distiller, output_shapes
from models.distill import ABF, OutputShapes, decoupled_kd, hierarchical_context_loss, logit_kd
from models.distill.feature_mse import FeatureMSE
from models.distill.review import Review
from opts import parse_opts


def defaults(*words: str):
    return parse_opts([*words, "--modality", "RGB_Flow"])


@pytest.mark.parametrize("name", DISTILLERS)
@pytest.mark.parametrize("norm", ["none", "variance"])
def test_losses_are_named_positive_scalars_with_a_gradient(name, norm):
    network = small("resnet")
    opt = defaults("--distill", name, "--distill_norm", norm)
    (loss,) = build_distillers(opt, network, network, 0)
    known = output_shapes(network, (3, 16, 64, 64))  # whose last map has several places
    student, teacher = (random_output(known, seed) for seed in (1, 2))
    for tensor in (student.logits, *student.features.values()):
        tensor.requires_grad_()
    terms = loss(student, teacher, torch.tensor([0, 1, 2, 3]))
    assert terms
    assert all(term.dim() == 0 and term > 0 and key.startswith("loss_") for key, term in terms.items())
    sum(terms.values()).backward()
    assert any(x.grad is not None and x.grad.any() for x in (student.logits, *student.features.values()))


@pytest.mark.parametrize("name", DISTILLERS)
def test_a_perfect_student_has_no_loss_but_where_the_loss_has_layers_of_its_own(name):
    network = small("resnet")
    (loss,) = build_distillers(defaults("--distill", name), network, network, 0)
    same = random_output(*shapes(network), 1)
    none = all(abs(term.item()) < 1e-5 for term in loss(same, same, torch.tensor([0, 1, 2, 3])).values())
    assert none != any(True for _ in loss.parameters())


def test_review_has_no_loss_once_the_fused_maps_are_the_teachers():
    x = torch.randn(2, 4, 3, 8, 8)
    assert hierarchical_context_loss(x, x) == 0


def test_decoupled_kd_has_its_reference_values():
    ref = reference("kd_losses.pth")
    for key, value in ref["dkd"].items():
        alpha, beta, temperature = (float(part.split("=")[1]) for part in key.split(","))
        tckd, nckd = decoupled_kd(ref["student"], ref["teacher"], ref["target"], temperature)
        torch.testing.assert_close(alpha * tckd + beta * nckd, value, atol=1e-4, rtol=1e-5)


def test_logit_kd_has_its_reference_value():
    ref = reference("kd_losses.pth")
    torch.testing.assert_close(logit_kd(ref["student"], ref["teacher"], 4.0), ref["kd_T4"])


def test_hierarchical_context_loss_has_its_reference_values():
    ref = reference("kd_losses.pth")["hcl"]
    pairs = [[x[:, :, None] for x in pair] for pair in zip(ref["student"], ref["teacher"], strict=True)]  # T = 1
    each = [hierarchical_context_loss(*pair) for pair in pairs]
    torch.testing.assert_close(torch.stack(each), torch.stack(ref["each"]))
    torch.testing.assert_close(sum(each), ref["sum"])


def test_attention_based_fusion_has_its_reference_values():
    ref = reference("kd_losses.pth")["abf"]
    abf = ABF(8, 16, 12, fuses=True).eval()
    own = abf.state_dict()
    abf.load_state_dict({k: v.view(own[k].shape) for k, v in ref["state_dict"].items()})
    out, residual = abf(ref["x"][:, :, None], ref["y"][:, :, None])
    torch.testing.assert_close(out[:, :, 0], ref["out"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(residual[:, :, 0], ref["res"], atol=1e-5, rtol=1e-5)


def test_the_mars_loss_has_its_reference_value():
    ref = reference("kd_losses.pth")["mars"]
    student, teacher = (Output(ref["logits"], {"avgpool": ref[key]}) for key in ("feat_s", "feat_t"))
    shapes = OutputShapes({"avgpool": tuple(ref["feat_s"].shape[1:])}, ref["logits"].shape[1])
    (term,) = FeatureMSE(shapes, shapes, weight=ref["alpha"])(student, teacher, ref["target"]).values()
    torch.testing.assert_close(term, torch.as_tensor(ref["loss_mse_weighted"]))


def test_kd_is_tckd_plus_nckd_by_the_teachers_doubt():
    """The identity the paper decouples: KD = TCKD + (1 - p_target of the teacher) NCKD, sample by sample."""
    student, teacher, target = torch.randn(1, 7), torch.randn(1, 7), torch.tensor([3])
    tckd, nckd = decoupled_kd(student, teacher, target, 2.0)
    doubt = 1 - (teacher / 2.0).softmax(1)[0, 3]
    torch.testing.assert_close(tckd + doubt * nckd, logit_kd(student, teacher, 2.0))


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_decoupled_kd_is_finite_at_any_logit_scale(scale, dtype):
    student = (torch.randn(8, 51) * scale).to(dtype).requires_grad_()
    teacher = (torch.randn(8, 51) * scale).to(dtype)
    total = sum(decoupled_kd(student, teacher, torch.arange(8), 1.0))
    total.backward()
    assert total.isfinite()
    assert student.grad.isfinite().all()


def test_decoupled_kd_has_the_right_gradient():
    target = torch.tensor([0, 2, 1])
    teacher = torch.randn(3, 5, dtype=torch.float64)
    student = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: decoupled_kd(s, teacher, target, 3.0), (student,))


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_pooling_grids_never_exceed_the_frames(frames, monkeypatch):
    grids = []
    pool = F.adaptive_avg_pool3d
    monkeypatch.setattr(F, "adaptive_avg_pool3d", lambda x, size: grids.append(size) or pool(x, size))
    hierarchical_context_loss(torch.randn(1, 2, frames, 6, 9), torch.randn(1, 2, frames, 6, 9))
    assert grids == [g for n in (4, 2, 1) for g in [(min(n, frames), n, n)] * 2]


def test_dividing_by_the_variance_makes_feature_losses_scale_free():
    network = small("resnet")
    (known,) = shapes(network)
    loss = create_distiller("mse", known, known, layers=["layer2", "avgpool"], weight=1.0, norm="variance")
    terms = [loss(random_output(known, 1, scale), random_output(known, 2, scale), None) for scale in (1.0, 100.0)]
    for key in terms[0]:
        torch.testing.assert_close(terms[0][key], terms[1][key])


@pytest.mark.parametrize("time_kernel", [1, 3])
def test_review_connectors_have_the_size_of_the_paper_lifted_to_3d(time_kernel):
    channels = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048, "avgpool": 2048}
    shapes = OutputShapes({name: (n, *((1, 1, 1) if name != "avgpool" else ())) for name, n in channels.items()}, 5)
    with torch.device("meta"):
        review = Review(shapes, shapes, mid_channels=512, time_kernel=time_kernel)
    millions = sum(p.numel() for p in review.parameters()) / 1e6
    assert millions == pytest.approx({1: 30.1, 3: 84.4}[time_kernel], abs=0.1)


def test_logits_of_different_classes_are_not_compared():
    with pytest.raises(ValueError, match="5 classes and the teacher 7"):
        build_distillers(defaults(), small("resnet"), small("resnet", num_classes=7), 0)


def make_task(*words: str) -> Distill:
    opt = defaults(*words)
    student, teacher = (StreamNetwork(small("resnet", stream.channels), stream) for stream in (RGB, FLOW))
    losses = build_distillers(opt, student.network, teacher.network, 0)
    return Distill(student, teacher, losses, ce_weight=opt.ce_weight)


def test_a_control_is_taught_by_the_teachers_answers_to_other_clips():
    task, batch = make_task("--distill", "mse", "--distill_warmup", "0").train(), make_batch()
    for module in task.modules():
        module.training = isinstance(module, Distill)  # the teacher's pass, without statistics of the student's
    plain = task(batch)
    task.other_clips = True
    control = task(batch)
    taught, learnt = (network(batch).features["avgpool"] for network in (task.teachers[0], task.model))
    expected = 50 * (learnt - taught[[3, 0, 1, 2]]).square().mean()
    torch.testing.assert_close(control["loss_mse_avgpool"], expected)
    assert control["acc_teacher"] == plain["acc_teacher"]  # each answer is held against its own clip
    assert control["loss_ce"] == plain["loss_ce"]
    with pytest.raises(ValueError, match="--teacher_clips others: needs --batch_size 2 or more"):
        task({name: values[:1] for name, values in batch.items()})


def test_terms_warm_up_by_epoch_but_mse_does_not():
    task, batch = make_task("--distill_warmup", "4").train(), make_batch()
    out = {}
    for epoch in (1, 4, 9):
        task.epoch = epoch
        out[epoch] = task(batch)
    for key in ("loss_tckd", "loss_nckd", "loss_review_layer3"):
        torch.testing.assert_close(out[1][key] * 4, out[4][key], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(out[4][key], out[9][key], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(out[1]["loss_mse_avgpool"], out[9]["loss_mse_avgpool"], rtol=1e-3, atol=1e-5)


def test_validation_needs_no_flow_and_runs_no_teacher():
    out = make_task().eval()(make_batch("flow"))
    assert not any("mse" in key or "review" in key or "kd" in key for key in out)


def test_connectors_learn_and_stay_out_of_the_deployed_weights():
    task = make_task("--distill", "review").train()
    task(make_batch())["loss"].backward()
    assert all(p.grad is not None for p in task.losses.parameters())
    assert set(task.model.network.state_dict()) == set(small("resnet").state_dict())


def test_mers_trains_the_features_by_the_teacher_alone():
    batch = make_batch()
    mers = make_task("--distill", "mers", "--SFS_alpha", "0").train()
    mers(batch)["loss"].backward()
    grads = {name: p.grad for name, p in mers.model.network.named_parameters()}
    assert grads["fc.weight"].any()
    assert all(g is None or not g.any() for name, g in grads.items() if not name.startswith("fc."))
    mars = make_task("--distill", "mse", "--SFS_alpha", "0").train()
    mars(batch)["loss"].backward()
    assert mars.model.network.conv1.weight.grad.any()


def test_a_student_overfits_one_batch_with_the_full_method():
    torch.manual_seed(1)
    weights = "--SFS_alpha 0.1 --review_weight 0.1 --dkd_alpha 0.1 --dkd_beta 0.1 --review_mid 16".split()
    task = make_task("--distill_norm", "variance", "--distill_warmup", "0", *weights).train()
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=1e-2)
    batch, losses = make_batch(), []
    for _ in range(20):
        out = task(batch)
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        losses.append(out["loss_ce"].item())
    assert losses[-1] < 0.3 * losses[0]
