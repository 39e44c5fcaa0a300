"""Scores once, everything after from them: many streams in one pass, score files, views, held-out videos, tables."""

import hashlib
import json
import logging
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from helpers import TINY, words_for
from waits import GPU, on_gpu

import test_single_stream
import test_two_stream
import train
from datasets import FLOW, RGB, Annotation, build_annotation, build_dataset
from datasets.stores.frames import FrameFolders
from engine import checkpoint, video_metrics
from engine.command import naming
from engine.evaluation.result_file import protocol, result_lines
from engine.evaluation.scores import load
from engine.evaluation.scoring import ScoreAccumulator
from models import FUSIONS, fuse, load_stream
from opts import ARCHITECTURE, adopt, parse_opts
from workflows.shared.score_facts import was_distilled
from workflows.testing.inputs import stream_of
from workflows.testing.outputs import run_name_of
from workflows.testing.training_facts import warn_of_other_split, warn_of_swapped

MODALITIES = {"rgb": "RGB", "sfs": "RGB", "flow": "Flow"}


@pytest.fixture(scope="module")
def weights(hmdb51, tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of three streams; "sfs" is another RGB network, which is all that a test knows of it."""
    made = {}
    for seed, (name, modality) in enumerate(MODALITIES.items(), 1):
        results = tmp_path_factory.mktemp(name)
        train.main(parse_opts([*words_for(hmdb51, results), "--modality", modality, "--manual_seed", str(seed)]))
        (made[name],) = results.rglob("*varLR1.pth")
    return made


@pytest.fixture
def data(hmdb51, tmp_path) -> list[str]:
    return words_for(hmdb51, tmp_path / "results", network=())


def streams(weights: dict[str, Path], *names: str) -> list[str]:
    return [word for name in names for word in ("--stream", f"{name}={weights[name]}")]


def two(words: list[str], path: Path, *more: str, script=test_two_stream) -> dict[str, np.ndarray]:
    """The score file of a run of test_two_stream.py."""
    script.main(parse_opts([*words, "--scores_path", str(path), *more]))
    with np.load(path) as file:
        return dict(file)


def single(words: list[str], path: Path, weights: Path, *more: str) -> dict[str, np.ndarray]:
    """The score file of a run of test_single_stream.py."""
    return two([*words, "--resume_path1", str(weights)], path, *more, script=test_single_stream)


def about(path: Path) -> dict:
    return load(path).about


WORKERS = ("--n_workers 0", "--n_workers 2 --loader threads", "--n_workers 2 --loader processes")


@pytest.fixture(scope="module")
def alone(weights, hmdb51, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """Scores of a run for every stream."""
    folder = tmp_path_factory.mktemp("alone")
    words = words_for(hmdb51, folder / "results", network=())
    return {
        name: single(words, folder / f"{name}.npz", weights[name], "--modality", modality)
        for name, modality in MODALITIES.items()
    }


@pytest.mark.parametrize("workers", WORKERS)
def test_one_pass_gives_each_stream_the_bits_of_a_run_of_its_own(weights, data, alone, tmp_path, workers):
    words = [*data, *workers.split()]
    whole = two(words, tmp_path / "all.npz", *streams(weights, "rgb", "sfs", "flow"))
    assert whole["streams"].tolist() == ["rgb", "sfs", "flow"]
    for row, name in enumerate(MODALITIES):
        assert np.array_equal(whole["video"], alone[name]["video"])
        for key in ("logits", "clips", "clip_top1", "clip_top5"):
            assert np.array_equal(whole[key][row], alone[name][key][0]), (name, key)


@pytest.mark.parametrize("views", ["--tail drop", "--test_sampling spaced --num_clips 2 --num_crops 3"])
def test_so_does_a_pass_over_frames_alone(weights, data, tmp_path, views):
    words = [*data, "--only_RGB", *views.split()]
    both = two(words, tmp_path / "both.npz", *streams(weights, "sfs", "rgb"))
    for row, name in enumerate(("sfs", "rgb")):
        alone = single(words, tmp_path / "one.npz", weights[name])
        assert np.array_equal(both["logits"][row], alone["logits"][0])


def test_frames_that_have_no_flow_count_with_only_rgb_alone(data):
    """16 frames are two clips of 8, 15 flows are not, or not the same two."""

    def frames(*words: str) -> list[int]:
        return [video.num_frames for video in build_dataset(parse_opts([*data, *words]), "test").videos]

    assert [count + 1 for count in frames()] == frames("--only_RGB")
    assert frames() == frames("--modality", "Flow") == frames("--modality", "RGB_Flow")


def test_each_clip_is_decoded_once_for_all_streams(weights, data, tmp_path):
    read = []
    original = FrameFolders.read

    def note(self, video, stream, numbers, placement):
        read.append((video.name, stream.name, tuple(numbers)))
        return original(self, video, stream, numbers, placement)

    with mock.patch.object(FrameFolders, "read", note):
        saved = two(data, tmp_path / "s.npz", *streams(weights, "rgb", "sfs", "flow"))
    assert len(read) == len(set(read)) == 2 * saved["clips"][0].sum()


@pytest.mark.parametrize("more", [[], ["--modality", "RGB_Flow"]], ids=["", "wider than needed"])
def test_a_single_stream_of_any_name_is_that_stream(weights, data, alone, tmp_path, more):
    saved = two(data, tmp_path / "s.npz", "--stream", f"my flow={weights['flow']}", *more)
    assert np.array_equal(saved["fused"], saved["logits"][0])
    assert np.array_equal(saved["logits"], alone["flow"]["logits"])
    assert about(tmp_path / "s.npz")["options"]["modality"] == (more or ["Flow"])[-1]
    (result,) = (tmp_path / "results" / "HMDB51").glob("*.txt")
    assert result.name == "test_my_flow_resnet10_HMDB51_1_8.txt"
    assert saved["streams"].tolist() == ["my flow"]


def test_what_a_published_checkpoint_reads_is_seen_from_its_first_convolution(weights, data, tmp_path):
    made = []
    for name in ("rgb", "flow"):
        state = checkpoint.load(weights[name])
        old = {"state_dict": {f"module.{key}": value for key, value in state["state_dict"].items()}}
        torch.save(old | {"arch": state["arch"], "epoch": 4}, tmp_path / f"{name}.pth")
        made += ["--stream", f"{name}={tmp_path / name}.pth"]
    published = two([*data, *TINY], tmp_path / "p.npz", *made)
    ours = two(data, tmp_path / "o.npz", *streams(weights, "rgb", "flow"))
    assert np.array_equal(published["logits"], ours["logits"])
    digest = hashlib.sha256((tmp_path / "flow.pth").read_bytes()).hexdigest()
    expected = {"file": str(tmp_path / "flow.pth"), "sha256": digest, "reads": "flow", "arch": "resnet-10"}
    expected |= {"epoch": 3, "recipe": {}}  # the last finished one
    assert about(tmp_path / "p.npz")["checkpoints"]["flow"] == expected


def test_a_score_file_says_what_was_scored(weights, data, hmdb51, tmp_path):
    words = [*streams(weights, "rgb", "flow"), "--fusion", "softmax", "--fusion_weights", "1", "1.5"]
    path = tmp_path / "s.npz"
    records = {"frames.json": {"fps": 25.0, "short_side": 40}, "flow.json": {"algorithm": "dis", "bound": 20.0}}
    with ExitStack() as stack:
        for name, record in records.items():
            (hmdb51 / "frames" / name).write_text(json.dumps(record))
            stack.callback((hmdb51 / "frames" / name).unlink)
        two(data, path, *words, "--short_side", "36")
    said = about(path)
    opt = parse_opts(data)
    lines = "".join(f"{entry.name} {entry.label}\n" for entry in build_annotation(opt).read("test").entries)
    assert said["list_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    expected = {"subset": "test", "dataset": "HMDB51", "split": 1, "fusion": "softmax", "fusion_weights": [1.0, 1.5]}
    assert expected.items() <= said.items()
    assert said["activation"] == ""
    expected = {"frame_dir": str(hmdb51 / "frames"), "annotation_path": str(hmdb51 / "labels"), "layout": "auto"}
    expected |= {"sample_size": 32, "sample_duration": 8, "clip_stride": 1, "segment_length": 1, "short_side": 36}
    expected |= {"test_sampling": "all", "num_clips": 10, "num_crops": "1", "tail": "overlap", "sampling": "corrected"}
    expected |= {"video_fps": 25.0, "only_RGB": False, "amp": "auto", "missing": "error", "val_fraction": 0.1}
    expected |= {"manual_seed": 1, "dataset": "HMDB51", "split": 1, "modality": "RGB_Flow", "normalisation": ["auto"]}
    assert said["options"] == expected
    assert said["provenance"] == {"fps": 25.0, "short_side": 40, "algorithm": "dis", "bound": 20.0}
    assert list(said["checkpoints"]) == ["rgb", "flow"]
    rgb = said["checkpoints"]["rgb"]
    assert (rgb["reads"], rgb["arch"], rgb["epoch"]) == ("rgb", "resnet-10", 1)
    assert rgb["sha256"] == hashlib.sha256(weights["rgb"].read_bytes()).hexdigest()
    assert rgb["recipe"]["sample_size"] == 32


def test_a_result_has_the_published_lines_and_scores_lie_beside_it_unless_they_are_moved(weights, data, tmp_path):
    folder, name = tmp_path / "results" / "HMDB51", "test_rgb_sfs_resnet10_HMDB51_1_8"
    test_two_stream.main(parse_opts([*data, *streams(weights, "rgb", "sfs")]))
    assert {path.name for path in folder.iterdir()} == {f"{name}.txt", f"{name}.npz"}
    with np.load(folder / f"{name}.npz") as saved:
        lines = result_lines(torch.from_numpy(saved["fused"]), torch.from_numpy(saved["label"]))
    published = (folder / f"{name}.txt").read_bytes().split(b"\n", 1)[1]
    assert published == "".join(f"{line}\n" for line in lines).encode()
    single(data, tmp_path / "moved.npz", weights["rgb"])
    assert {path.suffix for path in folder.glob("*_RGB_8.*")} == {".txt"}
    assert (tmp_path / "moved.npz").exists()


MISTAKES = {
    "no sign": (["--stream", "a.pth"], "expected NAME=CHECKPOINT"),
    "no name": (["--stream", "=a.pth"], "expected NAME=CHECKPOINT"),
    "no file": (["--stream", "rgb="], "expected NAME=CHECKPOINT"),
    "a name twice": (["--stream", "a=b.pth", "--stream", "a=c.pth"], "--stream a=c.pth: there is a=b.pth already"),
    "both ways": (["--stream", "a=b.pth", "--resume_path3", "c.pth"], "--stream and --resume_path3 both"),
    "scores and streams": (["--scores", "a.npz", "--stream", "a=b.pth"], "leave out the checkpoints"),
    "scores and paths": (["--scores", "a.npz", "--resume_path1", "b.pth"], "leave out the checkpoints"),
    "nothing to use": (["--use", "rgb"], "it needs --scores"),
    "used twice": (["--scores", "a.npz", "--use", "rgb", "rgb"], "--use: rgb is named twice"),
    "after all": (["--clip_mean", "after", "--fusion", "all"], "choose one with --fusion"),
    "nothing held out": (["--test_subset", "val", "--val_fraction", "0"], "holds no training videos out"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_options_that_contradict_each_other_are_refused_at_once(name, capsys):
    words, message = MISTAKES[name]
    with pytest.raises(SystemExit) as end:
        parse_opts(words)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said


def test_streams_that_are_excluded_by_other_options_are_refused(weights, data):
    flow = [*data, *streams(weights, "rgb", "flow")]
    with pytest.raises(ValueError, match=r"--modality RGB: .*pth reads flow; leave --modality out"):
        test_two_stream.main(parse_opts([*flow, "--modality", "RGB"]))
    with pytest.raises(ValueError, match=r"--only_RGB counts frames without flow"):
        test_two_stream.main(parse_opts([*flow, "--only_RGB"]))
    for words in (["--stream", "a=b.pth"], ["--scores", "a.npz"]):
        with pytest.raises(ValueError, match=r"are for test_two_stream.py, which takes a single stream as well"):
            test_single_stream.main(parse_opts(words))


def warned(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_networks_of_another_split_are_named_with_the_cure(weights, data, tmp_path, caplog):
    state = checkpoint.load(weights["sfs"])
    published = {name: state[name] for name in ("arch", "epoch", "state_dict")}
    torch.save(published, tmp_path / "published.pth")
    words = [*data, *TINY, *streams(weights, "rgb", "flow"), "--stream", f"sfs={tmp_path / 'published.pth'}"]
    two([*words, "--split", "2"], tmp_path / "s.npz")
    line = protocol(load(tmp_path / "s.npz"))
    assert ", rgb TRAINED ON SPLIT 1, flow TRAINED ON SPLIT 1" in line
    assert "sfs TRAINED" not in line
    two(["--scores", str(tmp_path / "s.npz"), "--use", "flow"], tmp_path / "one.npz")
    assert "rgb TRAINED" not in protocol(load(tmp_path / "one.npz"))
    assert "flow TRAINED ON SPLIT 1" in protocol(load(tmp_path / "one.npz"))
    single([*data, "--split", "3"], tmp_path / "s.npz", weights["rgb"])
    said = "--split {}: {} was trained on split 1, so tested videos may be in its training list: test it with --split 1"
    told = [(2, "rgb"), (2, "flow"), (3, "rgb")]
    assert [text for text in warned(caplog) if "--split" in text] == [said.format(s, weights[n]) for s, n in told]


def test_of_their_own_split_and_of_data_sets_with_one_nothing_is_said(weights, data, tmp_path, caplog):
    single(data, tmp_path / "s.npz", weights["rgb"])
    (tmp_path / "labels").mkdir()
    for subset in ("train", "test"):
        (tmp_path / "labels" / f"{subset}.txt").write_text("a/b 0\nc/d 1\n")
    for split in (1, 2):
        annotation = Annotation(tmp_path / "labels", dataset="List", split=split)
        annotation.list_subset("test")
        warn_of_other_split({"options": {"dataset": "List", "split": 1}}, "x.pth", annotation)
    assert not [text for text in warned(caplog) if "--split" in text]


def test_a_split_whose_files_are_not_here_is_another_one(weights, data, hmdb51, tmp_path, caplog):
    labels = tmp_path / "labels"
    labels.mkdir()
    for file in (hmdb51 / "labels").glob("*split2.txt"):
        (labels / file.name).write_bytes(file.read_bytes())
    words = [*data, "--annotation_path", str(labels), "--split", "2"]
    single(words, tmp_path / "s.npz", weights["rgb"])
    assert len([text for text in warned(caplog) if "was trained on split 1" in text]) == 1


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        ("rgb", "states stream rgb, but its first convolution has 2 input channels"),
        ("depth", "states stream depth, but its first convolution has 2 input channels"),
        (None, r"cannot tell its stream: its first convolution has 20 input channels \(rgb 3, flow 2, rgbdiff 3\)"),
    ],
)
def test_a_checkpoint_whose_weights_are_of_no_stream_or_another_is_refused(weights, stream, problem):
    state = dict(checkpoint.load(weights["flow"])) | {"stream": stream}
    if stream is None:
        del state["stream"]
        state["state_dict"]["conv1.weight"] = state["state_dict"]["conv1.weight"].repeat(1, 10, 1, 1, 1)
    with pytest.raises(ValueError, match=f"a.pth: {problem}"):
        stream_of(state, "a.pth")


def clip_logits(opt, weights: Path, stream) -> dict[str, torch.Tensor]:
    """Logits (clips, K) of every test video, one clip after the other."""
    state = checkpoint.load(weights)
    opt = adopt(opt, state, (*ARCHITECTURE, "sample_size", "sample_duration"))
    network, dataset = load_stream(opt, stream, state, "x").eval(), build_dataset(opt, "test")
    found: dict[str, list[torch.Tensor]] = {}
    with torch.inference_mode():
        for i in range(len(dataset)):
            for crop in dataset[i]:
                logits = network({stream.name: crop[stream.name][None]}).logits[0]
                found.setdefault(crop["video"], []).append(logits)
    return {name: torch.stack(rows) for name, rows in found.items()}


@pytest.fixture(scope="module")
def each(weights, hmdb51) -> list[dict[str, torch.Tensor]]:
    """Logits of every clip, of RGB and flow."""
    opt = parse_opts([*words_for(hmdb51, Path("unused"), network=()), "--modality", "RGB_Flow"])
    return [clip_logits(opt, weights[name], stream) for name, stream in (("rgb", RGB), ("flow", FLOW))]


@pytest.mark.parametrize("method", ["activno", "softmax", "l2"])  # each is held to its formula in test_fusion
def test_the_mean_over_clips_may_come_after_the_activation(weights, data, each, files, tmp_path, method):
    words = ["--fusion", method, "--fusion_weights", "2", "1"]
    before = two(words, tmp_path / "before.npz", "--scores", files["all"], "--use", "rgb", "flow", "--log", "0")
    after = two([*data, *words], tmp_path / "after.npz", *streams(weights, "rgb", "flow"), "--clip_mean", "after")
    assert "activated" not in before
    assert about(tmp_path / "after.npz")["activation"] == method
    assert np.array_equal(before["logits"], after["logits"])
    activate = FUSIONS[method]
    for n, video in enumerate(after["video"].tolist()):
        late, early = ([activate(own[video]).mean(0), activate(own[video].mean(0))] for own in each)
        for saved, (x, y) in ((after, (late[0], early[0])), (before, (late[1], early[1]))):
            np.testing.assert_allclose(saved["fused"][n], (2 * x + y) / 3, rtol=1e-4, atol=1e-4)


VIEWS = {
    "25 x 1": ("--test_sampling stepped --num_clips 25 --num_crops 1", 25),  # more than there are windows
    "2 x 10": ("--test_sampling spaced --num_clips 2 --num_crops 10", 20),
    "2 x two-stream": ("--test_sampling segments --num_clips 2 --num_crops two-stream", 20),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_as_many_as_asked_for_in_every_stream(weights, data, tmp_path, name, caplog):
    caplog.set_level(logging.INFO)
    words, count = VIEWS[name]
    size = [] if "two-stream" in name else ["--short_side", "36"]
    saved = two([*data, *words.split(), *size], tmp_path / "s.npz", *streams(weights, "rgb", "flow"))
    assert (saved["clips"] == count).all()
    assert (saved["clip_top5"] == count).all()
    assert np.isfinite(saved["logits"]).all()
    clips, crops = words.split()[3], words.split()[-1]
    shown = f"{6 * count:,} clips ({clips} {words.split()[1]} x {crops} crop"
    assert shown in caplog.text
    assert f"seen at {256 if 'two-stream' in name else 36}" in caplog.text


@pytest.mark.parametrize("views", ["--test_sampling stepped --num_clips 3 --num_crops 3 --short_side 40", ""])
def test_scores_of_views_are_their_mean(weights, data, tmp_path, views):
    words = [*data, *views.split()]
    saved = two(words, tmp_path / "s.npz", *streams(weights, "sfs"))
    expected = clip_logits(parse_opts(words), weights["sfs"], RGB)
    for video, logits, clips in zip(saved["video"].tolist(), saved["logits"][0], saved["clips"][0], strict=True):
        assert clips == len(expected[video])
        np.testing.assert_allclose(logits, expected[video].mean(0), rtol=1e-4, atol=1e-4)


def test_all_windows_cover_a_video_and_tail_drops_the_last(weights, data, tmp_path):
    # Videos of 17 and 16 frames have 16 and 15 flows: 2 windows of 8, or 1 and an overlapping one.
    for tail, counts in (("overlap", [2, 2]), ("drop", [2, 1])):
        saved = two(data, tmp_path / "s.npz", *streams(weights, "rgb"), "--tail", tail)
        assert saved["clips"].tolist() == [counts * 3]


def test_score_files_are_fused_without_data_or_networks(weights, data, tmp_path):
    parts = {name: tmp_path / f"{name}.npz" for name in ("rgb", "flow")}
    for name, path in parts.items():
        single(data, path, weights[name], "--modality", MODALITIES[name])
    fusion = ["--fusion", "softmax", "--fusion_weights", "1", "1.5"]
    scored = two(data, tmp_path / "scored.npz", *streams(weights, *parts), *fusion)
    words = ["--frame_dir", "nowhere", "--annotation_path", "nowhere", "--result_path", str(tmp_path / "again")]
    again = two(words, tmp_path / "again.npz", "--scores", *map(str, parts.values()), *fusion)
    for key in scored.keys() - {"about", "fused_hits"}:
        assert np.array_equal(again[key], scored[key]), key
    assert "fused_hits" not in again  # only who sees the clips can fuse them one by one
    assert [path.name for path in tmp_path.glob("again/HMDB51/*")] == ["test_rgb_flow_resnet10_HMDB51_1_8.txt"]
    own = about(tmp_path / "again.npz")
    assert own["checkpoints"] == about(tmp_path / "scored.npz")["checkpoints"]
    assert (own["fusion"], own["fusion_weights"]) == ("softmax", [1.0, 1.5])


@pytest.fixture(scope="module")
def files(weights, hmdb51, tmp_path_factory) -> dict[str, str]:
    """Score files: all streams, and flow by 3 clips of other pixels."""
    folder = tmp_path_factory.mktemp("files")
    data = words_for(hmdb51, folder / "results", network=())
    two(data, folder / "all.npz", *streams(weights, "rgb", "sfs", "flow"))
    views = "--modality Flow --test_sampling spaced --num_clips 3 --short_side 40".split()
    single(data, folder / "other.npz", weights["flow"], *views)
    return {name: str(folder / f"{name}.npz") for name in ("all", "other")}


def test_streams_of_score_files_are_chosen_and_ordered(files, tmp_path):
    both = two([], tmp_path / "u.npz", "--scores", files["all"], "--use", "flow", "rgb", "--log", "0")
    whole = load(files["all"])
    assert both["streams"].tolist() == ["flow", "rgb"]
    assert np.array_equal(both["fused"], fuse(whole.logits[[2, 0]]).numpy())
    with pytest.raises(ValueError, match=r"--use: no stream depth; there are rgb, sfs, flow"):
        test_two_stream.main(parse_opts(["--scores", files["all"], "--use", "depth"]))


def test_files_that_contradict_each_other_are_fused_and_it_is_said_then_and_when_they_are_fused_again(
    files, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    two([], tmp_path / "u.npz", "--scores", files["all"], files["other"], "--use", "rgb", "flow-2", "--log", "0")
    (warning,) = [text for text in caplog.messages if "unlike ways" in text]
    for words in ("test_sampling all in", "spaced in", "num_clips 10 in", "short_side source in", "2 clips of", "3 in"):
        assert words in warning
    unlike = about(tmp_path / "u.npz")["unlike"]
    assert all(text in warning for text in unlike)
    (line,) = [text for text in caplog.messages if "clip top-1" in text]
    assert "UNLIKE: " in line
    assert "12 and 18 clips" in line
    two([], tmp_path / "v.npz", "--scores", str(tmp_path / "u.npz"), "--log", "0")
    assert about(tmp_path / "v.npz")["unlike"] == unlike


def test_files_that_agree_or_are_not_used_are_fused_without_a_word(files, tmp_path, caplog):
    two([], tmp_path / "u.npz", "--scores", files["all"], "--log", "0")
    assert "unlike" not in about(tmp_path / "u.npz")
    used = two([], tmp_path / "u.npz", "--scores", files["all"], files["other"], "--use", "flow-2", "--log", "0")
    assert warned(caplog) == []
    assert np.array_equal(used["fused"], load(files["other"]).logits[0].numpy())
    assert about(tmp_path / "u.npz")["options"]["test_sampling"] == "spaced"


def test_a_checkpoint_that_would_count_twice_is_named(files, tmp_path, caplog):
    two([], tmp_path / "u.npz", "--scores", files["all"], files["other"], "--log", "0")
    assert "flow and flow-2 are of one checkpoint, which counts twice" in caplog.text


def test_what_a_file_states_cannot_be_changed_when_it_is_fused(files, tmp_path):
    for words, message in (
        (["--split", "2"], r"--split 2: .*all\.npz was made with 1"),
        (["--num_clips", "3"], r"--num_clips 3: .*all\.npz was made with 10"),
        (["--test_subset", "val"], r"--test_subset val: .*all\.npz was made with test"),
    ):
        with pytest.raises(ValueError, match=message):
            test_two_stream.main(parse_opts(["--scores", files["all"], *words]))
    own = load(files["all"])
    own.about["dataset"] = "../../elsewhere"
    own.save(tmp_path / "bad.npz", own.logits[0])
    with pytest.raises(ValueError, match=r"bad\.npz: says that it is of .*elsewhere.*which cannot be"):
        test_two_stream.main(parse_opts(["--scores", str(tmp_path / "bad.npz")]))


def test_activated_scores_are_fused_only_by_their_own_activation(weights, data, tmp_path):
    words = ["--fusion", "softmax", "--clip_mean", "after"]
    scored = two(data, tmp_path / "s.npz", *streams(weights, "rgb", "flow"), *words)
    again = two([], tmp_path / "a.npz", "--scores", str(tmp_path / "s.npz"), *words, "--log", "0")
    assert np.array_equal(scored["fused"], again["fused"])
    assert not np.array_equal(scored["fused"], fuse(torch.from_numpy(scored["logits"]), "softmax").numpy())
    with pytest.raises(ValueError, match=r"s\.npz: .*not activated by tanh.*--fusion tanh --clip_mean after"):
        test_two_stream.main(parse_opts(["--scores", str(tmp_path / "s.npz"), "--fusion", "tanh", *words[2:]]))


def test_the_table_has_every_fusion_with_every_weighting(files, tmp_path, capsys):
    words = ["--scores", files["all"], "--use", "rgb", "flow", "--fusion", "all", "--fusion_weights", "1", "3"]
    saved = two([], tmp_path / "t.npz", *words, "--result_path", str(tmp_path / "r"))
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    assert rows[0] == ["fusion", "rgb : flow", "top-1", "top-5", "mean class"]
    weights = ["1 : 1", "1 : 0", "0 : 1", "1 : 1.5", "1 : 2", "1.5 : 1", "2 : 1", "1 : 3"]
    assert [row[:2] for row in rows[1:]] == [[method, own] for method in FUSIONS for own in weights]
    own = load(files["all"]).only(["rgb", "flow"])
    for method, shown, *accuracies in rows[1:]:
        metrics = video_metrics(fuse(own.logits, method, [float(w) for w in shown.split(" : ")]), own.label)
        assert accuracies == [f"{metrics[name]:.4f}" for name in ("top1", "top5", "mean_class")]
    assert out.count("no result") == 1
    assert np.array_equal(saved["fused"], fuse(own.logits, "activno", [1, 3]).numpy())
    assert about(tmp_path / "t.npz")["fusion"] == "activno"


def test_held_out_training_videos_are_scored_as_test_videos_are(weights, data, tmp_path, capsys):
    words = ["--test_subset", "val", "--fusion", "all"]
    saved = two(data, tmp_path / "v.npz", *streams(weights, "rgb", "flow"), *words)
    opt = parse_opts(data)
    assert saved["video"].tolist() == [video.name for video in build_dataset(opt, "val").videos]
    assert not set(saved["video"].tolist()) & {video.name for video in build_dataset(opt, "train").videos}
    assert about(tmp_path / "v.npz")["subset"] == "val"
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["test_rgb_flow_resnet10_HMDB51_1_8_val.txt"]
    assert (saved["clips"] >= 2).all()
    assert "no result" not in capsys.readouterr().out
    single(data, tmp_path / "one.npz", weights["rgb"], "--test_subset", "val")
    assert list(tmp_path.rglob("test_resnet10_HMDB51_1_RGB_8_val.txt"))


def test_videos_that_a_network_was_trained_on_are_not_taken_for_held_out(weights, data, tmp_path, caplog):
    state = checkpoint.load(weights["rgb"])
    words = [*data, "--test_subset", "val", "--stream", f"a={tmp_path / 'a.pth'}"]
    for changes, message in (
        ({"split": 2}, "trained with --split 2, here it is 1"),
        ({"val_fraction": 0.0}, "trained with --val_fraction 0: no videos are left"),
    ):
        checkpoint.save(tmp_path / "a.pth", state | {"options": state["options"] | changes})
        with pytest.raises(ValueError, match=message):
            test_two_stream.main(parse_opts([*words, "--split", "1"]))
    checkpoint.save(tmp_path / "a.pth", state | {"options": state["options"] | {"val_fraction": 0.5}})
    two(words, tmp_path / "v.npz")
    assert about(tmp_path / "v.npz")["options"]["val_fraction"] == 0.5
    with pytest.raises(ValueError, match=r"trained with --val_fraction 0\.5, here it is 0\.1"):
        test_two_stream.main(parse_opts([*words, "--val_fraction", "0.1"]))
    del state["options"]["val_fraction"]
    checkpoint.save(tmp_path / "a.pth", state)
    two(words, tmp_path / "v.npz")
    assert "does not say its --val_fraction" in caplog.text


def test_clip_and_video_accuracy_stand_on_one_line_with_all_that_they_depend_on(weights, data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    saved = two(data, tmp_path / "s.npz", *streams(weights, "rgb", "flow"))
    (line,) = [text for text in caplog.messages if "clip top-1" in text]
    clip = [hits.sum() / saved["clips"][0].sum() for hits in (*saved["clip_top1"], saved["fused_hits"][0])]
    metrics = video_metrics(torch.from_numpy(saved["fused"]), torch.from_numpy(saved["label"]))
    assert line == (
        f"clip top-1 rgb {clip[0]:.4f}, flow {clip[1]:.4f}, fused {clip[2]:.4f}; video top-1 {metrics['top1']:.4f}, "
        f"top-5 1.0000, mean class {metrics['mean_class']:.4f}; HMDB51 test split 1, 6 of 6 listed videos, "
        "12 clips (all windows x 1 crop of 8 frames at 32 px), fps not stated, short side not stated, seen at 32"
    )


@pytest.mark.parametrize("activation", [None, FUSIONS["softmax"]])
def test_scores_of_two_streams_are_counted_without_waiting_for_a_gpu(activation):
    fused = partial(fuse, method="softmax", weights=(1.0, 2.0))
    with on_gpu() as gpu:
        accumulator = ScoreAccumulator([2, 1], 2, 5, GPU, activation=activation, fuse=fused)
        index, label = (torch.empty(3, dtype=torch.int64, device=GPU) for _ in range(2))
        accumulator.add(index, label, torch.empty(2, 3, 5, dtype=torch.float64, device=GPU))
    assert gpu.launched["topk"] == 1
    assert not gpu.waits


# Outputs and their names.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--result_path file", "file: is a file, where results are to go; use another --result_path"),
        ("--scores_path file/a.npz", "file: is a file, where results are to go; use another --scores_path"),
        ("--scores_path new/../folder", "folder: is a folder, where a file is to go; use another --scores_path"),
    ],
)
def test_results_that_cannot_be_written_are_refused_before_a_checkpoint_is_read(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "new").mkdir()
    (tmp_path / "folder").mkdir()
    networks = ["--resume_path1", "none.pth", "--resume_path2", "none.npz"]
    with pytest.raises(OSError, match=said):
        test_single_stream.main(parse_opts([*words.split(), *networks[:2]]))
    with pytest.raises(OSError, match=said):
        test_two_stream.main(parse_opts([*words.split(), "--modality", "RGB", *networks]))
    if words.startswith("--result_path"):
        with pytest.raises(FileNotFoundError, match=r"none\.pth"):
            test_single_stream.main(parse_opts([*words.split(), "--log", "0", *networks[:2]]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "new"]


def test_fused_files_of_scores_are_refused_in_the_same_words(files, tmp_path):
    (tmp_path / "file").touch()
    words = ["--scores", *map(str, files.values()), "--scores_path", str(tmp_path / "file" / "a.npz")]
    with pytest.raises(NotADirectoryError, match="where results are to go; use another --scores_path"):
        test_two_stream.main(parse_opts([*words, "--log", "0"]))


def trained_by(**options: object) -> dict:
    return {"options": options}


def test_results_are_called_after_the_runs_that_have_names():
    rgb, sfs, unnamed = (trained_by(run_name=name) for name in ("rgb", "flow_sfs", None))
    names = [run_name_of(states) for states in ([rgb], [rgb, sfs], [{}, sfs, unnamed], [{}, unnamed])]
    assert names == ["rgb", "rgb+flow_sfs", "flow_sfs", None]
    with pytest.raises(ValueError, match="--run_name"):
        run_name_of([trained_by(run_name="../outside"), rgb])


def test_long_names_of_runs_are_shortened_and_stay_apart():
    pairs = [[trained_by(run_name="ü" * 50), trained_by(run_name=name)] for name in "ab"]
    names = [run_name_of(pair) for pair in pairs]
    assert names[0] != names[1]
    for name in names:
        assert naming.checked_name(name) == name


DISTILLED, PLAIN = trained_by(modality="RGB_Flow"), trained_by(modality="RGB")


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        (DISTILLED, PLAIN, True),
        (trained_by(modality="RGB", teacher=["image=a.pth"]), PLAIN, True),
        (PLAIN, DISTILLED, False),
        (DISTILLED, DISTILLED, False),
        (PLAIN, PLAIN, False),
        (DISTILLED, {}, False),
        ({}, PLAIN, False),
    ],
)
def test_a_student_in_the_place_of_the_plain_network_is_named(first, second, warned, caplog):
    warn_of_swapped({"rgb": ("a.pth", first), "sfs": ("b.pth", second)})
    said = "a.pth was distilled but is called rgb, and b.pth was not but is called sfs: names are those of the pos"
    assert (said in caplog.text) == warned
    caplog.clear()
    warn_of_swapped({"rgb": ("a.pth", first), "flow": ("b.pth", second)})
    assert caplog.text == ""


def test_a_checkpoint_that_states_nothing_may_be_a_student_or_not():
    assert was_distilled({}) is None
    assert was_distilled(PLAIN | {"losses": {}}) is True


def test_a_checkpoint_says_which_stream_it_reads_and_that_of_flow_where_it_is(weights, hmdb51, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--device", "cpu", "--n_workers", "0"]
    flow = single(words, tmp_path / "flow.npz", weights["flow"])
    assert flow["streams"].tolist() == ["flow"]
    state = checkpoint.load(weights["rgb"])
    elsewhere = state["options"] | {"frame_dir": str(tmp_path), "layout": "video"}
    checkpoint.save(tmp_path / "rgb.pth", state | {"options": elsewhere})
    for second, names in (("flow", ["rgb", "flow"]), ("sfs", ["rgb", "sfs"])):
        first = weights["rgb"] if second == "sfs" else tmp_path / "rgb.pth"
        paths = ["--resume_path1", str(first), "--resume_path2", str(weights[second])]
        both = two([*words, *paths], tmp_path / "both.npz")
        assert both["streams"].tolist() == names
    assert np.array_equal(
        two([*words, *paths[:2], "--resume_path2", str(weights["flow"])], tmp_path / "c.npz")["logits"][1],
        flow["logits"][0],
    )
    checkpoint.save(tmp_path / "bare.pth", {"state_dict": state["state_dict"], "arch": state["arch"]})
    network = [*TINY, "--sample_size", "32", "--sample_duration", "8"]
    paths = ["--resume_path1", str(tmp_path / "bare.pth"), "--resume_path2", str(weights["sfs"])]
    assert two([*words, *network, *paths], tmp_path / "d.npz")["label"].tolist() == flow["label"].tolist()


def test_two_students_beside_rgb_have_names_of_their_own(weights, data, tmp_path):
    checkpoint.save(tmp_path / "other.pth", checkpoint.load(weights["sfs"]))
    paths = [
        "--resume_path1",
        weights["rgb"],
        "--resume_path2",
        weights["sfs"],
        "--resume_path3",
        tmp_path / "other.pth",
    ]
    for more in ((), ("--modality", "RGB")):
        saved = two([*data, *map(str, paths)], tmp_path / "s.npz", *more)
        assert saved["streams"].tolist() == ["rgb", "sfs", "sfs2"]
        assert np.array_equal(saved["logits"][1], saved["logits"][2])


def test_networks_of_two_splits_are_not_told_to_be_tested_on_either(weights, data, tmp_path, caplog):
    state = checkpoint.load(weights["sfs"])
    checkpoint.save(tmp_path / "sfs.pth", state | {"options": state["options"] | {"split": 2}})
    two([*data, *streams(weights, "rgb"), "--stream", f"sfs={tmp_path / 'sfs.pth'}"], tmp_path / "s.npz")
    assert (
        "was trained on split 2, so tested videos may be in its training list: fuse networks of one split"
        in caplog.text
    )


def test_data_set_split_and_folders_that_are_not_given_are_those_of_the_training(
    weights, data, hmdb51, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    words = ["--device", "cpu", "--n_workers", "0"]
    saved, given = (single(w, tmp_path / "a.npz", weights["rgb"]) for w in (words, data))
    assert np.array_equal(saved["logits"], given["logits"])
    state = checkpoint.load(weights["rgb"])
    checkpoint.save(tmp_path / "a.pth", state | {"options": state["options"] | {"split": 3}})
    single(words, tmp_path / "b.npz", tmp_path / "a.pth")
    places = {"frame_dir": str(hmdb51 / "frames"), "annotation_path": str(hmdb51 / "labels"), "split": 3}
    assert places.items() <= about(tmp_path / "b.npz")["options"].items()
    for changes, message in (
        ({"dataset": "UCF101"}, "holds files of HMDB51: use --dataset HMDB51"),
        ({"annotation_path": "moved"}, "dataset/HMDB51_labels: no such folder"),
        ({"frame_dir": "moved"}, "dataset/HMDB51"),
    ):
        checkpoint.save(tmp_path / "a.pth", state | {"options": state["options"] | changes})
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            single(words, tmp_path / "c.npz", tmp_path / "a.pth")
    assert (
        f"{tmp_path / 'a.pth'}: its training had --annotation_path moved, which is not there from here" in caplog.text
    )
