"""Views of a clip: streams at sizes, all of one draw; and RGB differences, against their formula."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import words_for, write_hmdb51

from datasets import MODALITIES, RGB, STREAMS, build_dataset, build_loader, modality_of, parse_view, views_of
from datasets.clips.image_ops import NO_MOTION, PHOTOMETRIC
from datasets.clips.random_crops import CROPS
from datasets.clips.views import Placement, whole
from datasets.streams import FLOW, RGB_DIFF, difference
from opts import parse_opts

SIDE = 24  # of the clips of moving pictures
HEIGHT, WIDTH = 60, 80
STEP_X, STEP_Y = 3, 4  # levels from pixel to pixel
EVERY = ("rgb", "rgb@48", "flow", "flow@12", "rgbdiff", "rgbdiff@48")
AUGMENT = ["--augment", "color_jitter", "grayscale", "randaugment", "erasing"]
HERE = ["--val_fraction", "0", "--modality", "RGB_Flow"]


def options(root: Path, *words: str):
    return parse_opts([*words_for(root, root / "results"), *words])


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


@pytest.mark.parametrize("name", EVERY)
def test_a_view_is_known_by_its_name(name):
    assert parse_view(name).name == name
    assert views_of([name, parse_view(name), name]) == (parse_view(name),)


@pytest.mark.parametrize("name", ["sound", "rgb@", "rgb@0", "rgb@-8", "rgb@x", "rgb@²", "rgb@1@2", ""])
def test_what_is_no_view_is_named_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"view '{name}': expected one of rgb, flow, rgbdiff, or .* like rgb@224"):
        parse_view(name)


def test_a_modality_has_the_streams_or_at_least_their_sources():
    for name, streams in MODALITIES.items():
        assert modality_of(streams) == name
    assert modality_of([RGB, FLOW, RGB_DIFF]) == "RGB_Flow"
    assert modality_of([RGB, RGB_DIFF]) == "RGB"


def test_differences_are_halves_about_the_middle_at_most_a_level_too_low():
    before, after = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    stored, exact = difference(before, after), after.astype(float) - before
    assert (stored == np.floor(127.5 + exact / 2)).all()
    read = (stored - RGB_DIFF.mean[0]) / RGB_DIFF.std[0]  # as networks are given them
    assert set(np.unique(exact - read)) == {0.0, 1.0}
    assert (read == np.where(exact % 2, exact, exact - 1)).all()


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--clip_stride 2",
        "--train_sampling segments",
        "--train_sampling segments --segment_length 4",
        "--sample_duration 24",
        "--sample_duration 40 --sampling compat",
    ],
    ids=["dense", "strided", "segments", "snippets", "looped", "looped from a random frame"],
)
@pytest.mark.parametrize("cache", ["none", "ram"])
def test_differences_of_a_clip_are_those_of_the_frames_of_the_video(hmdb51, words, cache):
    opt = options(hmdb51, "--modality", "RGBDiff", "--only_RGB", "--cache", cache, *words.split())
    clips = build_dataset(opt, "train")
    for epoch, index in ((0, 0), (1, 2), (2, 3)):
        rng = np.random.default_rng((opt.manual_seed, epoch, index))
        video = clips.videos[index]
        numbers = clips.sample(video.num_frames, clips.length, rng)
        placement = clips.reader.geometry(rng)

        def frame(number, video=video, placement=placement):
            return clips.reader.store.read(video, RGB, [number], placement)[:, 0].astype(float)

        expected = np.stack([np.floor(127.5 + (frame(k + 1) - frame(k)) / 2) for k in numbers], 1)
        assert (clips[epoch, index]["rgbdiff"].numpy() == expected).all()
        assert max(numbers) <= video.num_frames


@pytest.mark.parametrize("crop", CROPS)
def test_a_view_is_the_same_whatever_else_is_read(hmdb51, crop):
    opt = options(hmdb51, *HERE, "--crop", crop, *AUGMENT)
    together = build_dataset(opt, "train", EVERY)
    alone = {name: build_dataset(opt, "train", [name]) for name in EVERY}
    for epoch in range(3):
        clip = together[epoch, 1]
        assert [name for name in clip if name in EVERY] == list(EVERY)
        for name in EVERY:
            view = parse_view(name)
            side = view.side or opt.sample_size
            assert clip[name].shape == (view.stream.channels, opt.sample_duration, side, side)
            assert same(clip[name], alone[name][epoch, 1][name])


@pytest.fixture(scope="module")
def ramps(tmp_path_factory) -> Path:
    """Videos whose even frames say where each pixel is, in red and green, as their flow does; odd frames are black."""
    root = write_hmdb51(tmp_path_factory.mktemp("ramps"), classes=("catch",), train=2, test=1)
    x, y = np.meshgrid(np.arange(WIDTH) * STEP_X, np.arange(HEIGHT) * STEP_Y)
    frame = np.stack([np.zeros_like(x), y, x], -1).astype(np.uint8)  # blue first
    images = {"": frame, "TVL1jpg_x_": frame[..., 2], "TVL1jpg_y_": frame[..., 1]}
    for path in (root / "frames").rglob("*.jpg"):
        prefix, number = path.stem[:-5], int(path.stem[-5:])
        black = not prefix and number % 2
        quality = [cv2.IMWRITE_JPEG_QUALITY, 100]
        cv2.imwrite(str(path), images[prefix] * (not black), quality)
    return root


def places(name: str, clip: torch.Tensor, mirrored: bool) -> torch.Tensor:
    """Where the first frame of a view shows each pixel of a clip of 12 to come from, in pixels of the video."""
    stream = parse_view(name).stream
    levels = clip[:2, 0].float()
    if stream == RGB_DIFF:  # black follows
        levels = 255 - 2 * levels
    elif stream == FLOW and mirrored:
        levels = torch.stack([255 - levels[0], levels[1]])
    size = torch.nn.functional.adaptive_avg_pool2d(levels, 12)
    return size / torch.tensor([STEP_X, STEP_Y]).view(2, 1, 1)


@pytest.mark.parametrize("crop", CROPS)
def test_all_views_show_the_same_part_of_the_picture(ramps, crop):
    opt = options(ramps, *HERE, "--crop", crop, "--sample_size", str(SIDE))
    clips = build_dataset(opt, "train", EVERY)
    clips.sample = lambda *_: [2, 4, 6, 8]
    mirrored = set()
    for epoch in range(12):
        clip = clips[epoch, 0]
        shown = places("rgb", clip["rgb"], False)
        flip = bool(shown[0, 0, 0] > shown[0, 0, -1])
        mirrored.add(flip)
        for name in EVERY:
            assert (places(name, clip[name], flip) - shown).abs().max() < 1.2, (name, epoch)
    assert mirrored == {False, True}


@pytest.mark.parametrize("crops", ["1", "3", "5", "10"])
@pytest.mark.parametrize("short_side", [None, 40])
def test_crops_of_a_test_at_another_size_are_those_of_a_test_of_that_size(hmdb51, crops, short_side):
    def crops_of(size, views):
        words = ["--short_side", str(short_side * size // 32)] if short_side else []
        opt = options(hmdb51, *HERE, "--num_crops", crops, "--sample_size", str(size), *words)
        clips = build_dataset(opt, "test", views)
        return [crop for place in (0, 3) for crop in clips[place]]

    other = crops_of(32, ["rgb", "rgb@24", "flow@24", "rgbdiff@24"])
    for a, b in zip(other, crops_of(24, ["rgb", "flow", "rgbdiff"]), strict=True):
        assert a["rgb"].shape[-1] == 32
        assert all(same(a[f"{name}@24"], b[name]) for name in ("rgb", "flow", "rgbdiff"))
    assert len(other) == 2 * int(crops)


def test_two_stream_crops_keep_their_place_at_another_size(ramps):
    opt = options(ramps, *HERE, "--num_crops", "two-stream", "--sample_size", "224", "--sample_duration", "1")
    clips = build_dataset(opt, "test", ["rgb", "rgb@112", "rgbdiff@112"])
    crops = clips[1]  # of the second frame
    assert len(crops) == 10
    for crop in crops:
        shown = places("rgb", crop["rgb"], False)
        assert all((places(name, crop[name], False) - shown).abs().max() < 0.8 for name in ("rgb@112", "rgbdiff@112"))


def test_colours_of_the_frames_change_before_their_difference_is_taken(hmdb51):
    opt = options(hmdb51, "--modality", "RGBDiff", "--augment", "grayscale", "--grayscale", "1")
    clips = build_dataset(opt, "train")
    rng = np.random.default_rng((opt.manual_seed, 0, 0))
    numbers = clips.sample(clips.videos[0].num_frames, clips.length, rng)
    placement = clips.reader.geometry(rng)
    frames = [clips.reader.store.read(clips.videos[0], RGB, [k + d for k in numbers], placement) for d in (0, 1)]
    grey = [PHOTOMETRIC["saturation"](torch.from_numpy(x), 0.0).numpy() for x in frames]
    assert (clips[0]["rgbdiff"].numpy() == difference(*grey)).all()


def edges(clip: torch.Tensor) -> np.ndarray:
    """Top, bottom, left and right of what is erased in a clip, as parts of its side."""
    rows, columns = np.nonzero((clip == NO_MOTION).all(0).all(0).numpy())
    return np.array([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]) / clip.shape[-1]


def test_an_erased_box_is_at_the_same_place_in_every_view(hmdb51):
    clips = build_dataset(options(hmdb51, *HERE, "--augment", "erasing", "--erasing", "1"), "train", EVERY)
    for epoch in range(4):
        clip = clips[epoch, 0]
        for name in EVERY:
            pixel = 1 / clip[name].shape[-1]
            assert np.abs(edges(clip[name]) - edges(clip["rgb@48"])).max() < 1.5 * pixel, name


@pytest.mark.parametrize("loader", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_workers_read_the_same_views(hmdb51, loader):
    batches = [
        next(iter(build_loader(options(hmdb51, *HERE, *AUGMENT, "--loader", loader, "--n_workers", n), "train", EVERY)))
        for n in ("0", "2")
    ]
    assert all(same(batches[0][name], batches[1][name]) for name in EVERY)


@pytest.mark.parametrize(
    ("words", "views", "fewer"),
    [
        ("--modality RGB --only_RGB", None, 0),
        ("--modality RGB", None, 1),
        ("--modality RGBDiff --only_RGB", None, 1),
        ("--modality RGBDiff", None, 1),
        ("--modality RGB --only_RGB", ("rgb", "rgbdiff"), 1),
        ("--modality RGB_Flow", ("rgb", "rgbdiff", "flow"), 1),
    ],
)
def test_differences_take_a_frame_more_unless_flow_does(hmdb51, words, views, fewer):
    clips = build_dataset(options(hmdb51, *words.split(), "--val_fraction", "0"), "train", views)
    frames = [len([*video.folder.glob("[0-9]*.jpg")]) for video in clips.videos]
    assert [video.num_frames for video in clips.videos] == [count - fewer for count in frames]


def test_where_the_last_frame_has_a_flow_it_has_no_difference(tmp_path):
    root = write_hmdb51(tmp_path, classes=("catch",), train=1, test=1)
    for path in [*(root / "frames").rglob("*.jpg")]:  # as dense_flow names them, with a flow for every frame
        stem = path.stem.replace("TVL1jpg", "flow") if "TVL1" in path.stem else f"img_{path.stem}"
        path.rename(path.with_name(f"{stem}.jpg"))
    for folder in (root / "frames").glob("*/*"):
        (folder / "done").unlink()
        for axis in "xy":
            last = max(folder.glob(f"flow_{axis}_*"))
            shutil.copy(last, last.with_name(f"flow_{axis}_{int(last.stem[-5:]) + 1:05d}.jpg"))
    words = ["--layout", "denseflow", "--val_fraction", "0"]
    counts = [
        build_dataset(options(root, "--modality", modality, *words), "train").videos[0].num_frames
        for modality in ("RGB_Flow", "RGBDiff")
    ]
    assert counts[0] == counts[1] + 1
    clips = build_dataset(options(root, "--modality", "RGBDiff", "--sample_duration", "30", *words), "train")
    assert clips[0]["rgbdiff"].shape[1] == 30


def test_a_single_frame_has_no_difference(own_hmdb51):
    folder = own_hmdb51 / "frames" / "cartwheel" / "film0_cartwheel_f_cm_np1_fr_med_0"
    for path in [*folder.glob("*.jpg"), folder / "done"]:
        if path.name != "00001.jpg":
            path.unlink()
    with pytest.raises(ValueError, match="a single frame has no flow, nor a difference from the next one"):
        build_dataset(options(own_hmdb51, "--modality", "RGBDiff", "--only_RGB", "--val_fraction", "0"), "train")


def test_stores_know_nothing_of_what_is_made_of_their_streams(hmdb51):
    clips = build_dataset(options(hmdb51, *HERE), "train", EVERY)
    asked = []
    read = clips.reader.store.read

    def noted(video, stream, numbers, placement):
        asked.append((stream.name, *placement(40, 48).window[2:], list(numbers)))
        return read(video, stream, numbers, placement)

    clips.reader.store.read = noted
    clips.sample = lambda *_: [3, 5, 6]
    clips[0]
    pairs = [3, 4, 5, 6, 7]  # each frame once, for differences and for the frames themselves
    assert asked == [
        ("rgb", 32, 32, pairs),
        ("rgb", 48, 48, pairs),
        ("flow", 32, 32, [3, 5, 6]),
        ("flow", 12, 12, [3, 5, 6]),
    ]
    assert {stream.source for stream in STREAMS.values()} == {"rgb", "flow"}
    assert read(clips.videos[0], RGB, [1], Placement(whole)).shape == (3, 1, 40, 48)
