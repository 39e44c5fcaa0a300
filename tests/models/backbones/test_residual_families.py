"""3D ResNets, R(2+1)D and C3D as 3D-ResNets and Distil-2D-3D released them."""

import ast
import logging

import pytest
import torch
import torch.nn.functional as F
from helpers import REFERENCE, fill, reference, small
from torch import Tensor

from datasets import RGB
from engine import checkpoint
from models import MODELS, create_model, load_stream
from models.weights import origin_of
from opts import parse_opts

STUDENTS = {
    "c3d": ("c3d", {}, 27_713_253),
    "r3d": ("resnet", {"depth": 10, "conv1_t_size": 3, "no_max_pool": True}, 14_413_605),
    "r21d": (
        "resnet2p1d",
        {"depth": 10, "conv1_t_size": 3, "no_max_pool": True, "split_shortcut": True},
        14_417_116,
    ),
}


def published(student: str) -> dict[str, Tensor]:
    """Meta tensors by the names of a published student."""
    lines = (REFERENCE / "keys" / f"distil_{student}.txt").read_text().splitlines()
    pairs = [line.split("\t") for line in lines]
    return {name: torch.empty(ast.literal_eval(shape), device="meta") for name, shape in pairs}


@pytest.mark.parametrize("student", STUDENTS)
def test_students_have_the_published_sizes_and_are_known_by_their_names(student):
    model, arguments, count = STUDENTS[student]
    weights = published(student)
    with torch.device("meta"):
        network = create_model(model, 3, 101, **arguments)
    assert sum(p.numel() for p in network.parameters()) == count
    own = network.in_dialect(weights)
    shapes = {n: x.shape for n, x in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert {name: x.shape for name, x in own.items()} == shapes
    if student != "r3d":  # which has no linear layer to the size of features where these agree
        assert "adjust_features.weight" in weights
    origin = origin_of({"state_dict": weights})
    assert origin["name"] == model
    assert {name: origin["args"][name] for name in arguments} == arguments


@pytest.mark.slow
@pytest.mark.parametrize("student", ["c3d", "r3d"])
def test_students_give_the_published_logits_and_no_option_says_what_they_are(student, tmp_path, caplog):
    weights = fill.fill({name: torch.empty(x.shape) for name, x in published(student).items()})
    torch.save({"student": weights, "teacher": {"fc.weight": torch.ones(1)}, "epoch": 3}, tmp_path / "best.pth")
    opt = parse_opts(["--normalisation", "unit"])
    with caplog.at_level(logging.INFO):
        model = load_stream(opt, RGB, checkpoint.load(tmp_path / "best.pth"), "best.pth").network.eval()
    assert "no_max_pool off" not in caplog.text
    clips = torch.randn(1, 3, 16, 112, 112, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        out = model(clips)
    expected = reference("distil.pth")[f"distil_{student}"]
    torch.testing.assert_close(out.logits, expected["logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.features["avgpool"], expected["features"], atol=1e-4, rtol=0)


def split_logits(w: dict[str, Tensor], x: Tensor, *, pools: bool, student: bool) -> Tensor:
    """Compute an R(2+1)D of basic blocks in eval mode, from the weights alone.

    Args:
        w: By the names of 3D-ResNets, or of Distil-2D-3D.
        x: Normalised clips.
        pools: Whether the stem does.
        student: Whose names.
    """

    def norm(x: Tensor, name: str) -> Tensor:
        return F.batch_norm(x, *(w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def split(x: Tensor, prefix: str, conv: str, bn: str, stride: int, first: bool = False) -> Tensor:
        names = (
            [f"{prefix}{conv}.spatial_conv", f"{prefix}{conv}.bn", f"{prefix}{conv}.temporal_conv", f"{prefix}{bn}"]
            if student
            else [f"{prefix}{kind}_{part}" for part in "st" for kind in (conv, bn)]
        )
        space, time = w[f"{names[0]}.weight"], w[f"{names[2]}.weight"]
        side, frames = space.shape[-1] // 2, time.shape[2] // 2
        x = F.conv3d(x, space, None, (1, stride, stride), (0, side, side))
        x = F.conv3d(F.relu(norm(x, names[1])), time, None, (1 if first else stride, 1, 1), (frames, 0, 0))
        return norm(x, names[3])

    x = F.relu(split(x, "", "conv1", "bn1", 2, first=True))
    x = F.max_pool3d(x, 3, 2, 1) if pools else x
    for stage in (1, 2, 3, 4):
        stride, prefix = 1 if stage == 1 else 2, f"conv{stage + 1}.block1." if student else f"layer{stage}.0."
        out = F.relu(split(x, prefix, "conv1", "bn1", stride))
        out = split(out, prefix, "conv2", "bn2", 1)
        if stage > 1 and student:
            x = split(x, prefix, "downsampleconv", "downsamplebn", stride)
        elif stage > 1:
            down = F.conv3d(x, w[f"{prefix}downsample.0.weight"], None, stride)
            x = norm(down, f"{prefix}downsample.1")
        x = F.relu(out + x)
    classifier = "linear" if student else "fc"
    return F.linear(x.mean((2, 3, 4)), w[f"{classifier}.weight"], w[f"{classifier}.bias"])


@pytest.mark.parametrize("student", [False, True])
def test_r2plus1d_computes_what_its_weights_say(student):
    if student:
        weights = fill.fill({name: torch.empty(x.shape) for name, x in published("r21d").items()})
        network = create_model("resnet2p1d", 3, 101, **STUDENTS["r21d"][1]).eval()
    else:
        network = small("resnet2p1d").eval()
        weights = fill.fill(network.state_dict())
    network.load_state_dict(network.in_dialect(weights), strict=False)
    clips = torch.randn(2, 3, 5, 32, 40, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        expected = split_logits(weights, clips, pools=not student, student=student)
        torch.testing.assert_close(network(clips).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("model", "depth"), [("resnet", 34), ("resnet", 50), ("resnet2p1d", 34), ("resnet2p1d", 101)])
def test_released_files_are_known_by_what_they_state_and_by_their_weights(model, depth):
    """Of several data sets together, they have the classes of all: 1039 of Kinetics-700 and Moments in Time."""
    shortcut = "A" if depth == 34 else "B"
    with torch.device("meta"):
        network = create_model(model, 3, 1039, depth=depth, shortcut=shortcut)
    weights = {f"module.{name}": x for name, x in network.state_dict().items()}
    origin = origin_of({"arch": f"{model}-{depth}", "state_dict": weights, "epoch": 200, "scheduler": {}})
    assert origin["name"] == model
    with torch.device("meta"):
        again = create_model(model, 3, 1039, **origin["args"])
    assert {n: x.shape for n, x in again.state_dict().items()} == {n: x.shape for n, x in network.state_dict().items()}


def test_weights_of_r2plus1d_say_what_they_are_and_how_inputs_are_normalised(caplog):
    network = small("resnet2p1d", num_classes=7)
    state = {"arch": "resnet2p1d-10", "state_dict": network.state_dict(), "optimizer": {}, "epoch": 200}
    with caplog.at_level(logging.INFO):
        model = load_stream(parse_opts(["--width", "0.125"]), RGB, state, "r2p1d.pth")
    assert type(model.network) is MODELS["resnet2p1d"].build
    assert "written as 3D-ResNets of 2020" in caplog.text
    assert model.normalisation["std"][0] == pytest.approx(255 * 0.2768)
