"""utils1/verify.py: the numbers of a checkpoint come out again, and when they do not, the reason is named."""

import json
import logging
import re
import runpy
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import CLASSES, TINY, words_for, write_hmdb51
from PIL import Image
from runs import one

import STS_train
import train
from datasets import build_annotation
from engine import checkpoint
from engine.checkpoint import tensor_file
from opts import parse_opts
from utils1 import verify
from workflows.verifying.causes import about_metric, about_tail
from workflows.verifying.image_facts import jpeg_quality
from workflows.verifying.measure import Comparison, Measurement

OTHER_LIST = "another list, split or other labels"
MADE = {"fps": 25.0, "short_side": 40, "quality": 95, "decoder": "opencv 5"}


def change_splits(labels: Path) -> None:
    """Give split 2 other test videos: the first two of five, not the last two; there is no split 3."""
    for name in CLASSES:
        lines = (labels / f"{name}_test_split1.txt").read_text().splitlines()
        turned = [f"{line.split()[0]} {2 if i < 2 else 1} \n" for i, line in enumerate(lines)]
        (labels / f"{name}_test_split2.txt").write_text("".join(turned))
        (labels / f"{name}_test_split3.txt").unlink()


def coloured(image: np.ndarray) -> np.ndarray:
    """Blue rather than red: in pure noise JPEG leaves hardly any colour."""
    return (image * np.array([1.0, 0.5, 0.1])).astype(np.uint8)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = write_hmdb51(tmp_path_factory.mktemp("verify") / "data")
    change_splits(root / "labels")
    change_images(root, "0*.jpg", coloured)
    (root / "frames" / "frames.json").write_text(json.dumps(MADE))
    return root


@pytest.fixture(scope="module")
def trained(tree) -> dict[str, Path]:
    """Checkpoints of an RGB and a flow stream, and of a student."""
    folder = tree.parent / "run"
    words = [*words_for(tree, folder), "--learning_rate", "0.01", "--n_epochs", "2"]
    for modality in ("RGB", "Flow"):
        train.main(parse_opts([*words, "--modality", modality]))
    flow = str(one(folder, "*Flow_train*best.pth"))
    distil = ["--modality", "RGB_Flow", "--distill", "mse", "--ce_weight", "0.3", "--resume_path1", flow]
    STS_train.main(parse_opts([*words, *distil]))
    return {"rgb": one(folder, "*RGB_train*best.pth"), "flow": Path(flow), "sfs": one(folder, "SFS*best.pth")}


def verified(file: Path, root: Path, *words: str) -> dict:
    """The report, and the words that were printed are checked to be one verdict first."""
    quick = ["--annotation_path", str(root / "labels"), "--n_workers", "0", "--device", "cpu"]
    return verify.main(verify.parse_args([str(file), str(root / "frames"), *quick, *words]))


def verdicts(report: dict, part: str = "val") -> dict[str, str]:
    return {cause["name"]: cause["verdict"] for cause in report["causes"][part]}


def evidence(report: dict, name: str, part: str = "val") -> str:
    (found,) = (cause["evidence"] for cause in report["causes"][part] if cause["name"] == name)
    return found


@pytest.fixture
def copied(tree, tmp_path) -> Path:
    """The data, to change."""
    shutil.copytree(tree, tmp_path / "copy")
    return tmp_path / "copy"


def change_images(root: Path, pattern: str, change: Callable, quality: int = 95) -> None:
    for file in (root / "frames").rglob(pattern):
        flags = cv2.IMREAD_COLOR if pattern.startswith("0") else cv2.IMREAD_GRAYSCALE
        cv2.imwrite(str(file), change(cv2.imread(str(file), flags)), [cv2.IMWRITE_JPEG_QUALITY, quality])


# Equal.


@pytest.mark.parametrize("stream", ["rgb", "flow", "sfs"])
def test_the_validation_of_a_run_comes_out_again(stream, trained, tree, capsys):
    report = verified(trained[stream], tree)
    (found,) = report["comparisons"]
    assert report["equal"]
    assert found["exact"]
    assert found["part"] == "val"
    said = capsys.readouterr().out
    assert re.match(r"equal: validation clips 0\.\d+ \(HMDB51 split 1\), the checkpoint says", said)
    assert said.endswith(": the recorded accuracy and loss came out again (3 videos)\n")
    assert report["causes"] == {}


@pytest.mark.parametrize("stream", ["rgb", "sfs"])
def test_a_network_that_reads_no_flow_needs_none_though_frames_with_flow_counted(
    stream, trained, tree, copied, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    file = shutil.copy(trained[stream], tmp_path / "a.pth")
    verified(file, tree, "--record")
    assert "no flow is stored" not in caplog.text
    for folder in (copied / "frames").glob("*/*"):
        for flow in folder.glob("TVL1jpg_*"):
            flow.unlink()
        (folder / "done").write_text(f"rgb {len([*folder.glob('0*.jpg')])}\n")
    report = verified(file, copied)
    assert [found["part"] for found in report["comparisons"]] == ["val", "test"]
    assert all(found["exact"] for found in report["comparisons"])
    assert "no flow is stored; as where it is, all frames count but the last one of a video" in caplog.text
    with pytest.raises(FileNotFoundError, match="no flow images"):
        verified(trained["flow"], copied)


def test_labels_that_are_not_named_are_those_of_the_training(trained, tree, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where dataset/HMDB51_labels is not
    words = [str(trained["rgb"]), str(tree / "frames"), "--part", "val", "--n_workers", "0", "--device", "cpu"]
    assert verify.main(verify.parse_args(words))["equal"]


def test_nothing_is_written_but_the_record(trained, tree, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    results = ["--result_path", "file", "--scores_path", "file/a.npz"]
    assert verified(trained["rgb"], tree, "--part", "test", "--expect", "0.3", "--tolerance", "1", *results)["equal"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_accuracy_that_comes_out_on_other_images_does_not_hide_them(trained, tree, tmp_path, capsys):
    file = shutil.copy(trained["rgb"], tmp_path / "a.pth")
    verified(file, tree, "--record")
    state = checkpoint.load(file)
    state["tested"]["data"]["image"] = [20, 24]
    checkpoint.save(file, state)
    report = verified(file, tree, "--part", "test")
    said = "size of the images: height and width of the first video's images: 40x48 here, 20x24 in the checkpoint"
    assert report["notes"] == [said]
    verdict, note = capsys.readouterr().out.splitlines()[-2:]
    assert verdict.endswith(": the recorded top-1 came out again (6 videos)")
    assert note == f"although {said}"


def test_an_expected_accuracy_is_compared_within_the_tolerance_and_that_is_said(trained, tree):
    words = ["--part", "test", "--expect"]
    report = verified(trained["rgb"], tree, *words, "0.3", "--tolerance", "1")
    assert report["verdict"].endswith("equal within the tolerance (6 videos)")
    top1 = report["comparisons"][0]["measured"]["top1"]
    exact = verified(trained["rgb"], tree, *words, str(top1), "--tolerance", "0")
    assert exact["verdict"].endswith("the expected top-1 came out (6 videos)")


def test_other_kernels_may_move_a_loss_a_little_and_a_clip_across_the_border():
    measured = Measurement({"acc": 0.52, "loss": 1.2345}, {"videos": 50}, 50, [])
    for expected, equal in (
        ({"acc": 0.52, "loss": 1.2345}, True),
        ({"acc": 0.54, "loss": 1.2350}, True),
        ({"acc": 0.56, "loss": 1.2350}, False),
        ({"acc": 0.52, "loss": 1.2445}, False),
        ({"acc": 0.54}, False),
        ({"acc": 0.521}, True),
        ({"acc": 0.523}, False),
    ):
        assert Comparison("val", "the checkpoint", expected, measured, 0.002).equal == equal
    assert not Comparison("val", "x", {"acc": 0.52, "loss": 1.2346}, measured, 0.002).exact


def test_what_differs_is_said_even_where_the_numbers_agree(trained, tree, tmp_path, capsys):
    state = checkpoint.load(trained["rgb"])
    state["recipe"]["provenance"] = MADE | {"fps": 10.0}
    state["metrics"]["loss"] *= 1.0001
    checkpoint.save(tmp_path / "a.pth", state)
    report = verified(tmp_path / "a.pth", tree)
    assert report["equal"]
    assert report["notes"] == ["frames per second: fps 25.0 here, 10.0 in the checkpoint"]
    assert "although frames per second: fps 25.0 here" in capsys.readouterr().out
    assert verified(trained["rgb"], tree)["notes"] == []


# Recorded.


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_recorded_test_is_what_the_file_is_held_to(suffix, trained, tree, tmp_path, capsys):
    file = tmp_path / f"a{suffix}"
    if suffix == ".pth":
        shutil.copy(trained["rgb"], file)
    else:
        tensor_file.write(file, checkpoint.load(trained["rgb"]), "a")
    before = checkpoint.load(file)
    report = verified(file, tree, "--record", "--tail", "drop", "--num_crops", "3")
    assert "recorded" in capsys.readouterr().out
    after = checkpoint.load(file)
    assert after["tested"] == report["recorded"]
    assert after.keys() - before.keys() == {"tested"}
    assert all(torch.equal(w, after["state_dict"][name]) for name, w in before["state_dict"].items())
    assert after["tested"]["data"]["videos"] == 6
    assert after["tested"]["clips"] == 3 * (2 + 1) * 3
    again = verified(file, tree)
    assert again["equal"]
    assert [found["part"] for found in again["comparisons"]] == ["val", "test"]
    assert all(found["exact"] for found in again["comparisons"])
    assert list(tmp_path.glob(".*")) == []


def test_nothing_is_recorded_while_numbers_differ(trained, copied, tmp_path):
    file = shutil.copy(trained["rgb"], tmp_path / "a.pth")
    change_images(copied, "0*.jpg", lambda image: 255 - image)
    report = verified(file, copied, "--record")
    assert not report["equal"]
    assert report["recorded"] is None
    assert "not recorded" in report["verdict"]
    assert "tested" not in checkpoint.load(file)


def test_bare_weights_get_a_record_and_stay_loadable(trained, tree, tmp_path):
    weights = {f"module.{name}": w for name, w in checkpoint.load(trained["rgb"])["state_dict"].items()}
    torch.save(weights, tmp_path / "a.pth")
    report = verified(tmp_path / "a.pth", tree, "--record", *TINY)
    assert report["recorded"]["options"]["width"] == 0.0625
    assert verified(tmp_path / "a.pth", tree)["comparisons"][0]["exact"]


# Different, and why.


def test_images_of_another_size_are_named_whether_or_not_anybody_says_so(trained, copied):
    change_images(copied, "0*.jpg", lambda image: cv2.resize(image, (24, 20)))
    record = copied / "frames" / "frames.json"
    for stated, said in ((None, "images: 20x24 here, 40x48 in"), (20, "short_side 20 here, 40 in the checkpoint")):
        record.write_text(json.dumps(MADE | {"short_side": stated} if stated else {}))
        report = verified(trained["rgb"], copied)
        assert not report["equal"]
        assert report["verdict"].startswith("DIFFERENT")
        assert "likely: size of the images" in report["verdict"]
        assert said in evidence(report, "size of the images")
        assert verdicts(report)["missing or quarantined videos"] == "no"
    assert verdicts(report)["frames per second"] == "no"


def test_another_rate_is_seen_by_the_number_of_frames(trained, copied):
    for folder in (copied / "frames").glob("*/*"):
        for file in sorted(folder.glob("0*.jpg"))[10:]:
            file.unlink()
        for file in [*sorted(folder.glob("*_x_*"))[9:], *sorted(folder.glob("*_y_*"))[9:]]:
            file.unlink()
        (folder / "done").write_text("rgb 10\nflow 9\n")
    report = verified(trained["rgb"], copied)
    assert verdicts(report)["frames per second"] == "likely"
    said = "frames of the same videos: 27 in all here, 57 in all in the checkpoint"
    assert said in evidence(report, "frames per second")


def test_frames_counted_without_their_flow_are_known_for_what_they_are(trained, copied):
    report = verified(trained["rgb"], copied, "--only_RGB")
    said = report["notes"] if report["equal"] else [evidence(report, "frames per second")]
    assert any("60 in all here, 57 in all in the checkpoint; one per video" in text for text in said)


def test_another_extractor_is_named(trained, copied):
    (copied / "frames" / "frames.json").write_text(json.dumps(MADE | {"decoder": "ffmpeg 4", "fps": 30.0}))
    change_images(copied, "0*.jpg", lambda image: image // 2)
    report = verified(trained["rgb"], copied)
    extractor = "other extractor, decoder or library"
    assert verdicts(report)[extractor] == "possible"
    assert "decoder ffmpeg 4 here, opencv 5 in the checkpoint" in evidence(report, extractor)
    assert "fps 30.0 here, 25.0 in the checkpoint" in evidence(report, "frames per second")


def test_missing_videos_and_those_in_quarantine_are_counted(trained, copied):
    cause, held_out = "missing or quarantined videos", held_out_videos(trained["rgb"], copied)[0]
    quarantine = copied / "frames" / "quarantine.tsv"
    quarantine.write_text(f"{held_out}\tdark\n")
    report = verified(trained["rgb"], copied)
    assert verdicts(report)[cause] == "likely"
    assert evidence(report, cause).endswith("; 1 of all videos here are in quarantine")
    quarantine.unlink()
    shutil.rmtree(copied / "frames" / held_out)
    with pytest.raises(FileNotFoundError, match="--missing skip"):
        verified(trained["rgb"], copied)
    report = verified(trained["rgb"], copied, "--missing", "skip")
    assert (verdicts(report)[cause], verdicts(report)[OTHER_LIST]) == ("likely", "no")
    assert evidence(report, cause) == "2 of 3 listed videos used here, 3 of 3 in the checkpoint"


def held_out_videos(file: Path, root: Path) -> list[str]:
    stored = checkpoint.load(file)["options"] | {"annotation_path": str(root / "labels")}
    return [entry.path for entry in build_annotation(Namespace(**stored)).list_subset("val").entries]


def test_another_split_is_recognised_by_its_list(trained, copied):
    report = verified(trained["rgb"], copied, "--split", "2")
    assert verdicts(report)[OTHER_LIST] == "likely"
    assert "the held-out part of split 1 here; used was split 2" in evidence(report, OTHER_LIST)
    assert "--split 2 here, 1 in the checkpoint" in evidence(report, "other clips: options that were given")
    for name in CLASSES:
        a, b = (copied / "labels" / f"{name}_test_split{split}.txt" for split in (1, 2))
        texts = a.read_text(), b.read_text()
        a.write_text(texts[1])
        b.write_text(texts[0])
    report = verified(trained["rgb"], copied)
    assert "the held-out part of split 2 here; used was split 1" in evidence(report, OTHER_LIST)


def test_a_test_on_another_split_than_the_trained_one_is_recognised(trained, tree):
    report = verified(trained["rgb"], tree, "--part", "test", "--split", "2", "--expect", "0.99")
    said = evidence(report, OTHER_LIST, "test")
    assert said == "it was trained on the training part of split 1; used was split 2"


def test_other_names_are_another_list(trained, copied):
    change_images(copied, "0*.jpg", lambda image: 255 - image)
    for path in held_out_videos(trained["rgb"], copied):
        old = Path(path).name
        new = old.replace("film", "movie")
        (copied / "frames" / path).rename(copied / "frames" / Path(path).parent / new)
        for file in (copied / "labels").iterdir():
            file.write_text(file.read_text().replace(old, new))
    report = verified(trained["rgb"], copied)
    assert verdicts(report)[OTHER_LIST] == "likely"
    assert evidence(report, OTHER_LIST).endswith("and no list here has that one")


@pytest.mark.parametrize(
    ("expected", "verdict", "said"),
    [
        (0.5, "likely", "0.5000 is the clip_top1 measured here"),
        (0.9, "likely", "0.9000 is the top5 measured here"),
        (0.58, "likely", "0.5800 is the mean_class measured here"),
        (0.71, "likely", "0.7100 is the validation acc measured here"),
        (0.55, "possible", "0.5500 lies between clips 0.5000 and videos 0.6000"),
        (0.3, "no", "none of top5 0.9000"),
    ],
)
def test_an_expected_number_may_be_another_metric(expected, verdict, said):
    system = Namespace(state={"metrics": {"acc": 0.71, "loss": 1.0}})
    measured = Measurement({"top1": 0.6, "top5": 0.9, "mean_class": 0.58, "clip_top1": 0.5}, {"videos": 9}, 9, [])
    found = about_metric(system, Comparison("test", "--expect", {"top1": expected}, measured, 0.002))
    assert found.verdict == verdict
    assert found.evidence.startswith(said)


def test_the_last_frames_are_a_cause_only_where_there_are_some():
    opt = Namespace(test_sampling="all", tail="overlap", sampling="corrected", sample_duration=8, clip_stride=1)
    for frames, verdict in (([16, 24, 8], "no"), ([16, 17, 5], "possible")):
        videos = [Namespace(num_frames=n) for n in frames]
        found = Comparison("test", "--expect", {"top1": 1.0}, Measurement({}, {}, 3, videos), 0.0)
        assert about_tail(Namespace(test_opt=opt), found).verdict == verdict


def test_other_flow_is_named_and_not_refused(trained, copied):
    state = checkpoint.load(trained["flow"])
    state["recipe"]["provenance"] = MADE | {"algorithm": "tvl1", "bound": 15.0}
    state["metrics"]["loss"] *= 1.5
    file = copied / "flow.pth"
    checkpoint.save(file, state)
    (copied / "frames" / "flow.json").write_text('{"algorithm": "tvl1", "bound": 20.0}')
    report = verified(file, copied)
    assert verdicts(report)["flow algorithm, bound or quantisation"] == "likely"
    assert "bound 20.0 here, 15.0 in the checkpoint" in evidence(report, "flow algorithm, bound or quantisation")


def test_a_difference_that_rounding_may_make_is_told_from_others(trained, tree, tmp_path):
    name = "number format or kernels (--amp, --decoder, another machine)"
    for factor, verdict in ((1.005, "possible"), (1.5, "no")):
        state = checkpoint.load(trained["rgb"])
        state["metrics"]["loss"] *= factor
        checkpoint.save(tmp_path / "a.pth", state)
        assert verdicts(verified(tmp_path / "a.pth", tree))[name] == verdict


@pytest.mark.parametrize("quality", [1, 10, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_file_is_read_from_its_tables(quality, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "00001.jpg", quality=quality)
    assert jpeg_quality(tmp_path) == quality
    assert jpeg_quality(tmp_path / "nothing") is None


def test_another_quality_is_seen_in_the_files(trained, copied):
    change_images(copied, "0*.jpg", lambda image: image, quality=20)
    (copied / "frames" / "frames.json").write_text("{}")
    report = verified(trained["rgb"], copied)
    assert verdicts(report)["JPEG quality"] == "likely"
    assert evidence(report, "JPEG quality") == "the first image here has quality 20, 95 in the checkpoint"


# Old, published, damaged.


def test_a_checkpoint_that_states_no_videos_leaves_some_causes_unknown(trained, copied, tmp_path):
    state, file = checkpoint.load(trained["rgb"]), tmp_path / "a.pth"
    for name in ("data", "macs", "parameters", "defaults"):
        del state[name]
    state["recipe"]["provenance"] = {}
    checkpoint.save(file, state)
    assert verified(file, copied)["equal"]
    change_images(copied, "0*.jpg", lambda image: 255 - image)
    found = verdicts(verified(file, copied))
    unknown = {"size of the images", "frames per second", OTHER_LIST, "JPEG quality"}
    assert {name for name, verdict in found.items() if verdict == "not known"} >= unknown


def test_a_published_checkpoint_is_held_to_what_one_expects(trained, tree, tmp_path):
    state = checkpoint.load(trained["rgb"])
    weights = {f"module.{name}": w for name, w in state["state_dict"].items()}
    torch.save({"epoch": 9, "arch": "resnet-10", "state_dict": weights, "optimizer": {}}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth: states no number to compare with: .*--expect.*--record"):
        verified(tmp_path / "a.pth", tree, *TINY)
    report = verified(tmp_path / "a.pth", tree, *TINY, "--expect", "0.9876")
    found = verdicts(report, "test")
    assert not report["equal"]
    assert found["normalisation"] == found["other clips: options that were given"] == "not known"


def test_a_damaged_checkpoint_is_one_line(trained, tree, tmp_path):
    data = bytearray(trained["rgb"].read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.pth: damaged, or not a checkpoint"):
        verified(tmp_path / "a.pth", tree)
    state = checkpoint.load(trained["rgb"])
    for name in ("options", "recipe", "metrics", "data", "tested"):
        checkpoint.save(tmp_path / "a.pth", state | {name: [1]})
        with pytest.raises(ValueError, match=rf"a\.pth: its {name} is a list"):
            verified(tmp_path / "a.pth", tree)


def test_other_classes_are_refused(trained, tmp_path):
    other = write_hmdb51(tmp_path / "other", classes=("a", "b", "c"), train=2, test=1)
    with pytest.raises(ValueError, match="trained on 3 classes"):
        verified(trained["rgb"], other)


def test_an_expectation_in_percent_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        verify.parse_args(["a.pth", "frames", "--expect", "66.7"])
    assert end.value.code == 2
    assert "66.7 is not in [0, 1]; 66.7 % is 0.667" in capsys.readouterr().err


def test_the_exit_code_says_what_came_out(trained, tree, tmp_path, capsys, monkeypatch):
    words = ["--annotation_path", str(tree / "labels"), "--n_workers", "0", "--device", "cpu", "--part"]
    for file, more, code in (
        (trained["rgb"], ["val", "--json"], 0),
        (trained["rgb"], ["test", "--expect", "0.9876"], 1),
        (tmp_path / "none.pth", ["val"], 2),
        (trained["rgb"], ["val", "--splitt", "2"], 2),
    ):
        monkeypatch.setattr(sys, "argv", ["verify.py", str(file), str(tree / "frames"), *words, *more])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(verify.__file__, run_name="__main__")
        ended = end.value.code
        out, err = capsys.readouterr()
        assert ended == code, err
        assert (code == 2) == ("error: " in err)
        if "--json" in more:
            assert json.loads(out)["equal"]
        elif code == 1:
            assert out.startswith("DIFFERENT: test videos")
