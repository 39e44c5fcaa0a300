"""Grad-CAM: known answers, what it must not change, and the tool that draws it."""

import os
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from answering import write_weights
from helpers import small
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from source_files import ROOT
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from waits import GPU, on_gpu

from datasets import FLOW, clip_starts
from datasets.synthetic import render, write_avi
from engine import checkpoint
from engine.command import cli
from models import MODELS, Output, StreamNetwork
from models.analysis.gradcam import check_target, choose_layer, evidence, grad_cam, stretch
from utils1 import grad_cam as tool
from workflows.shared import films
from workflows.understanding.cam_pictures import (
    CONTOURS,
    Subject,
    darken_by_heat,
    overlay_heat,
    picture_rows,
    scale_colours,
)
from workflows.understanding.cam_tracks import BATCH, Track, cut_clips, predict_class, track
from workflows.understanding.grad_cam import default_names

CLASSES = ("fall", "rise", "sway")


class Linear(nn.Module):
    """A network whose last map is the clip itself."""

    def __init__(self, weight):
        super().__init__()
        self.fc = nn.Linear(len(weight[0]), len(weight))
        self.fc.weight.data, self.fc.bias.data = torch.tensor(weight), torch.tensor([3.0] * len(weight))
        self.eval()

    def forward(self, x):
        x = x * 1
        return Output(self.fc(x.mean((2, 3, 4))), {"layer4": x, "avgpool": x.mean((2, 3, 4))})


def test_a_linear_network_is_explained_exactly():
    weight = [[1.0, -2.0], [0.5, 3.0]]
    clips = torch.randn(3, 2, 4, 5, 6)
    for target in (0, 1):
        exact = sum(w * clips[:, c] for c, w in enumerate(weight[target])).relu()
        found = evidence(Linear(weight), clips, target)
        torch.testing.assert_close(found.maps, exact / (4 * 5 * 6))
        torch.testing.assert_close(grad_cam(Linear(weight), clips, target), exact / exact.amax((1, 2, 3), keepdim=True))


def test_what_speaks_against_a_class_is_zero_and_not_nan():
    clips = torch.rand(2, 1, 4, 6, 6)
    assert torch.equal(grad_cam(Linear([[1.0], [-1.0]]), clips, 1), torch.zeros(2, 4, 6, 6))
    half = clips - 0.5
    assert torch.equal(grad_cam(Linear([[1.0]]), half, 0) > 0, half[:, 0] > 0)


def test_a_map_that_is_everywhere_the_same_is_one_everywhere():
    assert torch.equal(grad_cam(Linear([[1.0]]), torch.full((1, 1, 3, 4, 5), 1e-30), 0), torch.ones(1, 3, 4, 5))


def test_the_class_is_the_predicted_one_unless_it_is_given():
    network, clips = Linear([[1.0, 0.0], [0.0, 1.0]]), torch.rand(2, 2, 2, 4, 4)
    clips[0, 0] += 1
    clips[1, 1] += 1
    free, each, one = (grad_cam(network, clips, target) for target in (None, torch.tensor([0, 1]), 0))
    assert torch.equal(free, each)
    assert torch.equal(free[0], one[0])
    assert not torch.equal(free[1], one[1])


def test_the_last_stage_is_in_logits():
    network = small("resnet").eval()
    network.fc.weight.data.abs_()
    found = evidence(network, torch.randn(2, 3, 8, 32, 32), 1, "layer4")
    torch.testing.assert_close(found.maps.sum((1, 2, 3)), found.logits[:, 1] - network.fc.bias[1])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("guard", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_every_network_is_explained_and_left_as_it_was(model, frozen, guard):
    network = small(model).eval().requires_grad_(not frozen)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with guard():
        maps = grad_cam(network, torch.randn(2, 3, 16, 32, 40))
    assert maps.shape == (2, 16, 32, 40)
    assert (maps.amin((1, 2, 3)) >= 0).all()
    assert torch.equal(maps.amax((1, 2, 3)), torch.ones(2))
    assert not maps.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [name for name, p in network.named_parameters() if p.grad is not None or p.requires_grad == frozen] == []
    assert [m for m in network.modules() if m._forward_hooks or m._backward_hooks or m._forward_pre_hooks] == []


@pytest.mark.parametrize(
    ("frames", "layer"), [(64, "layer4"), (32, "layer4"), (16, "layer3"), (8, "layer2"), (1, "layer4")]
)
def test_the_layer_is_the_deepest_that_tells_one_time_from_another(frames, layer):
    features = small("resnet").eval()(torch.randn(1, 3, frames, 16, 16)).features
    assert choose_layer(features) == layer


def test_clips_of_a_batch_do_not_see_each_other():
    network, clips = small("resnet").eval(), torch.randn(3, 3, 16, 32, 32)
    each = torch.cat([evidence(network, clip[None], 1).maps for clip in clips])
    torch.testing.assert_close(evidence(network, clips, 1).maps, each)


def test_a_stream_network_takes_its_clips_from_the_batch_and_normalises_them():
    network = small("resnet", in_channels=2)
    stream = StreamNetwork(network, FLOW).eval()
    batch = {"flow": torch.randint(0, 256, (2, 2, 16, 32, 32), dtype=torch.uint8), "label": torch.tensor([0, 1])}
    kept = batch["flow"].clone()
    found = grad_cam(stream, batch, 1)
    torch.testing.assert_close(found, grad_cam(network, batch["flow"].float() - 127.5, 1))
    assert torch.equal(batch["flow"], kept)
    assert set(batch) == {"flow", "label"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "layer5"}, "layer 'layer5': this network has layer1_preact, layer1, layer2_preact"),
        ({"layer": "avgpool"}, "layer 'avgpool': this network has"),
        ({"target": 5}, "target 5: this network has the classes 0 to 4"),
        ({"target": torch.tensor([-1])}, "target -1"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(change, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(small("resnet").eval(), torch.randn(1, 3, 4, 16, 16), **change)


def test_a_network_that_would_learn_statistics_is_refused():
    network = small("resnet").eval()
    network.layer3[0].bn1.train()
    with pytest.raises(ValueError, match=r"eval\(\)"):
        grad_cam(network, torch.randn(1, 3, 4, 16, 16))


def test_stretching_keeps_what_is_of_that_size_and_never_leaves_the_range():
    maps = torch.rand(2, 2, 3, 3)
    torch.testing.assert_close(stretch(maps, (2, 3, 3)), maps)
    large = stretch(maps, (16, 20, 20))
    assert large.shape == (2, 16, 20, 20)
    assert maps.min() <= large.min() <= large.max() <= maps.max()


@given(st.integers(1, 90), st.integers(1, 20), st.integers(1, 3), st.none() | st.integers(1, 25))
def test_every_frame_of_a_video_is_covered_and_those_of_a_test_are_taken(frames, length, stride, step):
    clips = cut_clips(frames, length, stride, step and min(step, length * stride))
    assert {number for clip in clips for number in clip.covered} == set(range(frames))
    assert all(len(clip.seen) == length and set(clip.seen) <= set(clip.covered) for clip in clips)
    if step is None:
        assert [clip.seen[0] for clip in clips] == clip_starts(frames, length, stride=stride)


def test_a_track_is_the_mean_of_its_clips_over_the_greatest_of_the_video():
    network = StreamNetwork(
        Linear([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), Namespace(name="rgb", mean=(0.0,) * 3, std=(1.0,) * 3)
    )
    video = torch.zeros(3, 6, 4, 4, dtype=torch.uint8)
    video[0, :, 1, 2] = torch.tensor([0, 10, 20, 30, 40, 50])
    clips = cut_clips(6, 4)  # frames 3 and 4 are in both
    made = track("RGB", network.eval(), {"rgb": video}, clips, 0, "layer4")
    expected = torch.tensor([0, 10, 20, 30, 40, 50]) / 50
    np.testing.assert_allclose(made.heat[:, 1, 2], expected, atol=1e-6)
    np.testing.assert_allclose(made.curve, expected, atol=1e-6)
    assert made.heat.sum() == pytest.approx(float(expected.sum()))
    assert (made.view, made.layer) == ("rgb", "layer4")
    means = [video[0, first : first + 4].float().mean() for first in (0, 2)]
    sure = [float(torch.tensor([3 + mean, 3.0]).softmax(0)[0]) for mean in means]
    np.testing.assert_allclose(made.probability, [sure[0]] * 2 + [sum(sure) / 2] * 2 + [sure[1]] * 2, rtol=1e-5)


def test_heat_colours_what_is_hot_and_leaves_the_rest_grey():
    picture = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 4:] = 1
    mixed = overlay_heat(picture, heat).astype(int)
    assert len({*mixed[:, :4].reshape(-1).tolist()}) == 1
    assert (mixed[:, 4:, 0] > mixed[:, 4:, 1]).all()


def test_flow_keeps_its_colours_bright_where_evidence_is_and_has_lines_in_those_of_the_scale():
    picture = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    heat = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    shown = darken_by_heat(picture, heat)
    lines = {tuple(scale_colours(np.full((1, 1), level, np.float32))[0, 0].tolist()) for level in CONTOURS}
    colours = {tuple(pixel) for pixel in shown.reshape(-1, 3).tolist()}
    assert lines <= colours
    hues = colours - lines
    assert all(abs(r - 2 * g) <= 2 and abs(r - 4 * b) <= 3 for r, g, b in hues)
    assert sum(shown[16, 0].tolist()) < sum(shown[16, 31].tolist())
    assert (darken_by_heat(picture, heat * 0) == (60, 30, 15)).all()


def test_rows_of_flow_and_frames_are_drawn_each_in_their_way():
    picture = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    values = {"heat": np.zeros((1, 2, 2), np.float32), "curve": np.zeros(1, np.float32)}
    subject = Subject("film", "run", {"rgb": [picture], "flow": [picture]}, 25.0)
    for stream, grey in (("rgb", True), ("flow", False)):
        seen = Track("a", stream, "layer3", **values, probability=np.ones(1, np.float32), logits=torch.zeros(2))
        *_, (_, _, (shown,)) = picture_rows([seen], subject, [0], [0])
        assert (len({*shown[0, 0].tolist()}) == 1) == grey


@pytest.mark.parametrize("encoder", films.ENCODERS)
def test_a_film_has_every_picture_at_its_rate(tmp_path, monkeypatch, encoder):
    av = pytest.importorskip("av")
    monkeypatch.setattr(films, "ENCODERS", (encoder,))
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")
    pictures = ((i / 12.5, np.full((48, 64, 3), 25 * i, np.uint8)) for i in range(9))
    films.write_film(tmp_path / "new" / "a.mp4", pictures, 12.5)
    with av.open(str(tmp_path / "new" / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == 12.5
        assert container.streams.video[0].codec_context.name == {"libx264": "h264"}.get(encoder, encoder)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 9
    assert all(abs(frame.mean() - 25 * i) < 6 for i, frame in enumerate(frames))


NOISE_FILM = """
import sys
import numpy as np
from pathlib import Path
from workflows.shared.films import write_film
rng = np.random.default_rng(0)
write_film(Path(sys.argv[1]), [(i / 25, rng.integers(0, 256, (34, 50, 3), np.uint8)) for i in range(11)], 25.0)
"""


@pytest.mark.slow
def test_a_film_of_one_content_is_one_file_whatever_memory_held(tmp_path):
    pytest.importorskip("av")
    made = set()
    for garbage in ("0", "77"):  # what glibc fills freed memory with
        path = tmp_path / f"{garbage}.mp4"
        environment = os.environ | {"MALLOC_PERTURB_": garbage}
        subprocess.run([sys.executable, "-c", NOISE_FILM, str(path)], check=True, cwd=ROOT, env=environment)
        made.add(path.read_bytes())
    assert len(made) == 1


def test_a_film_that_fails_leaves_nothing(tmp_path):
    def pictures():
        yield 0.0, np.zeros((16, 16, 3), np.uint8)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        films.write_film(tmp_path / "a.mp4", pictures(), 25.0)
    assert [*tmp_path.iterdir()] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A video of 20 frames, and checkpoints of three streams."""
    root = tmp_path_factory.mktemp("cam")
    write_avi(root / "disc.avi", render("disc_rise", 0, 0, size=48)[0])
    write_weights(root / "rgb.pth", names=CLASSES)
    write_weights(root / "sfs.pth", names=CLASSES, modality="RGB_Flow")
    write_weights(root / "flow.pth", FLOW, CLASSES)
    return root


def run(made, out, weights, *words):
    paths = [str(made / f"{name}.pth") for name in weights]
    return tool.main(
        tool.parse_args([str(made / "disc.avi"), "--weights", *paths, "--out", str(out), *words, "--device", "cpu"])
    )


def test_the_tool_draws_strips_a_film_and_curves_of_all_streams_side_by_side(made, tmp_path, capsys):
    av = pytest.importorskip("av")
    tracks = run(made, tmp_path / "cam", ("rgb", "sfs", "flow"), "--target", "rise")
    assert [t.name for t in tracks] == ["RGB", "SFS", "Flow"]
    assert all(t.layer == "layer2" and len(t.heat) == 19 and t.heat.max() == 1 for t in tracks)  # 20 frames, 19 flows
    names = sorted(path.name for path in (tmp_path / "cam").iterdir())
    assert names == ["clip_0001.png", "clip_0002.png", "clip_0003.png", "evidence.csv", "video.mp4"]
    with Image.open(tmp_path / "cam" / "clip_0001.png") as strip:
        assert strip.width > 8 * 112
        assert strip.height > 5 * 112
    with av.open(str(tmp_path / "cam" / "video.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 19
    rows = (tmp_path / "cam" / "evidence.csv").read_text().splitlines()
    assert rows[0].startswith("frame,seconds,RGB evidence,RGB probability,SFS evidence,")
    assert len(rows) == 20
    assert rows[2].startswith("2,0.040,")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["RGB at layer2", "SFS at layer2", "Flow at layer2"]
    assert all(": rise 0." in line for line in lines)


def test_the_class_is_what_the_networks_predict_together_and_strips_can_be_fewer(made, tmp_path, capsys):
    tracks = run(made, tmp_path / "cam", ("rgb", "sfs"), "--strips", "1", "--step", "3", "--layer", "layer1")
    together = CLASSES[int(sum(t.logits for t in tracks).argmax())]
    assert all(f": {together} " in line for line in capsys.readouterr().out.splitlines())
    assert len([*(tmp_path / "cam").glob("*.png")]) == 1
    assert {t.layer for t in tracks} == {"layer1"}


def test_networks_of_one_kind_are_numbered(made):
    state = checkpoint.load(made / "rgb.pth")
    other = checkpoint.load(made / "flow.pth")
    assert default_names([state, other, state]) == ["RGB 1", "Flow", "RGB 2"]
    student = {**state, "options": state["options"] | {"modality": "RGB", "teacher": ["flow=flow.pth"]}}
    assert default_names([state, student]) == ["RGB", "SFS"]


@pytest.mark.parametrize(
    ("weights", "words", "message"),
    [
        (
            ("rgb",),
            ["--target", "rice"],
            "--target rice: is none of the 3 classes of these networks; did you mean rise?",
        ),
        (("rgb",), ["--layer", "layer9"], "layer 'layer9': this network has layer1"),
        (("rgb",), ["--names", "a", "b"], "1 --weights, 2 --names"),
        (("rgb",), ["--step", "0"], "--step 0 at least 1"),
        (("rgb",), ["--step", "9"], "--step 9 would leave frames out: clips span 8"),
        (("rgb", "rgb"), [], "rgb.pth: named twice; its pictures would be the same"),
        (("rgb", "nothing"), [], "nothing.pth: no such checkpoint file"),
        (("rgb", "bare"), [], "bare.pth: does not say how to use it"),
        (("rgb", "other"), [], "other.pth: its classes are not those of"),
        (("rgb", "long"), [], "made with sample_duration 16"),
    ],
)
def test_what_the_tool_cannot_do_is_one_line_and_leaves_nothing(made, tmp_path, capsys, weights, words, message):
    checkpoint.save(made / "bare.pth", {"state_dict": small("resnet").state_dict()})
    write_weights(made / "other.pth", names=("a", "b", "c"))
    write_weights(made / "long.pth", names=CLASSES, sample_duration=16)
    paths = [str(made / f"{name}.pth") for name in weights]
    words = [str(made / "disc.avi"), "--weights", *paths, "--out", str(tmp_path / "cam"), *words, "--device", "cpu"]
    with pytest.raises(SystemExit) as stopped:
        cli.run(tool.main, lambda: tool.parse_args(words))
    assert stopped.value.code == cli.INPUT
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert [*tmp_path.iterdir()] == []


def test_a_gpu_is_waited_for_once_for_a_class_and_never_for_its_heat(monkeypatch):
    class Network:
        view, mean = "rgb", torch.empty(3, device="meta")

        def __call__(self, batch):
            return Output(batch["rgb"].float().mean((2, 3, 4)), {})

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    clips = cut_clips(40, 8)
    assert len(clips) > BATCH
    with on_gpu() as gpu:
        Network.mean = torch.empty(3, device=GPU)
        frames = torch.zeros(3, 40, 16, 16, dtype=torch.uint8)
        with pytest.raises(DataDependentOutputException):  # tensors of no values have no greatest one
            predict_class([Network(), Network()], {"rgb": frames}, clips)
        assert gpu.waits == ["_to_copy"]
        gpu.waits.clear()
        for target in (None, 1):
            assert check_target(target, torch.empty(4, 3, device=GPU)).is_cuda
        assert gpu.waits == []
