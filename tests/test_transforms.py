"""Transforms against the published pipeline, and their properties."""

import numpy as np
import pytest
import torch
from helpers import reference

from datasets import FLOW, MODALITIES, RGB
from datasets import transforms as T

REF = reference("sts_preprocess.pth")


def clip_of(size: str, modality: str) -> T.Clip:
    images = REF["inputs"][size]
    clip = {
        "rgb": images["rgb"].permute(0, 3, 1, 2),
        "flow": torch.stack([images["fx"], images["fy"]], 1),
    }
    return {stream.name: clip[stream.name] for stream in MODALITIES[modality]}


@pytest.mark.parametrize("case", REF["cases"], ids=lambda c: "-".join(str(v) for k, v in c.items() if k != "out"))
def test_clips_equal_the_published_pipelines_within_a_grey_level(case):
    clip = clip_of(case["size"], case["modality"])
    if case["train"] == 1:
        clip = T.corner_crop(clip, REF["sample_size"], REF["scales"][case["scale_index"]], case["position"])
        clip = T.hflip(clip) if case["flip"] else clip
    else:
        clip = T.CenterCrop(REF["sample_size"])(clip, np.random.default_rng(0))
    clip = T.to_model(clip, np.random.default_rng(0))
    means = {s.name: torch.tensor(s.mean)[:, None, None, None] for s in (RGB, FLOW)}
    own = torch.cat([clip[s.name] - means[s.name] for s in MODALITIES[case["modality"]]])
    difference = (own - case["out"]).abs()
    assert difference.max() <= 1 + 1e-4
    assert difference.mean() < 0.05


def test_the_scales_are_the_published_ones():
    assert pytest.approx(REF["scales"]) == T.SCALES
    assert set(REF["positions"]) == set(T.POSITIONS)


def noise(height=40, width=48, frames=3) -> T.Clip:
    return {
        "rgb": torch.randint(0, 256, (frames, 3, height, width), dtype=torch.uint8),
        "flow": torch.randint(0, 256, (frames, 2, height, width), dtype=torch.uint8),
    }


def test_mirroring_twice_is_the_identity_and_reverses_horizontal_flow_alone():
    clip = noise()
    once, twice = T.hflip(clip), T.hflip(T.hflip(clip))
    assert all(torch.equal(clip[name], twice[name]) for name in clip)
    assert torch.equal(once["rgb"], clip["rgb"].flip(-1))
    assert torch.equal(once["flow"][:, 1], clip["flow"][:, 1].flip(-1))
    assert torch.equal(once["flow"][:, 0].int(), 255 - clip["flow"][:, 0].flip(-1).int())


def test_mirroring_leaves_its_input_alone():
    clip = noise()
    before = {name: x.clone() for name, x in clip.items()}
    T.hflip(clip)
    assert all(torch.equal(clip[name], before[name]) for name in clip)


def test_all_streams_get_the_same_geometry():
    plane = torch.randint(0, 256, (3, 1, 40, 48), dtype=torch.uint8)
    clip = {"rgb": plane.expand(-1, 3, -1, -1), "flow": plane.expand(-1, 2, -1, -1)}
    transform = T.Compose(T.MultiScaleCornerCrop(32), T.RandomHorizontalFlip(), T.to_model)
    for seed in range(20):
        out = transform(clip, np.random.default_rng(seed))
        assert out["rgb"].shape == (3, 3, 32, 32)
        assert torch.equal(out["rgb"][0], out["flow"][1])


def test_draws_depend_on_the_generator_alone():
    clip, transform = noise(), T.Compose(T.MultiScaleCornerCrop(32), T.RandomHorizontalFlip())
    same = [transform(clip, np.random.default_rng(3))["rgb"] for _ in range(2)]
    assert torch.equal(*same)
    different = {transform(clip, np.random.default_rng(seed))["rgb"].sum().item() for seed in range(20)}
    assert len(different) > 5


@pytest.mark.parametrize(("height", "width"), [(40, 48), (48, 40), (33, 33), (16, 90)])
def test_evaluation_keeps_the_centre(height, width):
    out = T.CenterCrop(24)(noise(height, width), np.random.default_rng(0))
    assert out["rgb"].shape[-2:] == out["flow"].shape[-2:] == (24, 24)


@pytest.mark.parametrize("scales", [[], [0.0], [1.1], [-1.0]])
def test_impossible_scales_name_the_option(scales):
    with pytest.raises(ValueError, match="--crop_scales"):
        T.MultiScaleCornerCrop(32, scales)
