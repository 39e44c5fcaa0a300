"""RGB differences beside RGB and flow, and networks of other sizes: in every command, each as it is alone."""

import json
import logging
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from answering import run as predict
from distilling import trained
from helpers import TINY, words_for

import export
import test_single_stream
import test_two_stream
import train
from datasets import FLOW, RGB, RGB_DIFF, build_dataset
from datasets.synthetic import render, write_avi
from engine import checkpoint
from models import load_stream
from models.normalisation import normalisation_of
from opts import FUSED, SINGLE, TRAIN, parse_opts
from utils1 import audit, grad_cam, layer_similarity, pack, verify
from workflows.exporting.formats import FORMATS
from workflows.predicting.predict import build_predictor
from workflows.predicting.video_streams import read_frames
from workflows.testing.inputs import stream_of
from workflows.understanding.grad_cam import pictures_of

SMALL = 24  # side of the input of one of the networks
TRAINED = {
    "rgb": "--modality RGB",
    "flow": "--modality Flow",
    "diff": "--modality RGBDiff",
    "small": f"--modality RGB --sample_size {SMALL}",
}


@pytest.fixture(scope="module")
def runs(hmdb51, tmp_path_factory) -> dict[str, Path]:
    """Best checkpoints of all networks."""
    return trained(hmdb51, tmp_path_factory.mktemp("runs"), TRAINED)


def logits_in(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(zip(file["streams"].tolist(), file["logits"], strict=True))


def words_of(hmdb51: Path, folder: Path, script: str, *more: object) -> list[str]:
    return [*words_for(hmdb51, folder, (), script), "--log", "0", *map(str, more)]


def scores_alone(hmdb51: Path, folder: Path, path: Path, *words: str) -> np.ndarray:
    options = ["--resume_path1", path, "--scores_path", folder / "alone.npz", *words]
    test_single_stream.main(parse_opts(words_of(hmdb51, folder, SINGLE, *options), SINGLE))
    (logits,) = logits_in(folder / "alone.npz").values()
    return logits


@pytest.mark.parametrize("words", [[], ["--num_crops", "3", "--short_side", "48"], ["--test_sampling", "segments"]])
def test_streams_of_one_pass_are_scored_as_alone_to_the_last_bit(runs, hmdb51, tmp_path, words, caplog):
    streams = [word for name, path in runs.items() for word in ("--stream", f"{name}={path}")]
    options = [*streams, "--scores_path", tmp_path / "s.npz", *words]
    caplog.set_level(logging.INFO)
    test_two_stream.main(parse_opts(words_of(hmdb51, tmp_path, FUSED, *options), FUSED))
    assert "trained with --sample_size" not in caplog.text
    assert f"frames at 32 px; small at {SMALL} px)" in caplog.text  # the protocol says who saw another size
    fused = logits_in(tmp_path / "s.npz")
    assert list(fused) == list(TRAINED)
    for name, path in runs.items():
        own = [str(SMALL * 48 // 32) if word == "48" and name == "small" else word for word in words]
        alone = scores_alone(hmdb51, tmp_path, path, *TRAINED[name].split()[:2], *own)
        assert (fused[name] == alone).all(), name


def test_pairs_of_named_runs_have_result_files_of_their_own(runs, hmdb51, tmp_path):
    for first, second in (("rgb", "small"), ("small", "rgb")):
        pair = ["--modality", "RGB", "--resume_path1", runs[first], "--resume_path2", runs[second]]
        test_two_stream.main(parse_opts([*words_for(hmdb51, tmp_path, (), FUSED), *map(str, pair)], FUSED))
    names = {path.name for path in (tmp_path / "HMDB51").iterdir()}
    stems = ("test_rgb+small_RGB_SFS", "test_small+rgb_RGB_SFS")
    assert names == {f"{stem}.{end}" for stem in stems for end in ("txt", "npz")}


def test_a_size_that_is_given_is_that_of_all(runs, hmdb51, tmp_path, caplog):
    options = [f"--stream=small={runs['small']}", f"--stream=rgb={runs['rgb']}", "--sample_size", SMALL]
    test_two_stream.main(parse_opts(words_of(hmdb51, tmp_path, FUSED, *options), FUSED))
    assert f"rgb_best.pth: trained with --sample_size 32, used with {SMALL}" in caplog.text


def test_a_network_is_not_given_another_stream_with_as_many_channels(runs, hmdb51, tmp_path):
    for name, modality in (("diff", "RGB"), ("rgb", "RGBDiff")):
        with pytest.raises(ValueError, match=rf"{name}_best\.pth: a network that reads .*, not .*: check --modality"):
            scores_alone(hmdb51, tmp_path, runs[name], "--modality", modality)
    with pytest.raises(ValueError, match=r"--modality Flow: .*diff_best\.pth reads rgbdiff; leave --modality out"):
        options = parse_opts(words_of(hmdb51, tmp_path, FUSED, f"--stream=a={runs['diff']}", "--modality=Flow"), FUSED)
        test_two_stream.main(options)


def test_differences_may_begin_with_weights_of_colours(runs, hmdb51, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    words = words_for(hmdb51, tmp_path, TINY, TRAIN)
    options = ["--modality", "RGBDiff", "--pretrain_path", str(runs["rgb"]), "--run_name", "tuned"]
    train.main(parse_opts([*words, *options], TRAIN))
    assert "rgb_best.pth: pre-trained on rgb, and goes on with rgbdiff" in caplog.text
    tuned, start = (checkpoint.load(str(path)) for path in (tmp_path / "HMDB51" / "tuned_best.pth", runs["rgb"]))
    assert tuned["recipe"]["normalisation"] == {"mean": [127.5] * 3, "std": [0.5] * 3}
    assert torch.equal(tuned["state_dict"]["layer1.0.conv1.weight"], start["state_dict"]["layer1.0.conv1.weight"])
    with pytest.raises(ValueError, match="weights for 3 input channels, but the flow stream has 2"):
        train.main(parse_opts([*words, "--modality", "Flow", "--pretrain_path", str(runs["rgb"])], TRAIN))


def test_the_statistics_of_colours_are_not_those_of_differences():
    for name, stream, mean in (
        ("imagenet", RGB, (123.675, 116.28, 103.53)),
        ("imagenet", RGB_DIFF, RGB_DIFF.mean),
        ("imagenet", FLOW, FLOW.mean),
        ("half", RGB_DIFF, (127.5,) * 3),
        ("half", FLOW, (127.5,) * 2),
        ("sts", RGB_DIFF, RGB_DIFF.mean),
    ):
        assert normalisation_of([name], stream, model="resnet")["mean"] == list(mean), (name, stream.name)
    assert normalisation_of(["half"], RGB_DIFF, model="resnet")["std"] == [127.5] * 3
    assert parse_opts(["--modality", "RGBDiff", "--normalisation", "unit"])


def test_a_normalisation_without_values_for_the_stream_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_opts(["--modality", "RGBDiff", "--normalisation", "imagenet"])
    assert "--normalisation imagenet: has no values for --modality RGBDiff" in capsys.readouterr().err


def test_packed_videos_give_the_same_differences(own_hmdb51):
    pack.main(pack.parse_args([str(own_hmdb51 / "frames"), str(own_hmdb51 / "packed"), "--workers", "1"]))
    words = [*words_for(own_hmdb51, own_hmdb51), "--modality", "RGBDiff", "--val_fraction", "0"]
    names = ["rgbdiff", "flow", "rgb@20"]
    folders, packs = (
        build_dataset(parse_opts([*words, "--frame_dir", str(own_hmdb51 / root)]), "train", names)
        for root in ("frames", "packed")
    )
    for name in names:
        assert torch.equal(folders[1, 2][name], packs[1, 2][name])


def test_checkpoints_state_stream_and_view(runs):
    for name, stream in (("rgb", RGB), ("flow", FLOW), ("diff", RGB_DIFF)):
        state = checkpoint.load(str(runs[name]))
        assert (state["stream"], state["recipe"]["stream"], state["recipe"]["view"]) == (stream.name,) * 3
        assert stream_of(state, name) == stream
        model = load_stream(Namespace(**state["options"]), stream, state, name)
        model.view = f"{stream.name}@{SMALL}"
        clips = torch.zeros(1, stream.channels, 8, SMALL, SMALL, dtype=torch.uint8)
        assert model.eval()({model.view: clips}).logits.shape == (1, 3)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.avi"
    write_avi(path, render("bar_sway", 1, 0, frames=22)[0])
    return path


@pytest.fixture
def of_videos(runs, tmp_path) -> list[Path]:
    """Checkpoints that see videos at their own rate and size, so that a prediction needs no extraction."""
    paths = []
    for name in ("rgb", "diff", "small"):
        state = checkpoint.load(str(runs[name]))
        recipe = state["recipe"] | {"provenance": {"fps": 25.0, "short_side": 40}}
        paths.append(tmp_path / f"{name}.pth")
        checkpoint.save(paths[-1], dict(state) | {"recipe": recipe})
    return paths


def answered(film: Path, weights: list[Path], file: Path) -> list[list[float]]:
    predict(film, "--weights", *weights, "--logits", "--json", file)
    (video,) = json.loads(file.read_text())["videos"]
    return [known["values"] for known in video["logits"]]


def test_a_prediction_of_networks_of_several_sizes_is_each_ones_own(film, of_videos, tmp_path):
    together = answered(film, of_videos[1:], tmp_path / "a.json")
    alone = [answered(film, [path], tmp_path / "b.json")[0] for path in of_videos[1:]]
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)
    with_all = answered(film, of_videos, tmp_path / "c.json")
    assert len(with_all) == 3
    np.testing.assert_allclose(with_all[1], alone[0], rtol=1e-5)
    state = checkpoint.load(str(of_videos[2]))
    checkpoint.save(of_videos[2], dict(state) | {"recipe": state["recipe"] | {"short_side": 30}})
    with pytest.raises(ValueError, match=r"small\.pth: made with --short_side 30, .*rgb\.pth with source"):
        answered(film, [of_videos[0], of_videos[2]], tmp_path / "d.json")


def test_a_camera_is_watched_with_a_frame_more_than_a_clip_has(film, of_videos):
    predictor = build_predictor(of_videos, device="cpu")
    frames = list(read_frames(film, predictor.recipe["provenance"]))[: predictor.span]
    assert len(frames) == 8 + 1
    first = next(iter(predictor.clips_of(film)))
    expected = predictor.probabilities(predictor.logits([first.clip]))[0]
    torch.testing.assert_close(predictor.newest(film)(frames), expected)
    predictor.warm_up()


def test_a_single_frame_has_no_difference_to_predict_from(of_videos, tmp_path):
    write_avi(tmp_path / "one.avi", render("bar_sway", 1, 0, frames=2)[0][:1])
    with pytest.raises(ValueError, match=r"one\.avi: a single frame has no rgbdiff"):
        answered(tmp_path / "one.avi", of_videos[:2], tmp_path / "a.json")


def test_grad_cam_shows_differences_about_grey_at_every_size(film, of_videos, tmp_path):
    words = [film, "--weights", *of_videos, "--out", tmp_path / "cam", "--device", "cpu", "--strips", "1"]
    tracks = grad_cam.main(grad_cam.parse_args([str(word) for word in words]))
    assert [(track.name, track.view) for track in tracks] == [
        ("RGB 1", "rgb"),
        ("RGBDiff", "rgbdiff"),
        ("RGB 2", f"rgb@{SMALL}"),
    ]
    assert cv2.imread(str(next((tmp_path / "cam").glob("clip_*.png")))) is not None
    frames = torch.full((3, 5, 4, 4), 127, dtype=torch.uint8)
    frames[:, :, 0, 0], frames[:, :, 1, 1] = 147, 107
    pictures = pictures_of("rgbdiff", frames, {})
    assert (pictures[0][0, 0] > 240).all()
    assert (pictures[0][1, 1] < 15).all()
    assert (np.abs(pictures[0][2:].astype(int) - 127) < 8).all()


@pytest.mark.slow
def test_an_exported_file_has_an_input_for_each_view(of_videos, tmp_path, capsys):
    target = tmp_path / "x.pt2"
    words = [*map(str, of_videos), "--format", "pt2", "--out", str(target), "--rounds", "0"]
    parity = export.main(export.parse_args(words))
    assert parity.agreeing == parity.clips
    run = FORMATS["pt2"].read(target, torch.device("cpu"))
    sides = {"rgb": 32, "rgbdiff": 32, f"rgb@{SMALL}": SMALL}
    clips = {name: torch.randint(0, 256, (3, 3, 8, side, side), dtype=torch.uint8) for name, side in sides.items()}
    assert run(clips)["logits"].shape == (3, 3)


def test_a_checkpoint_of_differences_is_verified_and_compared(runs, hmdb51, tmp_path, capsys, caplog):
    words = [str(runs["diff"]), str(hmdb51 / "frames"), "--annotation_path", str(hmdb51 / "labels"), "--part", "val"]
    (comparison,) = verify.main(verify.parse_args([*words, "--n_workers", "0", "--json"]))["comparisons"]
    assert comparison["equal"]
    words = [*words_for(hmdb51, tmp_path, (), SINGLE), "--student", str(runs["diff"]), "--teacher", str(runs["small"])]
    caplog.clear()
    similarity = layer_similarity.main(layer_similarity.parse_args([*words, "--val_fraction", "0"]))
    assert "layer4" in json.dumps(similarity)
    assert "trained with --sample_size" not in caplog.text


def test_an_audit_for_differences_looks_at_the_frames(own_hmdb51, capsys):
    paths = ["--frame_dir", str(own_hmdb51 / "frames"), "--annotation_path", str(own_hmdb51 / "labels")]
    words = ["--modality", "RGBDiff", "--sample_duration", "8", "--n_workers", "1"]
    report = audit.main(audit.parse_args([*paths, *words]))
    assert not report.errors
    row = json.loads((own_hmdb51 / "frames" / "manifest.jsonl").read_text().splitlines()[1])
    assert 20 in row
    opt = parse_opts([*words_for(own_hmdb51, own_hmdb51), "--modality", "RGBDiff", "--only_RGB", "--val_fraction", "0"])
    assert max(video.num_frames for video in build_dataset(opt, "train").videos) == 19  # by the manifest
