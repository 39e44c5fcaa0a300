"""Data sets on invented trees like the real ones, and what is said when something is missing."""

import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from corpora import TREES, make_kinetics
from helpers import words_for, write_hmdb51
from PIL import Image
from source_files import ROOT

from datasets import DATASETS, build_annotation, build_dataset, build_loader
from datasets.annotation import hold_out
from datasets.lists.entries import Entry
from opts import parse_opts


def options(root: Path, dataset: str = "HMDB51", *words: str):
    return parse_opts([*words_for(root, root / "results"), "--dataset", dataset, *words])


def folder_of(root: Path) -> Path:
    """A video of the training list, of 20 frames."""
    return root / "frames" / "cartwheel" / "film0_cartwheel_f_cm_np1_fr_med_0"


@pytest.mark.parametrize("dataset", TREES)
def test_every_data_set_reads_its_tree(dataset, tmp_path):
    make, names, train, test = TREES[dataset]
    opt = options(make(tmp_path), dataset, "--modality", "RGB_Flow", "--val_fraction", "0")
    assert [build_annotation(opt).class_names(subset) for subset in ("train", "test")] == [names, names]
    videos = build_dataset(opt, "train")
    assert len(videos) == train
    assert [video.label for video in videos.videos] == sorted(video.label for video in videos.videos)
    sample = videos[0]
    assert sample["rgb"].shape == (3, 8, 32, 32)
    assert sample["flow"].shape == (2, 8, 32, 32)
    assert sample["rgb"].dtype == sample["flow"].dtype == torch.uint8
    assert names[sample["label"]] in sample["video"]
    assert len(build_dataset(opt, "test").videos) == test
    assert len(build_dataset(opt, "val")) == test


def test_hmdb51_items_come_in_the_order_of_file_names_and_labels_in_that_of_classes(tmp_path):
    write_hmdb51(tmp_path, classes=("kick", "kick_ball"), train=1, test=1)
    listing = DATASETS["HMDB51"](tmp_path / "labels", 1, "train")
    assert listing.class_names == ["kick", "kick_ball"]
    assert [entry.label for entry in listing.entries] == [1, 0]  # "kick_ball_test..." sorts before "kick_test..."


def test_hmdb51_lines_may_lack_the_trailing_space_and_other_files_are_no_classes(own_hmdb51):
    file = own_hmdb51 / "labels" / "cartwheel_test_split1.txt"
    file.write_text("".join(f"{line.strip()}\n" for line in file.read_text().splitlines()))
    (own_hmdb51 / "labels" / "README.txt").write_text("not a class")
    listing = DATASETS["HMDB51"](own_hmdb51 / "labels", 1, "train")
    assert listing.class_names == ["brush_hair", "cartwheel"]
    assert len(listing.entries) == 4


def test_a_missing_frame_is_named_wherever_it_is(own_hmdb51):
    folder = folder_of(own_hmdb51)
    for name in ("00001.jpg", "00007.jpg", "00020.jpg", "TVL1jpg_x_00007.jpg", "TVL1jpg_y_00019.jpg"):
        bytes_of = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ValueError, match=rf"{name}: missing.*extract_frames_flows.py.*--missing skip"):
            build_dataset(options(own_hmdb51, "HMDB51", "--modality", "RGB_Flow", "--val_fraction", "0"), "train")
        (folder / name).write_bytes(bytes_of)
    build_dataset(options(own_hmdb51, "HMDB51", "--modality", "RGB_Flow"), "train")


def test_a_damaged_image_is_named_when_it_is_read(own_hmdb51):
    (folder_of(own_hmdb51) / "00010.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    dataset = build_dataset(options(own_hmdb51, "HMDB51", "--val_fraction", "0"), "train")
    with pytest.raises(ValueError, match=r"00010.jpg: damaged image"):
        [dataset[epoch, index] for epoch in range(9) for index in range(len(dataset))]


def test_videos_that_cannot_be_used_stop_or_are_skipped_aloud(own_hmdb51, caplog):
    folder = folder_of(own_hmdb51)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match=rf"{folder.name}: no such folder.*1 of 4 videos"):
        build_dataset(options(own_hmdb51, "HMDB51", "--val_fraction", "0"), "train")
    caplog.set_level(logging.INFO)
    dataset = build_dataset(options(own_hmdb51, "HMDB51", "--val_fraction", "0", "--missing", "skip"), "train")
    assert len(dataset) == 3
    assert "3 of 4 listed videos used" in caplog.text
    assert folder.name in caplog.text


def test_nothing_left_is_an_error_even_when_skipping(own_hmdb51):
    for folder in (own_hmdb51 / "frames").glob("*/*"):
        folder.rename(own_hmdb51 / folder.name)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        build_dataset(options(own_hmdb51, "HMDB51", "--missing", "skip"), "train")


def test_flow_is_needed_only_where_it_counts(own_hmdb51):
    (folder_of(own_hmdb51) / "TVL1jpg_x_00003.jpg").unlink()
    only_rgb = options(own_hmdb51, "HMDB51", "--only_RGB", "--val_fraction", "0")
    assert len(build_dataset(only_rgb, "train")) == 4
    for image in (own_hmdb51 / "frames").rglob("TVL1*"):
        image.unlink()
    for done in (own_hmdb51 / "frames").rglob("done"):
        done.write_text("")
    assert build_dataset(only_rgb, "train").videos[0].num_frames == 20
    for words in (["--modality", "Flow"], ["--modality", "RGB"], ["--modality", "RGB_Flow"]):
        with pytest.raises(FileNotFoundError, match=r"no flow images.*--only_RGB"):
            build_dataset(options(own_hmdb51, "HMDB51", *words), "train")


def test_flow_may_be_kept_without_frames(own_hmdb51):
    for image in (own_hmdb51 / "frames").rglob("0*.jpg"):
        image.unlink()
    dataset = build_dataset(options(own_hmdb51, "HMDB51", "--modality", "Flow", "--val_fraction", "0"), "train")
    assert dataset[0]["flow"].shape == (2, 8, 32, 32)
    with pytest.raises(FileNotFoundError, match=r"no rgb images"):
        build_dataset(options(own_hmdb51, "HMDB51", "--modality", "RGB_Flow"), "train")


def test_a_test_needs_no_training_list(tmp_path):
    root = make_kinetics(tmp_path)
    (root / "labels" / "Kinetics_train_labels.txt").unlink()
    opt = options(root, "Kinetics")
    assert build_annotation(opt).class_names("test") == ["abseiling", "air drumming"]
    assert len(build_dataset(opt, "test").videos) == 4
    with pytest.raises(FileNotFoundError, match=r"Kinetics_train_labels.txt: no such file"):
        build_dataset(opt, "train")


def test_training_needs_no_test_list_unless_it_steers_by_it(tmp_path):
    root = make_kinetics(tmp_path)
    (root / "labels" / "Kinetics_val_labels.txt").unlink()
    opt = options(root, "Kinetics", "--val_fraction", "0.5")
    assert build_annotation(opt).class_names("train") == ["abseiling", "air drumming"]
    assert len(build_dataset(opt, "train")) == len(build_dataset(opt, "val")) == 2
    with pytest.raises(FileNotFoundError, match=r"Kinetics_val_labels.txt: no such file"):
        build_dataset(options(root, "Kinetics", "--val_fraction", "0"), "val")


def test_streams_have_the_same_clips_with_and_without_the_other(hmdb51):
    both, alone = (build_dataset(options(hmdb51, "HMDB51", "--modality", m), "train") for m in ("RGB_Flow", "RGB"))
    assert [v.num_frames for v in both.videos] == [v.num_frames for v in alone.videos]
    assert torch.equal(both[3, 1]["rgb"], alone[3, 1]["rgb"])


def test_colours_are_in_rgb_order_and_flow_in_x_y_order(tmp_path):
    root = write_hmdb51(tmp_path, classes=("catch",), train=1, test=1)
    for image in (root / "frames").rglob("*.jpg"):
        if image.name.startswith("0"):
            cv2.imwrite(str(image), np.full((40, 48, 3), (0, 0, 255), np.uint8))  # red, in OpenCV's order
        else:
            cv2.imwrite(str(image), np.full((40, 48), 50 if "_x_" in image.name else 200, np.uint8))
    sample = build_dataset(options(root, "HMDB51", "--modality", "RGB_Flow"), "val")[0]
    assert sample["rgb"][:, 0, 5, 5].tolist() == pytest.approx([254, 0, 0], abs=2)
    assert sample["flow"][:, 0, 5, 5].tolist() == pytest.approx([50, 200], abs=2)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_frames_are_read_as_colours(own_hmdb51, mode):
    for image in folder_of(own_hmdb51).glob("0*.jpg"):
        Image.new(mode, (48, 40), 128 if mode == "L" else (0, 255, 255, 0)).save(image, "JPEG")
    dataset = build_dataset(options(own_hmdb51, "HMDB51", "--val_fraction", "0"), "train")
    index = [video.folder for video in dataset.videos].index(folder_of(own_hmdb51))
    colour = dataset[index]["rgb"][:, 0, 5, 5].tolist()
    assert colour == pytest.approx([128] * 3 if mode == "L" else [255, 0, 0], abs=4)


def test_test_clips_cover_every_frame_and_come_in_order(hmdb51):
    opt = options(hmdb51, "HMDB51", "--modality", "Flow")
    dataset = build_dataset(opt, "test")
    assert dataset.clip_counts == [2 if v.num_frames <= 16 else 3 for v in dataset.videos]
    assert len(dataset) == sum(dataset.clip_counts)
    order = [crop["index"] for i in range(len(dataset)) for crop in dataset[i]]
    assert order == sorted(order)
    assert len(order) == len(dataset)
    published = build_dataset(options(hmdb51, "HMDB51", "--modality", "Flow", "--tail", "drop"), "test")
    assert published.clip_counts == [v.num_frames // 8 for v in published.videos]


def test_loader_processes_start_after_opencv_and_torch_used_their_threads(hmdb51):
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.float32), (31, 31), 0)  # forked now, setting its threads hangs
    torch.randn(500, 500) @ torch.randn(500, 500)
    for _ in range(3):
        assert len(list(build_loader(options(hmdb51, "HMDB51", "--n_workers", "2"), "train"))) == 1


def test_an_epoch_has_every_video_once_and_validation_its_order(hmdb51):
    opt = options(hmdb51, "HMDB51", "--batch_size", "1")
    for subset in ("train", "val"):
        dataset = build_dataset(opt, subset)
        names = [name for batch in build_loader(opt, subset) for name in batch["video"]]
        assert sorted(names) == sorted(video.name for video in dataset.videos)
        assert (names == [video.name for video in dataset.videos]) == (subset == "val")


def test_validation_clips_are_fixed_and_central_unless_asked(hmdb51):
    dataset = build_dataset(options(hmdb51), "val")
    assert torch.equal(dataset[1, 0]["rgb"], dataset[2, 0]["rgb"])
    random = build_dataset(options(hmdb51, "HMDB51", "--val_sampling", "random"), "val")
    assert any(not torch.equal(random[e, 0]["rgb"], dataset[0]["rgb"]) for e in range(9))


def entries(groups: dict[str, int], label: int = 0) -> list[Entry]:
    return [Entry(f"{group}/{i}", label, group) for group, size in groups.items() for i in range(size)]


def test_hold_out_keeps_groups_together_and_takes_about_its_part_of_every_class():
    listed = [*entries({f"a{i}": 4 for i in range(10)}), *entries({f"b{i}": 1 for i in range(30)}, label=1)]
    train, val = hold_out(listed, 0.2)
    assert sorted([*train, *val]) == sorted(listed)
    assert not {e.group for e in train} & {e.group for e in val}
    assert [sum(e.label == label for e in val) for label in (0, 1)] == [8, 6]
    assert hold_out(listed[::-1], 0.2)[1] == val[::-1]  # by name, not by order


def test_hold_out_never_empties_a_class():
    train, val = hold_out([*entries({"only": 5}), *entries({"x": 1, "y": 1}, label=1)], 0.5)
    assert {e.label for e in train} == {0, 1}
    assert {e.label for e in val} == {1}


@pytest.mark.parametrize("fraction", ["-0.1", "1", "1.5"])
def test_an_impossible_fraction_names_the_option(hmdb51, fraction):
    with pytest.raises(ValueError, match="--val_fraction"):
        build_dataset(options(hmdb51, "HMDB51", "--val_fraction", fraction), "val")


def test_steering_by_the_test_list_is_called_what_it_is(hmdb51, caplog):
    opt = options(hmdb51, "HMDB51", "--val_fraction", "0")
    names = [video.name for video in build_dataset(opt, "val").videos]
    assert "on the test list" in caplog.text
    assert names == [video.name for video in build_dataset(opt, "test").videos]


def test_sources_of_real_names_are_told_apart():
    from datasets.corpora.hmdb51 import source_of

    assert source_of("April_09_brush_hair_u_nm_np1_ba_goo_0", "brush_hair") == "April_09"
    assert source_of("Cart_wheel_and_flip_(kid)_cartwheel_f_cm_np1_ri_med_3", "cartwheel").startswith("Cart_wheel")


def test_datasets_is_ours_when_run_from_the_root():
    code = "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('datasets').origin).parent)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(out.stdout.strip()) == ROOT / "datasets"


CORPUS_FLOATS = {
    "UCF101": {
        "classInd.txt": "1.0 Walk\n2.0 Run\n",
        "trainlist01.txt": "Run/v_Run_g01_c01.avi 2.0\n",
        "testlist01.txt": "Walk/v_Walk_g01_c01.avi\n",
    },
    "HMDB51": {"Run_test_split1.txt": "a.avi 1.0\n", "Walk_test_split1.txt": "b.avi 2.0\nc.avi 0.0\n"},
    "Kinetics": {
        "Kinetics_train_labels.txt": "train/walk/x 0.0 10.0\ntrain/run/y 1.0 10.0\n",
        "Kinetics_val_labels.txt": "val/run/z 1.00 9.0\n",
    },
    "Moments": {
        "moments_categories.txt": "walk,0.0\nrun,1.0\n",
        "trainingSet.csv": "run/a.mp4,run,3.0,0.0\n",
        "validationSet.csv": "walk/b.mp4,walk,3.0,0.0\n",
    },
    "Something_v2": {
        "labels.json": '{"Walk": 0.0, "Run": "1.0"}',
        "train.json": '[{"id": 78.0, "template": "Run"}]',
        "validation.json": '[{"id": "9", "template": "Walk"}]',
    },
    "Jester": {
        "Train.csv": "video_id,label,label_id\n1,Run,1.0\n",
        "Validation.csv": "video_id,label,label_id\n2,Walk,0.0\n",
    },
    "Diving48": {
        "Diving48_vocab.json": '[["Walk"], ["Run"]]',
        "Diving48_V2_train.json": '[{"vid_name": "a", "label": 1.0}]',
        "Diving48_V2_test.json": '[{"vid_name": "b", "label": 0.0}]',
    },
    "JSON": {
        "a.json": '{"labels": [0.0, 1], "database": {"x": {"subset": "training", "annotations": {"label": 1.0}},'
        '"y": {"subset": "validation", "annotations": {"label": "0"}}}}'
    },
    "List": {"classes.csv": "0.0,walk\n1.0,run\n", "train.csv": "x,1.0\n", "test.csv": "y,0.0\n"},
}


PATHS = {"Something_v2": "78"}  # where a float could end in a path


@pytest.mark.parametrize("dataset", CORPUS_FLOATS)
def test_every_corpus_reads_whole_numbers_written_as_floats(dataset, tmp_path):
    for name, text in CORPUS_FLOATS[dataset].items():
        (tmp_path / name).write_text(text)
    train, test = (DATASETS[dataset](tmp_path, 1, subset) for subset in ("train", "test"))
    expected = {"HMDB51": (0, 1), "Kinetics": (1, 1)}.get(dataset, (1, 0))
    assert (train.entries[-1].label, test.entries[0].label) == expected
    assert (len(train.class_names), train.entries[-1].path) == (2, PATHS.get(dataset, train.entries[-1].path))
