"""Videos and clips by keyword arguments: the same batches, recipes and errors as by the options."""

import logging
import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from films import write_film
from helpers import words_for
from source_files import ROOT

from datasets import (
    FLOW,
    RGB,
    Annotation,
    ClipOptions,
    VideoDataset,
    build_loader,
    build_recipe,
    check_data,
    check_videos,
    make_dataset,
    make_loader,
    make_recipe,
    open_videos,
)
from datasets.clip_options import RECIPE
from datasets.clips.augment import ColourJitter, Grayscale, RandAugment, RandomErasing
from datasets.records.fingerprint import describe_videos
from opts import CLIP, parse_opts

SMALL = {"size": 32, "length": 8}
AUGMENTED = "--augment erasing color_jitter --erasing 0.9 --color_jitter 0.1 0.2 0.3 0.05 --crop resized --flip always"
AUGMENTS = {"augment": [RandomErasing(0.9), ColourJitter(0.1, 0.2, 0.3, 0.05)], "crop": "resized", "flip": "always"}
TESTED = "--num_crops 10 --short_side 40 --test_sampling spaced --num_clips 3"
TEST = {"num_crops": 10, "short_side": 40, "test_sampling": "spaced", "num_clips": 3}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Video files and a list of them, as another data set's."""
    root = tmp_path_factory.mktemp("films")
    rows = []
    for number in range(6):
        name = f"{'ab'[number % 2]}/film{number}"
        (root / "frames" / name).parent.mkdir(parents=True, exist_ok=True)
        write_film(root / "frames" / f"{name}.avi", "mpeg4", count=20 + number)
        rows.append(f"{name},{'ab'[number % 2]},{'test' if number > 3 else 'train'},film{number}\n")
    (root / "labels").mkdir()
    (root / "labels" / "videos.csv").write_text("path,label,split,group\n" + "".join(rows))
    return root


@pytest.fixture(scope="module")
def videos(hmdb51):
    """Videos to train on."""
    return open_videos(hmdb51 / "labels", hmdb51 / "frames")


def by_options(root: Path, subset: str, *words: str):
    return build_loader(parse_opts([*words_for(root, root / "results"), *words]), subset)


def assert_same(loader, expected) -> None:
    """Two epochs of batches are the same to the bit, but for the time that they took."""
    for epoch in range(2):
        loader.set_epoch(epoch)
        expected.set_epoch(epoch)
        for batch, other in zip(loader, expected, strict=True):
            assert batch.keys() == other.keys()
            for name in batch.keys() - {"seconds"}:
                same = torch.equal if isinstance(batch[name], torch.Tensor) else list.__eq__
                assert same(batch[name], other[name]), name
    assert len(expected) > 0


@pytest.mark.parametrize("subset", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("words", "opened", "cut"),
    [
        ("--modality RGB", {}, {}),
        (
            f"--modality RGB_Flow --val_fraction 0.4 --split 2 --manual_seed 7 {AUGMENTED} {TESTED}",
            {"streams": ["rgb", "flow"], "val_fraction": 0.4, "split": 2},
            {**AUGMENTS, **TEST, "seed": 7},
        ),
        (
            "--only_RGB --val_fraction 0 --clip_stride 2 --sampling compat --val_sampling random --tail drop",
            {"only_rgb": True, "val_fraction": 0},
            {"stride": 2, "sampling": "compat", "val_sampling": "random", "tail": "drop"},
        ),
    ],
    ids=["default", "both_streams", "compat"],
)
def test_frame_folders_give_the_batches_of_the_options(hmdb51, subset, words, opened, cut):
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", subset=subset, **opened)
    loader = make_loader(
        videos, ClipOptions(**SMALL, **cut), batch_size=5 if subset == "test" else 4, n_workers=0, pin_memory=False
    )
    assert_same(loader, by_options(hmdb51, subset, *words.split()))


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_video_files_give_the_batches_of_the_options(films, subset):
    words = "--dataset List --video_fps 10 --train_sampling segments --val_sampling segment_centers --augment grayscale"
    videos = open_videos(films / "labels", films / "frames", subset=subset, dataset="List", video_fps=10)
    cut = {"train_sampling": "segments", "val_sampling": "segment_centers", "augment": ["grayscale"]}
    batch_size = 5 if subset == "test" else 4
    loader = make_loader(videos, ClipOptions(**SMALL, **cut), batch_size=batch_size, n_workers=2, loader="threads")
    assert_same(loader, by_options(films, subset, *words.split()))


def test_held_out_videos_are_scored_as_a_test(hmdb51):
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", subset="val", val_fraction=0.4, scored=True)
    loader = make_loader(videos, ClipOptions(**SMALL), mode="test", batch_size=5, n_workers=0)
    assert_same(loader, by_options(hmdb51, "test", "--test_subset", "val", "--val_fraction", "0.4"))


def test_names_of_augmentations_have_the_usual_strengths(hmdb51, videos):
    names = ["color_jitter", "grayscale", "randaugment", "erasing"]
    objects = [ColourJitter(), Grayscale(), RandAugment(), RandomErasing()]
    clips = [ClipOptions(**SMALL, augment=augment) for augment in (names, objects)]
    loaders = [make_loader(videos, cut, batch_size=4, n_workers=0) for cut in clips]
    assert_same(*loaders)
    assert_same(loaders[0], by_options(hmdb51, "train", "--augment", *names))


def test_streams_of_a_clip_are_some_of_those_that_every_video_has(hmdb51):
    both = open_videos(hmdb51 / "labels", hmdb51 / "frames", streams="rgb flow".split())
    assert both.streams == (RGB, FLOW)
    sample = make_dataset(both, ClipOptions(**SMALL, streams=["flow"]))[0]
    assert sample["flow"].shape == (2, 8, 32, 32)
    assert "rgb" not in sample


def test_videos_are_a_sequence_that_knows_its_list(own_hmdb51):
    gone = own_hmdb51 / "frames" / "cartwheel" / "film0_cartwheel_f_cm_np1_fr_med_0"
    gone.rename(gone.with_name("elsewhere"))
    videos = open_videos(own_hmdb51 / "labels", own_hmdb51 / "frames", val_fraction=0, missing="skip")
    assert (len(videos), videos.listed, videos.class_names) == (3, 4, ["brush_hair", "cartwheel"])
    assert list(videos[1:]) == list(videos)[1:]
    assert describe_videos(make_dataset(videos))["listed"] == 4
    by_hand = VideoDataset(list(videos), make_dataset(videos).reader, sample=lambda *_: [1], length=1, seed=0)
    assert describe_videos(by_hand)["listed"] == 3


@pytest.mark.parametrize("words", [[], "--train_sampling segments --short_side 40 --video_fps source".split()])
@pytest.mark.parametrize("stored", ["frames", "files"])
def test_a_recipe_is_that_of_the_options_and_gives_them_back(hmdb51, films, words, stored):
    root, dataset = (hmdb51, "HMDB51") if stored == "frames" else (films, "List")
    opt = parse_opts([*words_for(root, root / "results"), "--dataset", dataset, *words])
    expected = build_recipe(opt, build_loader(opt, "train"), CLIP)
    rate = None if "source" in words else 25.0
    clips = ClipOptions(**SMALL, train_sampling=opt.train_sampling, short_side=opt.short_side)
    videos = open_videos(root / "labels", root / "frames", dataset=dataset, video_fps=rate)
    recipe = make_recipe(videos, clips)
    assert recipe == expected
    assert stored == "frames" or recipe["provenance"] == {"fps": rate, "short_side": None}
    assert ClipOptions.from_recipe(recipe) == replace(clips, test_sampling=recipe["test"]["test_sampling"])
    assert ClipOptions.from_recipe(recipe, size=64).size == 64
    assert ClipOptions.from_recipe({}) == ClipOptions()


def test_a_recipe_has_every_option_by_which_a_test_cuts_clips():
    assert {*RECIPE, "video_fps"} == set(CLIP)


def test_the_defaults_are_those_of_the_options():
    opt = parse_opts([])
    clips = ClipOptions()
    names = {"length": "sample_duration", "size": "sample_size", "stride": "clip_stride", "seed": "manual_seed"}
    stated = {name: value for name, value in vars(clips).items() if name != "streams"}
    expected = {name: getattr(opt, names.get(name, name)) for name in stated}
    assert stated == expected | {"num_crops": int(opt.num_crops), "augment": ()}


@pytest.mark.parametrize(
    ("words", "opened", "cut", "kind"),
    [
        ("--annotation_path gone", {"annotation": "gone"}, {}, FileNotFoundError),
        ("--frame_dir gone", {"frame_dir": "gone"}, {}, FileNotFoundError),
        ("--dataset UCF101", {"dataset": "UCF101"}, {}, FileNotFoundError),
        ("--layout pack", {"layout": "pack"}, {}, FileNotFoundError),
        ("--val_fraction 1.5", {"val_fraction": 1.5}, {}, ValueError),
        ("--crop_scales 2", {}, {"crop_scales": [2.0]}, ValueError),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_in_the_words_of_the_options(hmdb51, words, opened, cut, kind):
    with pytest.raises(kind) as expected:
        by_options(hmdb51, "train", *words.split(" "))
    places = {"annotation": hmdb51 / "labels", "frame_dir": hmdb51 / "frames"}
    with pytest.raises(kind) as actual:
        make_dataset(open_videos(**{**places, **opened}), ClipOptions(**SMALL, **cut))
    assert str(actual.value) == str(expected.value)


@pytest.mark.parametrize(
    ("words", "cut"),
    [
        ("--sample_size 0", {"size": 0}),
        ("--sample_duration 0", {"length": 0}),
        ("--clip_stride 0", {"stride": 0}),
        ("--num_clips 0", {"num_clips": 0}),
        ("--clip_stride 2 --train_sampling segments", {"stride": 2, "train_sampling": "segments"}),
        ("--segment_length 5", {"segment_length": 5}),
    ],
)
def test_impossible_clips_are_refused_in_the_words_of_the_parser(videos, words, cut, capsys):
    with pytest.raises(SystemExit):
        parse_opts(words.split())
    with pytest.raises(ValueError, match=r".") as actual:
        make_dataset(videos, ClipOptions(**cut))
    assert capsys.readouterr().err == f"error: {actual.value} (see --help)\n"


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        ({"subset": "all"}, "subset all: is none of train, val, test"),
        ({"dataset": "HMDB"}, "--dataset HMDB: is none of HMDB51, UCF101, "),
        ({"split": 4}, "--split 4: is none of 1, 2, 3"),
        ({"streams": ["depth"]}, "stream depth: is none of rgb, flow"),
        ({"streams": []}, "stream : is none of rgb, flow"),
        ({"missing": "ignore"}, "--missing ignore: is none of error, skip"),
        ({"flow_source": "none"}, "--flow_source none: is none of files, online"),
        ({"layout": "tar"}, "--layout tar: is none of auto, sts, "),
        ({"decode": "slow"}, "--decode slow: is none of exact, fast"),
        ({"decoder": "gpu"}, "--decoder gpu: is none of auto, native, python"),
        ({"video_fps": -1}, r"--video_fps must be in (0, 1000) or source, got -1"),
        ({"val_fraction": 0.5, "subset": "val", "scored": True, "split": 3}, "--test_subset val: too few"),
    ],
)
def test_an_impossible_value_of_the_videos_is_named_with_the_possible_ones(own_hmdb51, opened, message):
    for file in (own_hmdb51 / "labels").glob("*split3.txt"):
        file.write_text(file.read_text().splitlines()[0])
    with pytest.raises(ValueError, match=re.escape(message)):
        open_videos(own_hmdb51 / "labels", own_hmdb51 / "frames", **opened)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ({"sampling": "new"}, "--sampling new: is none of corrected, compat"),
        ({"train_sampling": "all"}, "--train_sampling all: is none of random, "),
        ({"val_sampling": "all"}, "--val_sampling all: is none of random, "),
        ({"test_sampling": "center"}, "--test_sampling center: is none of all, "),
        ({"tail": "cut"}, "--tail cut: is none of overlap, drop"),
        ({"num_crops": 2}, "--num_crops 2: is none of 1, 3, 5, 10, two-stream"),
        ({"crop": "whole"}, "--crop whole: is none of corners, "),
        ({"flip": "half"}, "--flip half: is none of auto, always, never"),
        ({"augment": ["erasing", "blur"]}, "--augment blur: is none of color_jitter, "),
        ({"seed": -1}, "--manual_seed must be in [0, 2**31), got -1"),
    ],
)
def test_an_impossible_value_of_a_clip_is_named_with_the_possible_ones(cut, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ClipOptions(**cut)


def test_a_network_of_strided_clips_may_be_tested_on_segments(hmdb51):
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", subset="test")
    clips = ClipOptions(**SMALL, stride=2, test_sampling="segments", num_clips=1)
    assert_same(*(make_loader(videos, replace(clips, stride=stride), n_workers=0) for stride in (1, 2)))


def test_a_mode_or_stream_of_a_clip_that_there_is_not_is_named(videos):
    with pytest.raises(ValueError, match="mode all: is none of train, val, test"):
        make_loader(videos, mode="all")
    with pytest.raises(ValueError, match="view 'depth': expected one of rgb, flow"):
        make_loader(videos, ClipOptions(streams=["depth"]))
    with pytest.raises(ValueError, match=r"stream flow: is none of rgb$"):
        make_loader(videos, ClipOptions(streams=["flow"]))


@pytest.mark.parametrize("mode", ["val", "test"])
def test_crops_larger_than_the_frames_are_refused(mode, hmdb51):
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", subset="test")
    with pytest.raises(ValueError, match=r"--short_side 31 is less than --sample_size 32: crops would not fit"):
        make_dataset(videos, ClipOptions(**SMALL, short_side=31), mode=mode)


def test_flow_that_is_to_be_computed_needs_what_computes_it(hmdb51):
    videos = open_videos(hmdb51 / "labels", hmdb51 / "frames", streams=["rgb", "flow"], flow_source="online")
    with pytest.raises(ValueError, match="--flow_source online"):
        make_loader(videos)


@pytest.mark.parametrize(
    ("loading", "message"),
    [
        ({"batch_size": 0}, "--batch_size must be >= 1, --max_bad >= 0, got 0 and 0"),
        ({"max_bad": -1}, "--batch_size must be >= 1, --max_bad >= 0, got 20 and -1"),
        ({"n_workers": "all"}, "--n_workers all: is neither a number >= 0 nor auto"),
        ({"n_workers": -1}, "--n_workers -1: is neither a number >= 0 nor auto"),
        ({"loader": "fibres"}, "--loader fibres: there are auto, threads, processes"),
    ],
)
def test_an_impossible_value_of_loading_is_named(videos, loading, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_loader(videos, **loading)


def test_videos_that_a_network_would_misread_are_refused_as_by_the_options(own_hmdb51, caplog):
    (own_hmdb51 / "frames" / "flow.json").write_text('{"bound": 15.0}')
    opt = parse_opts([*words_for(own_hmdb51, own_hmdb51 / "results"), "--modality", "Flow"])
    videos = open_videos(own_hmdb51 / "labels", own_hmdb51 / "frames", streams=["flow"])
    clips, recipe = ClipOptions(**SMALL), {"sample_size": 64, "provenance": {"bound": 20.0}}

    def said(call) -> str:
        caplog.clear()
        with pytest.raises(ValueError, match=r".") as refused:
            call()
        return caplog.text + str(refused.value)

    names = videos.class_names
    for state in ({"recipe": recipe}, {"recipe": recipe, "class_names": ["jump"]}):
        by_keyword = said(lambda state=state: check_videos(videos, clips, state, "x.pth", stream=FLOW))
        by_option = said(lambda state=state: check_data(opt, state, "x.pth", FLOW, names))
        assert by_keyword.replace("but HMDB51 has", f"but {opt.annotation_path} has") == by_option
    check_videos(videos, clips, {"recipe": recipe}, "x.pth", stream=FLOW, allow_flow_mismatch=True)
    assert "x.pth: trained with --sample_size 64, used with 32" in caplog.text
    check_videos(videos, clips, {"recipe": recipe, "class_names": names}, "x.pth", stream=RGB)


def test_video_files_are_not_said_to_have_other_flow_than_a_network_saw_for_they_have_none(tmp_path):
    opt = parse_opts(["--modality", "RGB_Flow", "--layout", "video", "--frame_dir", str(tmp_path)])
    state = {"recipe": {"provenance": {"fps": 12.0, "algorithm": "tvl1", "bound": 20.0}}}
    check_data(opt, state, "x.pth", FLOW, None)  # listing the videos names what they lack
    with pytest.raises(ValueError, match="saw other flow"):
        check_data(Namespace(**vars(opt) | {"flow_source": "online"}), state, "x.pth", FLOW, None)


def test_subsets_share_an_annotation_and_its_warnings_come_once(hmdb51, caplog):
    annotation = Annotation(hmdb51 / "labels", val_fraction=0)
    for subset in ("train", "val", "test"):
        open_videos(annotation, hmdb51 / "frames", subset=subset)
    assert caplog.text.count("chosen on the test list") == 1


def test_repeated_lines_are_reported_once_for_a_list(own_hmdb51, caplog):
    file = own_hmdb51 / "labels" / "cartwheel_test_split1.txt"
    file.write_text(file.read_text() * 2)
    annotation = Annotation(own_hmdb51 / "labels")
    for subset in ("train", "val", "train"):
        annotation.list_subset(subset)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_the_page_on_data_has_three_lines_for_who_has_hmdb51(own_hmdb51, monkeypatch):
    own_hmdb51.with_name("dataset").mkdir()
    (own_hmdb51 / "frames").rename(own_hmdb51.with_name("dataset") / "HMDB51")
    (own_hmdb51 / "labels").rename(own_hmdb51.with_name("dataset") / "HMDB51_labels")
    monkeypatch.chdir(own_hmdb51.parent)
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "data.md").read_text("utf-8"), re.M | re.S)
    names: dict = {}
    exec(code, names)
    assert next(iter(names["train"]))["rgb"].shape[1:] == (3, 16, 112, 112)
    assert not names["test"].train


def test_what_a_test_scores_is_complete_unless_asked(own_hmdb51):
    places, words = (own_hmdb51 / "labels", own_hmdb51 / "frames"), ["--test_subset", "val", "--val_fraction", "0.4"]
    held_out = open_videos(*places, subset="val", val_fraction=0.4)
    (own_hmdb51 / "frames" / "quarantine.tsv").write_text(f"{held_out[0].name}\tblurred\n")
    assert len(open_videos(*places, subset="val", val_fraction=0.4)) == len(held_out) - 1
    with pytest.raises(ValueError, match=r"in quarantine \(blurred\), as are 1 of 2 videos"):
        open_videos(*places, subset="val", val_fraction=0.4, scored=True)
    with pytest.raises(ValueError, match=r"in quarantine \(blurred\), as are 1 of 2 videos"):
        by_options(own_hmdb51, "test", *words)
    assert len(by_options(own_hmdb51, "test", *words, "--missing", "skip").dataset.videos) == 1
    for file in (own_hmdb51 / "labels").glob("*split1.txt"):
        file.write_text(file.read_text().splitlines()[0])
    with pytest.raises(ValueError, match="--test_subset val: too few training videos to hold any out"):
        by_options(own_hmdb51, "test", *words)
