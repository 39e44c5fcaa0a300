"""Teachers that see clips at other sizes than their student, and teachers of RGB differences."""

import logging
from pathlib import Path

import pytest
import torch
from distilling import STEPS, distil, metrics, resumed, trained
from helpers import CLASSES, words_for
from runs import differences

from datasets import FLOW, RGB, ClipOptions, build_dataset, make_loader, make_recipe, open_videos
from engine import checkpoint
from models import Classify, Distill, StreamNetwork, create_distiller, create_model, output_shapes
from opts import parse_opts
from workflows.testing.loading import load_checkpoint
from workflows.training.fitting import fit

TRAINED = {
    "flow": "--modality Flow --sample_size 24",
    "large": "--modality RGB --sample_size 40",
    "diff": "--modality RGBDiff --sample_size 24",
}
AUTO = ["--project", "auto"]


@pytest.fixture(scope="module")
def teachers(hmdb51, tmp_path_factory) -> dict[str, str]:
    """Best checkpoints of networks, none of which was trained at the 32 pixels of the students."""
    runs = trained(hmdb51, tmp_path_factory.mktemp("teachers"), TRAINED)
    return {name: str(path) for name, path in runs.items()}


@pytest.fixture
def named(teachers) -> dict[str, list[str]]:
    """Words for each of them."""
    return {name: ["--teacher", f"{name}={path}"] for name, path in teachers.items()}


@pytest.fixture
def seen(monkeypatch) -> dict[str, torch.Tensor]:
    """Return the last inputs of networks, by view."""
    found: dict[str, torch.Tensor] = {}
    forward = StreamNetwork.forward

    def look(self, batch):
        found[self.view] = batch[self.view]
        return forward(self, batch)

    monkeypatch.setattr(StreamNetwork, "forward", look)
    return found


def shapes(seen: dict[str, torch.Tensor]) -> dict[str, int]:
    """Side of each view."""
    return {name: clips.shape[-1] for name, clips in seen.items()}


def test_each_teacher_sees_its_own_size_and_the_run_resumes_to_the_same_bits(hmdb51, named, seen, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    words = [*named["flow"], *named["large"], *STEPS]
    with pytest.raises(ValueError, match=r"review: layer1 of the student has 4 channels of 4x8x8 .* --project auto"):
        distil(hmdb51, tmp_path / "off", *words)
    whole = distil(hmdb51, tmp_path / "whole", *words, *AUTO)
    assert shapes(seen) == {"rgb": 32, "flow@24": 24, "rgb@40": 40}
    assert "flow_best.pth: sees flow@24, as in its training; the student 32 pixels" in caplog.text
    assert "trained with --sample_size" not in caplog.text
    state = checkpoint.load(whole / "s_2.pth")
    assert (state["recipe"]["view"], state["recipe"]["sample_size"]) == ("rgb", 32)
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words, *AUTO) == []


@pytest.mark.parametrize("entries", [("arch", "state_dict"), ()], ids=["published", "ours"])
def test_the_one_flow_teacher_sees_the_size_of_its_student(entries, hmdb51, teachers, seen, tmp_path, caplog):
    state = checkpoint.load(teachers["flow"])
    checkpoint.save(tmp_path / "flow.pth", {name: state[name] for name in entries or state})
    distil(hmdb51, tmp_path, "--modality", "RGB_Flow", "--resume_path1", str(tmp_path / "flow.pth"))
    assert shapes(seen) == {"rgb": 32, "flow": 32}
    assert ("trained with --sample_size 24, used with 32" in caplog.text) == (not entries)


@pytest.mark.slow
def test_computed_flow_is_seen_at_the_size_of_each_teacher(hmdb51, named, seen, tmp_path):
    small = trained(hmdb51, tmp_path / "small", {"x": "--modality Flow --sample_size 16"})["x"]
    seen.clear()
    words = [*named["flow"], "--teacher", f"small={small}", "--distill", "mse", *STEPS]
    words += ["--flow_source", "online", "--only_RGB"]
    whole = distil(hmdb51, tmp_path / "whole", *words)
    assert shapes(seen) == {"rgb": 32, "flow@24": 24, "flow@16": 16}
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words) == []


@pytest.mark.slow
def test_a_student_of_differences_is_trained_and_validated_on_the_same_frames(hmdb51, named, seen, tmp_path):
    """Each video has a frame less than without its teacher: the last one has no difference."""
    words = [*named["diff"], *AUTO, *STEPS, "--only_RGB"]
    whole = distil(hmdb51, tmp_path / "whole", *words)
    assert shapes(seen) == {"rgb": 32, "rgbdiff@24": 24}
    alone = parse_opts([*words_for(hmdb51, tmp_path), "--modality", "RGB", "--only_RGB"])
    data = checkpoint.load(whole / "s_2.pth")["data"]
    for subset in ("train", "val"):
        videos = build_dataset(alone, subset).videos
        assert data[subset]["frames"] == sum(video.num_frames - 1 for video in videos), subset
    assert resumed(hmdb51, tmp_path / "parts", whole, "1_step2", *words) == []


def test_what_is_left_out_on_the_disk_cannot_be_read(hmdb51, named, tmp_path):
    flow = open_videos(hmdb51 / "labels", hmdb51 / "frames", streams=["rgb", "flow"])
    both = distil(hmdb51, tmp_path / "both", *named["diff"], *named["flow"], "--distill", "kd")
    frames = checkpoint.load(both / "s_best.pth")["data"]["train"]["frames"]
    assert frames == sum(video.num_frames for video in flow)
    for words, problem in (
        ([*named["flow"], "--only_RGB"], "--only_RGB: --teacher flow reads flow: leave one of them out, or compute"),
        ([*named["diff"], "--flow_source", "online"], "--flow_source online: no teacher reads flow: leave it out"),
        ([*named["diff"], "--modality", "RGB_Flow"], "--modality RGB_Flow: no teacher reads flow: leave it out"),
    ):
        with pytest.raises(ValueError, match=problem):
            distil(hmdb51, tmp_path / "refused", *words)
    assert not (tmp_path / "refused").exists()


def test_unlike_sizes_by_keyword_arguments_give_the_bits_of_the_script(hmdb51, teachers, named, tmp_path):
    script = distil(hmdb51, tmp_path / "script", *named["flow"], "--distill", "mse", "dkd", "--n_epochs", "2")
    torch.manual_seed(1)
    teacher = load_checkpoint(teachers["flow"])
    teacher.view = f"flow@{teacher.recipe['sample_size']}"
    student = StreamNetwork(create_model("resnet", 3, len(CLASSES), depth=10, width=0.0625), RGB)
    sizes = (student, 32), (teacher, 24)
    found = [output_shapes(model.network, (model.network.in_channels, 8, side, side)) for model, side in sizes]
    losses = [create_distiller("mse", *found), create_distiller("dkd", *found, warmup_epochs=5)]
    loaders, clips = [], {}
    for subset, streams in (("train", ["rgb", teacher.view]), ("val", ["rgb"])):
        videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", subset=subset, streams=[RGB, FLOW])
        clips[subset] = ClipOptions(length=8, size=32, streams=streams)
        loaders.append(make_loader(videos, clips[subset], batch_size=4, n_workers=0))
    result = fit(
        *(Distill(student, {"flow": teacher}, {"flow": losses}), *loaders),
        folder=tmp_path,
        class_names=CLASSES,
        recipe=make_recipe(open_videos(hmdb51 / "labels", hmdb51 / "frames"), clips["train"]),
        n_epochs=2,
        device="cpu",
    )
    a, b = checkpoint.load(script / "s_2.pth"), checkpoint.load(Path(result.files.checkpoint.format(2)))
    for key in ("state_dict", "optimizer", "rng", "metrics", "data"):
        assert differences(a[key], b[key]) == [], key
    assert {name for name in metrics(script)[0] if "flow" in name} == {
        *("train_acc_teacher_flow", "train_loss_flow_mse_avgpool", "train_loss_flow_tckd", "train_loss_flow_nckd")
    }


def test_a_network_of_a_view_states_the_size_that_it_sees(hmdb51, tmp_path):
    torch.manual_seed(1)
    student = StreamNetwork(create_model("resnet", 3, len(CLASSES), depth=10, width=0.0625), RGB, view="rgb@24")
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames")
    clips = ClipOptions(length=8, size=32, streams=["rgb@24"])
    loaders = [make_loader(videos, clips, batch_size=4, n_workers=0, mode=mode) for mode in ("train", "val")]
    recipe, more = make_recipe(videos, clips), {"class_names": CLASSES, "n_epochs": 1, "device": "cpu"}
    result = fit(Classify(student), *loaders, folder=tmp_path, recipe=recipe, **more)
    assert load_checkpoint(result.best).recipe["sample_size"] == 24
    student.view = "rgb@40"
    with pytest.raises(ValueError, match="train: the clips have rgb@24, but a network reads rgb@40"):
        fit(Classify(student), *loaders, folder=tmp_path / "other", recipe=recipe, **more)
