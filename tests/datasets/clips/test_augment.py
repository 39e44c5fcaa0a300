"""Augmentation of clips: one draw for all frames and streams, colours of RGB alone."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from datasets import RGB, build_clips
from datasets.clips import augment as A
from datasets.clips import image_ops as pictures
from opts import parse_opts

STRONG = {
    "color_jitter": A.ColourJitter(hue=0.1),
    "grayscale": A.Grayscale(0.5),
    "randaugment": A.RandAugment(2, 20),
    "erasing": A.RandomErasing(0.5),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(height=20, width=24, frames=3):
    return {
        name: torch.randint(0, 256, (channels, frames, height, width), dtype=torch.uint8)
        for name, channels in (("rgb", 3), ("flow", 2))
    }


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", A.AUGMENTS)
def test_clips_keep_their_form_and_their_source(name):
    augment, clip = STRONG[name], noise()
    before, changed = {stream: x.clone() for stream, x in clip.items()}, 0
    for seed in range(40):
        out = augment(clip, rng(seed))
        assert all(out[stream].shape == x.shape for stream, x in clip.items())
        assert all(x.dtype == torch.uint8 and x.is_contiguous() for x in out.values())
        changed += not same(out, clip)
    assert same(clip, before)
    assert changed > 10


@pytest.mark.parametrize("name", A.AUGMENTS)
def test_results_follow_the_generator_alone_whichever_streams_are_there(name):
    augment, clip = STRONG[name], noise()
    for seed in range(25):
        torch.manual_seed(seed)
        draws = [rng(seed) for _ in range(3)]
        both, rgb, flow = (
            augment({s: clip[s] for s in streams}, draw)
            for streams, draw in zip((("rgb", "flow"), ("rgb",), ("flow",)), draws, strict=True)
        )
        assert same(both, rgb | flow)
        assert len({draw.random() for draw in draws}) == 1


@pytest.mark.parametrize("name", A.AUGMENTS)
def test_all_frames_of_a_clip_are_changed_alike(name):
    augment, clip = STRONG[name], noise(frames=1)
    clip = {stream: x.repeat(1, 4, 1, 1) for stream, x in clip.items()}
    for seed in range(40):
        assert all(torch.equal(x, x[:, :1].expand_as(x)) for x in augment(clip, rng(seed)).values())


@pytest.mark.parametrize("augment", [A.ColourJitter(hue=0.1), A.Grayscale(1.0)], ids=lambda a: type(a).__name__)
def test_colours_of_flow_never_change(augment):
    clip = noise()
    for seed in range(10):
        out = augment(clip, rng(seed))
        assert torch.equal(out["flow"], clip["flow"])
        assert not torch.equal(out["rgb"], clip["rgb"])


def test_jitter_is_torchvisions():
    clip = noise(frames=1)
    for k, adjust in enumerate((TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)):
        strengths = [0.0] * 4
        strengths[k] = 0.3
        draws = rng(4)
        draws.permutation(4)
        shift = 0.3 * float(draws.uniform(-1, 1, 4)[k])
        expected = adjust(clip["rgb"][:, 0], shift if k == 3 else 1 + shift)
        assert torch.equal(A.ColourJitter(*strengths)(clip, rng(4))["rgb"][:, 0], expected)


def test_strong_jitter_has_no_negative_factors_and_the_whole_range():
    clip = {"rgb": torch.full((3, 1, 2, 2), 50, dtype=torch.uint8)}
    levels = [A.ColourJitter(2.0, 0, 0, 0)(clip, rng(seed))["rgb"][0, 0, 0, 0].item() for seed in range(200)]
    assert min(levels) < 10
    assert 140 < max(levels) <= 150


def test_grey_pictures_have_equal_channels():
    grey = A.Grayscale(1.0)(noise(), rng())["rgb"].int()
    assert (grey - grey[:1]).abs().max() <= 1
    clip = noise()
    assert sum(same(A.Grayscale(0.25)(clip, rng(seed)), clip) for seed in range(200)) in range(130, 170)


@pytest.mark.parametrize("name", ["contrast", "autocontrast", "equalize"])
def test_statistics_are_the_clips_so_that_nothing_flickers(name):
    clip = noise(frames=2)["rgb"]
    clip[:, 0] //= 2
    out = pictures.PHOTOMETRIC[name](clip, 0.5)
    for level in range(0, 128, 8):  # a level that occurs in both frames becomes the same in both
        first, second = (out[0, t][clip[0, t] == level] for t in (0, 1))
        if len(first) and len(second):
            assert first.unique().equal(second.unique())


# Where torchvision's own RandAugment has the same operation; its name here.
THEIRS = {
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "TranslateX": "shift_x",
    "TranslateY": "shift_y",
    "Rotate": "turn",
    "Brightness": "brightness",
    "Color": "saturation",
    "Contrast": "contrast",
    "Sharpness": "sharpness",
    "Posterize": "posterize",
    "Solarize": "solarize",
    "AutoContrast": "autocontrast",
    "Equalize": "equalize",
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("magnitude", [0, 9, 30])
@pytest.mark.parametrize("sign", [1, -1])
def test_operations_are_torchvisions(name, magnitude, sign):
    from torchvision.transforms import InterpolationMode, v2

    theirs, frame = v2.RandAugment(), noise(frames=1)["rgb"]
    magnitudes, signed = theirs._AUGMENTATION_SPACE[name]
    values = magnitudes(31, 20, 24)
    value = 0.0 if values is None else float(values[magnitude]) * (sign if signed else 1)
    expected = theirs._apply_image_or_video_transform(
        frame[:, 0], name, value, interpolation=InterpolationMode.NEAREST, fill={}
    )
    if name == "Rotate":  # theirs counts anti-clockwise
        sign = -sign
    out = A.operate({"rgb": frame}, THEIRS[name], sign * magnitude / 30)["rgb"]
    assert (out[:, 0].int() - expected.int()).abs().max() <= 1  # their magnitudes are float32


@pytest.mark.parametrize("kind", A.MOVES)
@pytest.mark.parametrize("sign", [1, -1])
def test_flow_vectors_move_with_the_picture(kind, sign):
    def where(y, x):
        picture = torch.zeros(1, 1, 65, 65, dtype=torch.uint8)
        picture[..., y - 1 : y + 2, x - 1 : x + 2] = 255
        bent = A.operate({"rgb": picture.expand(3, -1, -1, -1)}, kind, 0.6 * sign)["rgb"][0, 0].double()
        rows, columns = (bent.sum(1 - k) @ torch.arange(65.0).double() / bent.sum() for k in (0, 1))
        return torch.stack([columns, rows])

    start, step = (26, 34), (10, -8)  # rows and columns; a step of 10 down and 8 to the left
    moved = where(start[0] + step[0], start[1] + step[1]) - where(*start)
    flow = torch.tensor([127.5 + 4 * step[1], 127.5 + 4 * step[0]]).to(torch.uint8)[:, None, None, None]
    bent = A.operate({"flow": flow.expand(2, 1, 65, 65)}, kind, 0.6 * sign)["flow"][:, 0]
    inside = bent[:, 32, 32].double()
    assert ((inside - 127.5) / 4 - moved).abs().max() < 0.7


@pytest.mark.parametrize("kind", A.MOVES)
def test_what_comes_in_is_black_and_motionless(kind):
    clip = {"rgb": torch.full((3, 1, 32, 32), 200, dtype=torch.uint8)}
    clip["flow"] = torch.full((2, 1, 32, 32), 200, dtype=torch.uint8)
    out = A.operate(clip, kind, 1.0)
    outside = out["rgb"][0, 0] == 0
    assert outside.any()
    assert (out["flow"][:, 0][:, outside].int() - 127).abs().max() <= 1
    assert (out["flow"][:, 0][:, ~outside].int() - 127).abs().max() > 30


def test_all_operations_are_drawn_and_none_means_none():
    clip = noise()
    assert same(A.RandAugment(0, 30)(clip, rng()), clip)
    outs = [A.RandAugment(1, 25)(clip, rng(seed))["rgb"] for seed in range(300)]
    assert (
        len({out.float().mul(torch.arange(24.0)).sum().item() for out in outs}) >= 22
    )  # 9 of 14 have two signs; one leaves noise as it is


def test_erased_boxes_are_where_drawn_and_alike_in_all_streams():
    clip = {name: torch.full((c, 2, 40, 40), 9, dtype=torch.uint8) for name, c in (("rgb", 3), ("flow", 2))}
    parts = []
    for seed in range(200):
        out = A.RandomErasing(0.5)(clip, rng(seed))
        erased = out["rgb"][0, 0] == 127
        assert torch.equal(out["flow"] == 127, erased.expand(2, 2, -1, -1))
        parts.append(erased.float().mean().item())
    hit = [part for part in parts if part]
    assert 70 < len(hit) < 130
    assert 0.01 < min(hit) < 0.05
    assert 0.28 < max(hit) < 0.36


def test_augmentations_are_built_in_the_order_asked_for():
    words = "--augment erasing color_jitter grayscale --grayscale 0.5 --color_jitter 0 0.1 0.2 0.3"
    erasing, jitter, grey = build_clips(parse_opts(words.split()), [RGB]).augment
    assert (type(erasing), erasing.p, jitter.strengths, grey.p) == (A.RandomErasing, 0.25, (0, 0.1, 0.2, 0.3), 0.5)
    assert build_clips(parse_opts([]), [RGB]).augment == []


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: A.ColourJitter(-0.1), "--color_jitter"),
        (lambda: A.ColourJitter(hue=0.6), "--color_jitter"),
        (lambda: A.Grayscale(1.5), "--grayscale"),
        (lambda: A.RandAugment(2, 31), "--randaugment"),
        (lambda: A.RandAugment(-1, 3), "--randaugment"),
        (lambda: A.RandomErasing(-0.5), "--erasing"),
    ],
)
def test_impossible_strengths_name_the_option(make, option):
    with pytest.raises(ValueError, match=option):
        make()
