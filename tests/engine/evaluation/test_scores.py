"""The score file: what it holds, that it comes back, that damage is named, and how several are put side by side."""

import io

import numpy as np
import pytest
import torch

from engine import Scores
from engine.evaluation import scores
from engine.evaluation.result_file import accuracies, protocol
from engine.evaluation.scores import join, load, numbered

ABOUT = {"subset": "test", "checkpoints": {"rgb": {"file": "a.pth"}, "sfs": {"file": "b.pth"}}}


def make_scores(streams=("rgb", "sfs"), videos=("a/x", "b/ü", "b/z"), **changes) -> Scores:
    s, n = len(streams), len(videos)
    values = {
        "video": list(videos),
        "label": torch.arange(n) % 2,
        "class_names": ["a", "b"],
        "streams": list(streams),
        "logits": torch.randn(s, n, 2),
        "clips": torch.full((s, n), 4),
        "listed": n + 1,
        "clip_top1": torch.randint(0, 5, (s, n)),
        "clip_top5": torch.full((s, n), 4),
        "activated": torch.rand(s, n, 2),
        "fused_hits": torch.randint(0, 5, (2, n)),
        "about": ABOUT,
    }
    return Scores(**values | changes)


def equal(a: Scores, b: Scores) -> bool:
    names = vars(a).keys()
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in ((getattr(a, name), getattr(b, name)) for name in names)
    )


def test_scores_keep_what_was_agreed(tmp_path):
    make_scores().save(tmp_path / "new" / "scores.npz", torch.randn(3, 2))
    with np.load(tmp_path / "new" / "scores.npz", allow_pickle=False) as file:
        kinds = {key: (file[key].shape, file[key].dtype.kind, file[key].dtype.itemsize) for key in file}
        assert file["video"].tolist() == ["a/x", "b/ü", "b/z"]
    assert kinds.pop("about")[:2] == ((), "U")
    assert kinds.pop("video")[:2] == ((3,), "U")
    assert kinds.pop("class_names")[:2] == kinds.pop("streams")[:2] == ((2,), "U")
    assert kinds == {
        "label": ((3,), "i", 8),
        "logits": ((2, 3, 2), "f", 4),
        "clips": ((2, 3), "i", 8),
        "listed": ((), "i", 8),
        "fused": ((3, 2), "f", 4),
        "clip_top1": ((2, 3), "i", 8),
        "clip_top5": ((2, 3), "i", 8),
        "activated": ((2, 3, 2), "f", 4),
        "fused_hits": ((2, 3), "i", 8),
    }


NOTHING_MORE = dict.fromkeys(("clip_top1", "clip_top5", "activated", "fused_hits")) | {"about": {}}


@pytest.mark.parametrize("changes", [{}, NOTHING_MORE])
def test_scores_come_back(tmp_path, changes):
    written = make_scores(**changes)
    written.save(tmp_path / "s.npz", torch.randn(3, 2))
    assert equal(load(tmp_path / "s.npz"), written)


def test_clip_accuracy_counts_clips_not_videos():
    top1 = torch.tensor([[4, 0, 2], [1, 1, 1]])
    assert make_scores(clip_top1=top1, clips=torch.tensor([[4, 1, 5]] * 2)).clip_accuracy == pytest.approx([0.6, 0.3])


def test_streams_are_chosen_by_name_in_the_order_asked_for():
    both = make_scores()
    one = both.only(["sfs"])
    assert one.streams == ["sfs"]
    assert torch.equal(one.logits[0], both.logits[1])
    assert one.about["checkpoints"] == {"sfs": {"file": "b.pth"}}
    assert torch.equal(both.only(["sfs", "rgb"]).clip_top1, both.clip_top1.flip(0))
    assert torch.equal(both.only(["rgb", "sfs"]).fused_hits, both.fused_hits)
    assert one.fused_hits is None  # of another fusion
    assert torch.equal(both.rows(videos=[2, 0]).fused_hits, both.fused_hits[:, [2, 0]])
    with pytest.raises(ValueError, match="no stream flow; there are rgb, sfs"):
        both.only(["flow"])


@pytest.mark.parametrize("position", range(0, 1400, 90))
def test_a_damaged_file_is_named(tmp_path, position):
    path = tmp_path / "s.npz"
    make_scores().save(path, torch.randn(3, 2))
    content = bytearray(path.read_bytes())
    for damaged in (content[:position], content[:position] + bytes(40) + content[position + 40 :]):
        path.write_bytes(damaged)
        try:
            load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": np.zeros((2, 3, 5), np.float32)}, "logits has shape"),
        ({"logits": np.full((2, 3, 2), np.nan, np.float32)}, "not finite"),
        ({"label": np.array([0, 1, 7])}, "labels outside"),
        ({"label": np.array([0.0, 1, 1])}, "label is of type"),
        ({"video": np.array(["a", "b", "a"])}, "'a' is in it twice"),
        ({"clip_top1": np.zeros((2, 2), int)}, "clip_top1 has shape"),
        ({"clip_top1": np.array([["0"] * 3] * 2)}, "clip_top1 is of type"),
        ({"clips": np.zeros((2, 3), int)}, "videos of no clips"),
        ({"logits": np.zeros((2, 3, 2), np.longdouble)}, "logits is of type"),
        ({"logits": np.zeros((2, 3, 2), ">f4")}, "logits is of type"),
        ({"label": np.zeros(3, ">i8")}, "label is of type"),
        ({"activated": np.full((2, 3, 2), np.inf, np.float32)}, "not finite"),
        ({"about": np.array("[1]")}, "no JSON object"),
        ({"about": np.array("{")}, "damaged"),
        ({"about": np.array('{"options": []}')}, "its options is no JSON object"),
        ({"about": np.array('{"checkpoints": [1]}')}, "its checkpoints is no JSON object"),
        ({"about": np.array('{"checkpoints": {"rgb": "a.pth"}}')}, "its checkpoint of rgb is no JSON object"),
        ({"about": np.array('{"dataset": 3}')}, "its dataset is no text"),
        ({"about": np.array('{"unlike": {"a": 1}}')}, "its unlike is no list"),
        ({"video": None}, "damaged"),
        ({"video": np.array([{}], object)}, "damaged"),
    ],
)
def test_what_is_no_score_file_is_said(tmp_path, changes, message):
    path = tmp_path / "s.npz"
    make_scores().save(path, torch.randn(3, 2))
    with np.load(path) as file:
        arrays = dict(file) | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=message) as raised:
        load(path)
    assert str(path) in str(raised.value)


def test_whole_numbers_of_other_lengths_become_indices(tmp_path):
    path = tmp_path / "s.npz"
    make_scores().save(path, torch.randn(3, 2))
    with np.load(path) as file:
        arrays = dict(file) | {"label": np.array([1, 0, 1], np.int32), "clips": np.full((2, 3), 5, np.int8)}
    np.savez(path, **arrays)
    read = load(path)
    assert (read.label.dtype, read.clips.dtype) == (torch.int64, torch.int64)
    assert read.label.tolist() == [1, 0, 1]


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such score file"):
        scores.load(tmp_path / "none.npz")


def test_files_are_joined_by_video_whatever_their_order():
    one = make_scores(["rgb"])
    other = make_scores(["rgb", "flow"], videos=["b/z", "a/x", "b/ü"], label=torch.tensor([0, 0, 1]))
    both = join([("one.npz", one), ("other.npz", other)])
    assert both.streams == ["rgb", "rgb-2", "flow"]
    assert both.video == one.video
    assert torch.equal(both.logits[1:], other.logits[:, [1, 2, 0]])
    assert torch.equal(both.clip_top5, torch.cat([one.clip_top5, other.clip_top5[:, [1, 2, 0]]]))
    assert both.about["checkpoints"].keys() == {"rgb", "rgb-2", "flow"}


@pytest.mark.parametrize(
    ("one", "other", "kept"), [("tanh", "tanh", True), ("tanh", "relu", False), ("tanh", "", False)]
)
def test_scores_of_unlike_activations_are_not_put_side_by_side(one, other, kept):
    a, b = (make_scores([name], about={"activation": own}) for name, own in (("rgb", one), ("flow", other)))
    both = join([("one.npz", a), ("other.npz", b)])
    assert (both.activated is not None) is kept
    assert both.about["activation"] == (one if kept else "")
    assert len(both.logits) == 2


def test_stream_names_that_come_again_are_numbered_and_keep_their_checkpoints():
    parts = [("a.npz", make_scores(["rgb", "rgb-2"])), ("b.npz", make_scores(["rgb"]))]
    (_, a), (_, b) = numbered(parts)
    assert (a.streams, b.streams) == (["rgb", "rgb-2"], ["rgb-3"])
    assert b.about["checkpoints"] == {"rgb-3": {"file": "a.pth"}}


def test_what_one_file_lacks_the_joined_one_lacks():
    both = join([("one.npz", make_scores(["rgb"])), ("other.npz", make_scores(["flow"], activated=None))])
    assert both.activated is None
    assert both.fused_hits is None
    assert both.clip_top1 is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["a", "c"]}, "its classes are not those of one.npz"),
        ({"videos": ["a/x", "b/ü"]}, "b/z is in one of them only"),
        ({"videos": ["a/x", "b/ü", "b/y"]}, "b/z is in one of them only"),
        ({"videos": ["a/x", "b/ü", "b/z", "c"]}, "c is in one of them only"),
        ({"label": torch.tensor([0, 0, 0])}, "another label for b/ü"),
    ],
)
def test_scores_of_other_videos_labels_or_classes_are_not_joined(changes, message):
    with pytest.raises(ValueError, match=message) as raised:
        join([("one.npz", make_scores(["rgb"])), ("other.npz", make_scores(["flow"], **changes))])
    assert str(raised.value).startswith("other.npz: ")


def test_a_protocol_says_what_is_not_stated():
    assert protocol(make_scores(about={})) == (
        "data not stated, 3 of 4 listed videos, 12 clips (views not stated), fps not stated, short side not stated, "
        "seen at not stated"
    )
    metrics = {"top1": 0.5, "top5": 1.0, "mean_class": 0.25}
    line = accuracies(make_scores(about={}, clip_top1=None, fused_hits=None), metrics)
    assert line.startswith("clip top-1 not stated; video top-1 0.5000, top-5 1.0000, mean class 0.2500; data not")


def test_a_protocol_has_views_frame_rate_and_short_side():
    options = {"test_sampling": "stepped", "num_clips": 25, "num_crops": "10", "sample_size": 112, "short_side": 128}
    options |= {"sample_duration": 16, "clip_stride": 2}
    said = {"dataset": "UCF101", "subset": "val", "split": 3, "options": options}
    said |= {"provenance": {"fps": 12.5, "short_side": None}, "unlike": ["amp off in a, bf16 in b"]}
    assert protocol(make_scores(about=said, clips=torch.tensor([[2, 2, 2], [3, 3, 1000]]))) == (
        "UCF101 val split 3, 3 of 4 listed videos, 6 and 1,006 clips (25 stepped x 10 crops of 16 frames, stride 2, at "
        "112 px), 12.5 fps, native short side, seen at 128, UNLIKE: amp off in a, bf16 in b"
    )
