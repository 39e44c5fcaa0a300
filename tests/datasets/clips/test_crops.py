"""Crops of the frames: boxes inside them, shared by all streams, equal to the published ones."""

import pickle
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from helpers import reference
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from datasets.clips import crops as C
from datasets.clips import random_crops as R
from datasets.clips.views import Box, Placement, resample

REF = reference("sts_preprocess.pth")
sides, sizes, seeds = st.integers(1, 400), st.integers(1, 64), st.integers(0, 999)


def rng(seed=0):
    return np.random.default_rng(seed)


def seen(images, view):
    frames = torch.stack([images["fx"], images["fy"]], 1)
    return {"rgb": resample(images["rgb"].permute(0, 3, 1, 2), view), "flow": resample(frames, view)}


@pytest.mark.parametrize("case", REF["cases"], ids=lambda c: "-".join(str(v) for k, v in c.items() if k != "out"))
def test_views_equal_the_published_pipelines_within_a_grey_level(case):
    images, size = REF["inputs"][case["size"]], REF["sample_size"]
    if case["train"] == 1:
        scale = REF["scales"][case["scale_index"]]
        place = partial(R.place_corner, size=size, scale=scale, position=case["position"])
        placement = Placement(place, bool(case["flip"]))
    else:
        placement = C.TestCrops(size)(rng())
    clip = {name: x.transpose(0, 1).float() for name, x in seen(images, placement(*images["rgb"].shape[1:3])).items()}
    if placement.flip:
        clip["flow"][0] = 255 - clip["flow"][0]
    clip["rgb"] -= torch.tensor([114.7748, 107.7354, 99.4750])[:, None, None, None]
    clip["flow"] -= 127.5
    names = {"RGB": ("rgb",), "Flow": ("flow",), "RGB_Flow": ("rgb", "flow")}[case["modality"]]
    difference = (torch.cat([clip[name] for name in names]) - case["out"]).abs()
    assert difference.max() <= 1 + 1e-4
    assert difference.mean() < 0.05


def test_the_scales_are_the_published_ones():
    assert pytest.approx(REF["scales"]) == R.SCALES
    assert set(REF["positions"]) == set(R.POSITIONS)


def within(box, height, width):
    top, left, rows, columns = box
    return min(top, left) >= 0 and min(rows, columns) >= 1 and top + rows <= height and left + columns <= width


@pytest.mark.parametrize("crop", R.CROPS)
@given(height=sides, width=sides, size=sizes, seed=seeds)
def test_training_crops_lie_within_frames_of_any_size(crop, height, width, size, seed):
    view = R.CROPS[crop](size)(rng(seed))(height, width)
    assert within(view.box, height, width)
    assert within(view.window, *view.size)
    assert view.window[2:] == (size, size)


@pytest.mark.parametrize("crop", R.CROPS)
def test_crops_follow_the_generator_alone_and_can_be_sent_to_processes(crop):
    geometry = R.CROPS[crop](32)
    views = [geometry(rng(seed))(90, 120) for seed in range(60)]
    assert views == [pickle.loads(pickle.dumps(geometry(rng(seed))))(90, 120) for seed in range(60)]
    assert len(set(views)) > 20 or crop == "center"  # which is mirrored or not
    assert {view.flip for view in views} == {True, False}


@pytest.mark.parametrize("crop", R.CROPS)
def test_without_mirroring_nothing_is_drawn_for_it(crop):
    quiet, loud = rng(1), rng(1)
    a, b = R.CROPS[crop](32, flip=0)(quiet), R.CROPS[crop](32, flip=1.0)(loud)
    assert (a.flip, b.flip) == (False, True)
    assert a(90, 120) == b(90, 120)._replace(flip=False)
    loud_again = rng(1)
    R.CROPS[crop](32, flip=0)(loud_again)
    assert quiet.random() == loud_again.random() != loud.random()


@pytest.mark.parametrize("crop", R.CROPS)
def test_streams_of_other_sizes_show_the_same_part(crop):
    for seed in range(40):
        placement = R.CROPS[crop](32, flip=0)(rng(seed))
        parts = []
        for height, width in ((240, 320), (480, 640)):
            box, size, window, _ = placement(height, width)
            top = box.top + window.top * box.height / size[0]
            left = box.left + window.left * box.width / size[1]
            part = (top, left, window.height * box.height / size[0], window.width * box.width / size[1])
            parts.append(np.array(part) / height)
        assert np.abs(parts[0] - parts[1]).max() < 0.03


def test_a_draw_for_training_is_scale_then_position_then_mirroring():
    for seed in range(30):
        draws = rng(seed)
        scale, position, flip = R.SCALES[draws.integers(5)], R.POSITIONS[draws.integers(5)], draws.random() < 0.5
        placement = R.MultiScaleCornerCrop(32)(rng(seed))
        expected = R.place_corner(90, 120, size=32, scale=scale, position=position)
        assert placement(90, 120) == expected._replace(flip=flip)


@pytest.mark.parametrize(
    ("crop", "scales"),
    [
        *product(("corners", "fixed"), ([], [0.0], [1.1], [-1.0], [float("nan")])),
        *product(("resized",), ([0.5], [0.0, 1.0], [0.9, 0.1])),
        *product(("short_side",), ([0.9, 2], [])),
        *product(("center",), ([1.0, 0.5], [1.1])),
    ],
)
def test_impossible_scales_name_the_option(crop, scales):
    with pytest.raises(ValueError, match="--crop_scales"):
        R.CROPS[crop](32, scales)


def test_a_central_crop_is_the_same_in_every_draw():
    views = {R.CentralCrop(32, [0.5], 0.0)(rng(seed))(90, 120) for seed in range(9)}
    assert views == {R.place_corner(90, 120, size=32, scale=0.5, position="c")}
    assert R.CentralCrop(32, flip=0.0)(rng())(90, 120).box == Box(0, 15, 90, 90)


def fixed(ratios, offset):
    return R.place_fixed(256, 340, size=224, near=224, ratios=ratios, offset=offset)


def test_sides_of_temporal_segment_crops_are_the_published_ones():
    crop = R.FixedCornerCrop(224)
    assert len(crop.pairs) == 10
    assert len(R.FixedCornerCrop(224, (1.0, 0.875, 0.75)).pairs) == 7
    boxes = [fixed((ratio, ratio), (0, 0)).box for ratio in R.RATIOS]
    assert [box.height for box in boxes] == [256, 224, 192, 168]
    assert fixed((0.87, 0.88), (0, 0)).box == Box(0, 0, 224, 224)


def test_temporal_segment_crops_reach_corners_and_centre():
    for ratios in ((0.66, 0.75), (1.0, 0.875)):
        first = fixed(ratios, (0, 0)).box
        last = fixed(ratios, (4, 4)).box
        assert (first.top, first.left) == (0, 0)
        assert 0 <= 256 - last.top - last.height <= 3
        assert 0 <= 340 - last.left - last.width <= 3
    assert fixed((0.875, 0.875), (2, 2)).box == Box(16, 58, 224, 224)


def test_random_resized_crops_have_the_areas_and_shapes_of_torchvisions():
    crop, theirs = R.RandomResizedCrop(32), v2.RandomResizedCrop(32, antialias=True)
    torch.manual_seed(0)
    frame = torch.empty(3, 240, 320)
    boxes = np.array([crop(rng(seed))(240, 320).box for seed in range(3000)], float)
    params = [theirs.make_params([frame]) for _ in range(3000)]
    other = np.array([[p["top"], p["left"], p["height"], p["width"]] for p in params], float)
    # area and aspect ratio of each box
    ours, expected = (np.array([x[:, 2] * x[:, 3] / 76800, x[:, 3] / x[:, 2]]) for x in (boxes, other))
    assert np.abs(ours.mean(1) - expected.mean(1)).max() < 0.02
    assert np.abs(ours.std(1) - expected.std(1)).max() < 0.02
    assert np.abs(boxes.mean(0) - other.mean(0)).max() < 6
    assert ours[0].min() > 0.07
    assert ours[1].max() < 1.36


@pytest.mark.parametrize(("height", "width"), [(400, 20), (20, 400)])
def test_where_no_box_fits_the_central_one_is_torchvisions(height, width):
    theirs = v2.RandomResizedCrop(32, scale=(0.9, 1.0), antialias=True).make_params([torch.empty(3, height, width)])
    box = R.RandomResizedCrop(32, (0.9, 1.0))(rng(3))(height, width).box
    assert box == Box(theirs["top"], theirs["left"], theirs["height"], theirs["width"])


def test_random_short_sides_cover_their_range_and_windows_the_frame():
    views = [R.RandomShortSideCrop(224)(rng(seed))(240, 320) for seed in range(2000)]
    shorts = [view.size[0] for view in views]
    assert (min(shorts), max(shorts)) == (256, 320)
    fixed = [R.RandomShortSideCrop(224, (256 / 224,) * 2)(rng(seed))(240, 320) for seed in range(2000)]
    assert {view.size for view in fixed} == {(256, 341)}
    assert {view.window.top for view in fixed} == set(range(33))
    assert {view.window.left for view in fixed} == set(range(118))


@pytest.mark.parametrize(("height", "width"), [(40, 48), (48, 40), (33, 33), (16, 90), (1, 1), (24, 500)])
@pytest.mark.parametrize("num", C.NUM_CROPS)
@pytest.mark.parametrize("short_side", [24, 31])
def test_test_crops_are_cut_from_one_window(height, width, num, short_side):
    crops = C.TestCrops(24, num, short_side)
    frames = torch.randint(0, 256, (4, 5, height, width), dtype=torch.uint8)
    view = crops(rng())(height, width)
    assert within(view.window, *view.size)
    x = resample(frames, view)
    samples = crops.split({"rgb": x[:3], "label": 3, "video": "a", "seconds": torch.zeros(3)})
    assert len(samples) == num
    assert all(sample["rgb"].shape == (3, 5, 24, 24) for sample in samples)
    assert all((sample["label"], sample["video"], sample["seconds"].shape) == (3, "a", (3,)) for sample in samples)


def picture(height=256, width=340):
    """Frames in which every pixel tells its row and column modulo 256."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows % 256, columns % 256]).to(torch.uint8)[:, None]


def places(crops, height=256, width=340):
    x = resample(picture(height, width), crops(rng())(height, width))
    return [tuple(sample["rgb"][:, 0, 0, 0].tolist()) for sample in crops.split({"rgb": x})]


def test_test_crops_are_where_the_study_put_them():
    assert places(C.TestCrops(224, 1, 256)) == [(16, 58)]
    assert places(C.TestCrops(224, 3, 256)) == [(16, 0), (16, 116), (16, 58)]
    assert places(C.TestCrops(224, 5, 256)) == [(0, 0), (0, 116), (32, 0), (32, 116), (16, 58)]
    assert places(C.TestCrops(224, 3, 256), 340, 256) == [(0, 16), (116, 16), (58, 16)]


def test_one_crop_is_the_centre():
    for (height, width), resized, (top, left) in (((80, 120), (40, 60), (4, 14)), ((120, 80), (60, 40), (14, 4))):
        view = C.TestCrops(32, 1, 40)(rng())(height, width)
        assert view == (C.Box(0, 0, height, width), resized, C.Box(top, left, 32, 32), False)


def test_ten_crops_are_five_each_followed_by_its_mirror_image():
    crops, x = C.TestCrops(24, 10, 30), torch.randint(0, 256, (5, 2, 60, 90), dtype=torch.uint8)
    union = resample(x, crops(rng())(60, 90))
    ten = crops.split({"rgb": union[:3], "flow": union[3:]})
    five = C.TestCrops(24, 5, 30).split({"rgb": union[:3], "flow": union[3:]})
    for plain, mirror, crop in zip(ten[::2], ten[1::2], five, strict=True):
        assert torch.equal(plain["rgb"], crop["rgb"])
        assert torch.equal(plain["flow"], crop["flow"])
        assert torch.equal(mirror["rgb"], crop["rgb"].flip(-1))
        assert torch.equal(mirror["flow"][1], crop["flow"][1].flip(-1))
        assert torch.equal(mirror["flow"][0].int(), 255 - crop["flow"][0].flip(-1).int())


def test_two_stream_crops_are_where_published():
    crops = C.TwoStreamCrops()
    assert places(crops)[::2] == [(0, 0), (0, 116), (32, 0), (32, 116), (16, 60)]
    assert crops(rng())(240, 320).size == (256, 340)
    assert crops.crops == 10


def test_mirroring_twice_is_the_identity_and_leaves_its_input_alone():
    clip = {name: torch.randint(0, 256, (c, 3, 8, 9), dtype=torch.uint8) for name, c in (("rgb", 3), ("flow", 2))}
    before = {name: x.clone() for name, x in clip.items()}
    twice = C.mirror(C.mirror(clip))
    assert all(torch.equal(clip[name], before[name]) for name in clip)
    assert all(torch.equal(clip[name], twice[name]) for name in clip)


@pytest.mark.parametrize(("arguments", "option"), [((24, 2), "--num_crops"), ((24, 3, 20), "--short_side")])
def test_impossible_test_crops_name_the_option(arguments, option):
    with pytest.raises(ValueError, match=option):
        C.TestCrops(*arguments)
