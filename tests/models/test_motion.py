"""Hidden Two-Stream: what it learns, at which rates, and from which weights it begins."""

import pytest
import torch
from torch.nn import functional as F

from datasets import FLOW, RGB
from models import MODELS, ClassifyByMotion, StreamNetwork, create_model, create_task, parameter_groups, start_temporal
from sts_common.motionnet import MotionObjective
from sts_common.motionnet.network import whole_flow

SMALLEST = MODELS["hidden_two_stream"].smallest
CLASSES = 5
NORMALISED = StreamNetwork(
    create_model("resnet2d", 2, CLASSES, depth=18, width=0.125), FLOW, {"mean": [127.5] * 2, "std": [57.63] * 2}
).normalisation


@pytest.fixture
def model() -> StreamNetwork:
    torch.manual_seed(1)
    return StreamNetwork(create_model("hidden_two_stream", 3, CLASSES, **SMALLEST), RGB)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    clips = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return {"rgb": clips, "label": torch.tensor([0, 3])}


def test_its_logits_are_those_of_the_temporal_network_on_its_flow_as_stored_flow_is_seen(model, batch):
    network, inputs = model.network.eval(), model.inputs(batch)
    flow = whole_flow(network.motion, inputs).transpose(1, 2)
    stored = ((flow.clamp(-20, 20) / 20 + 1) / 2 * 255 - 127.5) / 57.63
    stack = stored.transpose(1, 2).flatten(1, 2)[:, :, None]  # x1 y1 x2 y2
    pooled = network.temporal.forward_features(stack)["avgpool"]
    torch.testing.assert_close(model(batch).logits, network.classify(pooled))


def test_alone_it_learns_motion_without_labels_and_nothing_else_moves(model, batch):
    task = create_task(model, motion="alone").train()
    out = task({"rgb": batch["rgb"]})
    out["loss"].backward()
    assert all(p.grad is not None for p in model.network.motion.parameters())
    assert all(p.grad is None for n, p in model.network.named_parameters() if not n.startswith("motion."))
    frames = batch["rgb"].float() / 255
    expected = MotionObjective()(frames, model.network.motion(model.inputs(batch)))
    for name, term in expected.items():
        torch.testing.assert_close(out[f"loss_{name}"], term, rtol=1e-4, atol=1e-5)
    still = MotionObjective()(frames, [torch.zeros(2, 2, 2, s, s) for s in (1, 2, 4, 8, 16)])
    torch.testing.assert_close(out["still"], still["photometric"], rtol=1e-4, atol=1e-5)
    groups = parameter_groups(model.network, 0, 0.1)
    assert [group["lr"] for group in groups] == [0.1]


@pytest.mark.parametrize("motion", ["alone", "joint"])
def test_losses_of_motion_follow_their_schedules_and_what_no_flow_gives_beside_them(model, batch, motion):
    plain = create_task(model, motion=motion)(batch)
    task = create_task(model, motion=motion, schedule=["ssim=1..0@2-6", "smoothness=0.5"])
    for epoch, factor in ((1, 1.0), (4, 0.5), (6, 0.0), (9, 0.0)):
        task.epoch = epoch
        out = task(batch)
        for name, share in (("loss_photometric", 1), ("still", 1), ("loss_smoothness", 0.5), ("loss_ssim", factor)):
            torch.testing.assert_close(out[name], share * plain[name])
        torch.testing.assert_close(out["still_ssim"], factor * plain["still_ssim"])
    with pytest.raises(ValueError, match=r"^--motion_schedule ssim: expected LOSS=VALUE$"):
        create_task(model, motion=motion, schedule=["ssim"])
    with pytest.raises(ValueError, match="--motion_schedule ce=0: no such loss is in use, choose among photometric, "):
        create_task(model, motion=motion, schedule=["ce=0"])


def test_jointly_it_learns_both_and_motion_a_thousand_times_as_slowly(model, batch):
    task = create_task(model, motion="joint", label_smoothing=0.1).train()
    assert isinstance(task, ClassifyByMotion)
    out = task(batch)
    expected = F.cross_entropy(out["logits"], batch["label"], label_smoothing=0.1)
    torch.testing.assert_close(out["loss_ce"], expected)
    terms = sum(value for name, value in out.items() if name.startswith("loss_"))
    torch.testing.assert_close(out["loss"], terms)
    out["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.network.parameters())
    rates = {id(p): group["lr"] for group in parameter_groups(model.network, 0, 0.1) for p in group["params"]}
    for name, parameter in model.network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(1e-4 if name.startswith("motion.") else 0.1)
    alone, both = create_task(model, motion="alone")(batch), task(batch)
    # Published: means are divided by the clips of a batch, 16 alone and 8 together; SSIM has a tenth of its weight.
    for name, share in (("photometric", 1 / 8), ("smoothness", 1 / 8), ("ssim", 0.1 / 16)):
        torch.testing.assert_close(both[f"loss_{name}"], share * alone[f"loss_{name}"], rtol=1e-3, atol=1e-5)


def test_segments_are_seen_one_by_one(batch):
    torch.manual_seed(1)
    model = StreamNetwork(create_model("hidden_two_stream", 3, CLASSES, segments=2, **SMALLEST), RGB).eval()
    twice = {**batch, "rgb": batch["rgb"].repeat(1, 1, 2, 1, 1)}
    out, features = model(twice), model.network.feature_channels
    assert out.features["layer4"].shape[:3] == (2, features["layer4"], 2)
    one = create_model("hidden_two_stream", 3, CLASSES, **SMALLEST).eval()
    one.load_state_dict(model.network.state_dict())
    torch.testing.assert_close(out.logits, StreamNetwork(one, RGB)(batch).logits)
    assert create_task(model, motion="alone")(twice)["loss"].isfinite()


def test_it_begins_with_the_weights_of_a_flow_network(model):
    temporal = create_model("resnet2d", 2, CLASSES, depth=18, width=0.125, flow_stack=2)
    motion = [p.clone() for p in model.network.motion.parameters()]
    start_temporal(model, {"state_dict": temporal.state_dict(), "stream": "flow"}, "flow.pth")
    assert torch.equal(model.network.fc.weight, temporal.fc.weight)
    assert torch.equal(model.network.temporal.conv1.weight, temporal.conv1.weight)
    assert all(map(torch.equal, motion, model.network.motion.parameters()))
    with pytest.raises(ValueError, match=r"--temporal_path rgb\.pth: reads rgb, not flow"):
        start_temporal(model, {"state_dict": {}, "stream": "rgb"}, "rgb.pth")
    stored = {"state_dict": temporal.state_dict(), "stream": "flow", "recipe": {"normalisation": NORMALISED}}
    start_temporal(model, stored, "flow.pth")
    for recipe, problem in (
        ({"normalisation": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}}, r"its inputs have mean \[0\.0, 0\.0\]"),
        ({"provenance": {"bound": 15.0}}, "saw flow cut at 15.0 pixels"),
    ):
        with pytest.raises(ValueError, match=rf"--temporal_path flow\.pth: {problem}"):
            start_temporal(model, stored | {"recipe": recipe}, "flow.pth")
    other = create_model("resnet2d", 2, CLASSES, depth=34, width=0.125, flow_stack=2)
    with pytest.raises(ValueError, match=r"flow\.pth: weights of another network"):
        start_temporal(model, {"state_dict": other.state_dict(), "stream": "flow"}, "flow.pth")


def test_what_has_no_motion_is_refused(model):
    plain = StreamNetwork(create_model("resnet", 3, CLASSES, depth=10, width=0.125), RGB)
    for motion in ("alone", "joint"):
        with pytest.raises(ValueError, match="--motion: resnet-10 estimates no motion; take --model hidden_two_stream"):
            create_task(plain, motion=motion)
    with pytest.raises(ValueError, match="--model hidden_two_stream reads RGB"):
        create_model("hidden_two_stream", FLOW.channels, CLASSES, **SMALLEST)
    with pytest.raises(ValueError, match="temporal=lstm: choose one of vgg, resnet2d"):
        create_model("hidden_two_stream", 3, CLASSES, **{**SMALLEST, "temporal": "lstm"})
