"""predict.py: what it says of files and folders, and what it refuses."""

import json
import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from answering import NAMES, names_in, run, write_weights
from waits import GPU, on_gpu

from benchmarks import predict as benchmark
from datasets import RGB, clip_starts, loop, read_video
from datasets.clips import crops
from datasets.decoding.images import resample_frames
from datasets.synthetic import render, write_avi
from engine import checkpoint
from engine.command import cli
from models import FUSIONS, load_stream
from models.backbones.output import Output
from workflows.predicting.inputs import find_inputs, targets
from workflows.predicting.predict import PredictorSettings, build_predictor
from workflows.predicting.predictor import Predictor, predict_video, share_cores


def answers(capsys, *words):
    run(*words, "--json", "-")
    return json.loads(capsys.readouterr().out)


def clip_logits(path, video):
    """Logits (N, K) of all clips of a video, decoded as a whole and scored one by one."""
    state = checkpoint.load(path)
    network = load_stream(Namespace(**state["options"]), RGB, state, path).eval()
    frames = np.stack(list(read_video(video, 25.0, 40)))
    seen = resample_frames(frames, crops.TestCrops(32)(np.random.default_rng(0))(*frames.shape[1:3]))
    numbers = [loop(start, len(frames), 8) for start in clip_starts(len(frames), 8)]
    with torch.inference_mode():
        clips = [torch.from_numpy(seen[:, np.array(chosen) - 1])[None] for chosen in numbers]
        return torch.cat([network({"rgb": clip}).logits for clip in clips])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_video_is_scored_as_if_it_was_read_at_once(videos, weights, capsys, threads, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    video = videos / "run" / "short.avi"
    (one,) = answers(capsys, video, "--weights", weights["rgb"], weights["student"], "--logits")["videos"]
    assert one["frames"] == 11
    assert [(window["start"], window["end"]) for window in one["windows"]] == [(0.0, 0.32), (0.12, 0.44)]
    whole = torch.stack([clip_logits(weights[name], video) for name in ("rgb", "student")])  # S N K
    torch.testing.assert_close(torch.tensor([own["values"] for own in one["logits"]]), whole.mean(1))
    expected = dict(zip(NAMES, whole.mean((0, 1)).softmax(0).tolist(), strict=True))
    assert {best["class"]: best["probability"] for best in one["top"]} == pytest.approx(expected, abs=1e-5)
    windows = whole.mean(0).softmax(-1).max(-1)
    assert [NAMES.index(window["class"]) for window in one["windows"]] == windows.indices.tolist()
    assert [window["probability"] for window in one["windows"]] == pytest.approx(windows.values.tolist(), abs=1e-5)


def test_the_document_says_what_was_done(videos, weights, capsys, tmp_path):
    video = videos / "run" / "short.avi"
    out = tmp_path / "new" / "answers.json"
    run(video, "--weights", weights["rgb"], weights["student"], "--json", out, "--fusion_weights", 3, 1)
    assert len(capsys.readouterr().out.splitlines()) == 3
    found = json.loads(out.read_text())
    assert found["inputs"] == [str(video)]
    assert found["checkpoints"][0] == {"file": weights["rgb"], "arch": "resnet-10", "epoch": 2, "stream": "rgb"}
    assert found["fusion"] == {"method": "activno", "weights": [3, 1]}
    assert found["classes"] == list(NAMES)
    assert found["errors"] == []
    assert found["versions"]["torch"] == torch.__version__
    (one,) = found["videos"]
    assert "logits" not in one
    assert one["seconds"] == 0.44
    speed = one["speed"]
    assert speed["times_real_time"] == pytest.approx(speed["frames_per_second"] / 25, rel=0.02)
    assert names_in(out.parent) == [out.name]


@pytest.mark.parametrize("method", FUSIONS)
def test_probabilities_are_some_whatever_the_fusion(method):
    predictor = Predictor((), NAMES, {}, 1, method, None, torch.device("cpu"))
    probabilities = predictor.probabilities(torch.randn(2, 4, 3))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(4))
    assert (probabilities >= 0).all()


def test_the_mean_of_probabilities_is_not_taken_for_logits():
    predictor = Predictor((), NAMES, {}, 1, "softmax", None, torch.device("cpu"))
    logits = torch.tensor([[9.0, 0.0, 0.0]]).expand(2, 1, 3)
    torch.testing.assert_close(predictor.probabilities(logits), logits[0].softmax(-1))


def test_strides_choose_the_frames(videos, weights, capsys):
    words = (videos / "run" / "long.avi", "--weights", weights["rgb"])
    (one,) = answers(capsys, *words, "--window_stride", 20)["videos"]
    assert [window["start"] for window in one["windows"]] == [0.0, 0.8, 1.6, 2.08]
    (one,) = answers(capsys, *words, "--frame_stride", 3)["videos"]
    assert [(window["start"], window["end"]) for window in one["windows"]] == [(0.0, 0.88), (0.96, 1.84), (1.52, 2.4)]


def test_the_stride_of_the_clips_is_the_checkpoint_s(videos, tmp_path, capsys):
    own = write_weights(tmp_path / "a.pth", clip_stride=2)
    found = answers(capsys, videos / "run" / "short.avi", "--weights", own)
    assert found["recipe"]["clip_stride"] == 2
    other = write_weights(tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"b.pth: made with clip_stride 1, .*a.pth with 2; they cannot be fused"):
        run(videos / "run" / "short.avi", "--weights", own, other)


def test_a_long_video_has_its_segments_told(videos, weights, capsys):
    run(videos / "run" / "long.avi", "--weights", weights["rgb"])
    lines = capsys.readouterr().out.splitlines()
    classes, parts = [line.split() for line in lines[:3]], [line.split() for line in lines[3:]]
    assert sorted(name for _, name in classes) == sorted(NAMES)
    assert [float(p) for p, _ in classes] == sorted((float(p) for p, _ in classes), reverse=True)
    assert {part[-1] for part in parts} <= set(NAMES)
    assert parts[0][0] == "0.0"
    assert parts[-1][2:4] == ["2.4", "s"]
    assert all(before[2] == after[0] for before, after in pairwise(parts))


def test_flow_is_computed_where_it_is_read(videos, weights, capsys):
    (one,) = answers(capsys, videos / "run" / "short.avi", "--weights", weights["rgb"], weights["flow"])["videos"]
    assert one["frames"] == 10
    write_avi(videos.parent / "still.avi", render("bar_sway", 0, 0, frames=2)[0][:1])
    with pytest.raises(ValueError, match=r"still.avi: a single frame has no flow"):
        run(videos.parent / "still.avi", "--weights", weights["flow"])


def test_a_network_in_half_precision_says_about_the_same(videos, weights, capsys):
    words = (videos / "run" / "short.avi", "--weights", weights["rgb"], "--logits")
    (plain,), (half,) = (answers(capsys, *words, *more)["videos"] for more in ((), ("--amp", "bf16")))
    a, b = (torch.tensor(one["logits"][0]["values"]) for one in (plain, half))
    assert not torch.equal(a, b)
    torch.testing.assert_close(a, b, atol=0.05, rtol=0.05)


def test_what_is_compiled_is_warmed_up_before_the_clock_runs(weights, monkeypatch):
    calls = []
    monkeypatch.setattr(Predictor, "warm_up", lambda self: calls.append(self.clips))
    monkeypatch.setattr("workflows.predicting.predict.prepared", lambda network, **_: network)
    settings = PredictorSettings(compile_mode="default", batch_size=5)
    assert build_predictor([weights["rgb"]], settings, device="cpu").clips == 5
    assert build_predictor([weights["rgb"]], settings, device="cpu", live=True).clips == 1
    assert calls == [5, 1]


def test_warming_up_runs_every_network(weights):
    predictor = build_predictor([weights["rgb"], weights["flow"]], device="cpu")
    seen = []
    for network in predictor.networks:
        network.register_forward_hook(lambda own, inputs, out: seen.append(own.stream))
    predictor.warm_up()
    assert set(seen) == {"rgb", "flow"}


def test_threads_share_the_cores(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    for tasks, count, each in ((2, 2, 4), (3, 3, 2), (20, 8, 1)):
        pool = share_cores(tasks)
        assert (pool._max_workers, pool._initargs) == (count, (each,))
        pool.shutdown()


def test_folders_are_searched_for_videos_and_frames_in_order(videos, tmp_path):
    (tmp_path / "run" / "a").mkdir(parents=True)
    for name in ("run/b.mp4", "run/B.AVI", "run/a/00001.jpg", "run/a/more.mp4", ".trash.mp4", "notes.txt"):
        (tmp_path / name).touch()
    found = find_inputs([str(videos), str(tmp_path)])
    assert [video.name.as_posix() for video in found] == ["run/long", "run/short", "run/B", "run/a", "run/b"]
    assert [video.path.name for video in found] == ["long.avi", "short.avi", "B.AVI", "a", "b.mp4"]
    (frames,) = find_inputs([str(tmp_path / "run" / "a")])
    assert (frames.path, frames.name.as_posix(), frames.live) == (tmp_path / "run" / "a", "a", False)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("https://a.b/c.mp4", "https://a.b/c.mp4: predict reads files and cameras, no URLs"),
        ("rtsp://camera/1", "no URLs"),
        ("nowhere.mp4", r"nowhere.mp4: no such file or folder; a camera is named by its number alone"),
        ("empty", r"empty: holds no video \(.* .avi .*\) and no folder of frames"),
    ],
)
def test_what_cannot_be_read_is_named(word, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_inputs([word])


def test_a_camera_is_watched_alone(videos):
    assert [video.live for video in find_inputs(["3"])] == [True]
    with pytest.raises(ValueError, match=r"^0: a camera or pipe is watched alone"):
        find_inputs([str(videos), "0"])


def test_results_go_to_a_file_or_to_a_folder(tmp_path):
    for name in ("a.avi", "b/a.avi", "b/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    one, two = find_inputs([str(tmp_path / "a.avi")]), find_inputs([str(tmp_path / "b")])
    kinds = (".mp4", ".mkv")
    assert targets("--out", f"{tmp_path}/c.mkv", one, kinds) == [tmp_path / "c.mkv"]
    assert targets("--out", f"{tmp_path}/new", one, kinds) == [tmp_path / "new" / "a.mp4"]
    for value, inputs, message in (
        (f"{tmp_path}/c.mp4", two, "one file for 2 videos; name a folder"),
        (f"{tmp_path}/c.gif", one, "must be a folder or end in .mp4 or .mkv"),
        (f"{tmp_path}/new", two, "a.mp4 of .*a.mp4 would overwrite that of .*a.avi"),
        (f"{tmp_path}/b", two[1:], "would overwrite that of .*b/a.mp4"),
    ):
        with pytest.raises(ValueError, match=message):
            targets("--out", value, inputs, kinds)


def test_damaged_videos_are_named_and_the_others_answered(videos, weights, tmp_path, capsys, caplog):
    good = tmp_path / "in" / "good.avi"
    good.parent.mkdir()
    good.write_bytes((videos / "run" / "short.avi").read_bytes())
    data = good.read_bytes()
    (tmp_path / "in" / "cut.avi").write_bytes(data[: len(data) // 2])
    (tmp_path / "in" / "none.mp4").write_text("no video")
    words = [tmp_path / "in", "--weights", weights["rgb"], "--json", tmp_path / "a.json", "--out", tmp_path / "out"]
    with pytest.raises(ValueError, match="2 of 3 videos cannot be used, as said above") as failed:
        run(*words)
    assert cli.exit_code(failed.value) == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == str(good)
    assert len(printed) == 4
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert all(line.startswith(f"error: {tmp_path}") for line in errors)
    assert [Path(line.split(": ")[1]).name for line in errors] == ["cut.avi", "none.mp4"]
    found = json.loads((tmp_path / "a.json").read_text())
    assert [one["input"] for one in found["videos"]] == [str(good)]
    assert [Path(one["input"]).name for one in found["errors"]] == ["cut.avi", "none.mp4"]
    assert names_in(tmp_path / "out") == ["good.mp4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["v.avi", "--show"], "--show is for cameras and pipes, which v.avi is not"),
        (["v.avi", "--seconds", "3"], "--seconds is for cameras"),
        (["0", "--out", "a.mp4"], "--out is for files, which 0 is not"),
        (["0", "--json", "a.json"], "a camera has no end; use --json - > a.json"),
        (["0", "--seconds", "-1"], "--seconds -1.0 must be more than 0"),
        (["v.avi", "--logits"], "--logits is for --json"),
        (["v.avi", "--fusion_weights", "1"], "2 streams need 2 weights"),
    ],
)
def test_options_that_mean_nothing_are_refused(words, message, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.avi").touch()
    with pytest.raises(ValueError, match=message):
        run(*words, "--weights", weights["rgb"], weights["student"])


def test_a_timeline_without_matplotlib_says_how_to_get_it(videos, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match="--timeline draws with matplotlib: pip install matplotlib"):
        run(videos / "run" / "short.avi", "--weights", weights["rgb"], "--timeline", "t.png")


def test_a_gpu_is_given_full_batches_alone_and_answers_the_same(videos, weights):
    video, files = videos / "run" / "long.avi", [weights["rgb"], weights["student"]]
    shared = build_predictor(files, PredictorSettings(batch_size=3), device="cpu")
    sizes = []

    class Noted(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network, self.view = network, network.view

        def forward(self, batch):
            sizes.append(len(batch[self.view]))
            return self.network(batch)

    alone = Predictor(**vars(shared) | {"pool": None, "networks": [Noted(network) for network in shared.networks]})
    expected, found = (predict_video(predictor, video) for predictor in (shared, alone))
    assert len(expected.timeline.cells()) % 3  # the last batch is not full
    assert set(sizes) == {3}
    torch.testing.assert_close(found.logits, expected.logits)
    assert [name for name, _ in found.top()] == [name for name, _ in expected.top()]
    assert len(found.timeline.cells()) == len(expected.timeline.cells())


def test_a_gpu_is_waited_for_once_however_many_networks_there_are():
    def network(batch):
        return Output(batch["rgb"].float().mean((2, 3, 4)), {})

    predictor = Predictor([network] * 3, NAMES, {}, 1, "activno", None, GPU, clips=2)
    with on_gpu() as gpu:
        logits = predictor.logits([{"rgb": torch.zeros(3, 8, 32, 32, dtype=torch.uint8)}])
    assert logits.shape == (3, 1, 3)
    assert gpu.waits == ["to"] * 2  # clips there, logits back


@pytest.mark.slow
def test_the_benchmark_prints_a_table_and_writes_every_number(tmp_path, capsys):
    out = tmp_path / "new" / "predict.json"
    small = "--model resnet --depth 10 --width 0.0625 --size 64x48 --seconds 0.6 --rounds 1 --streams 1 --eager"
    benchmark.main(benchmark.parse_args([*small.split(), "--out", str(out)]))
    record = json.loads(out.read_text())
    here = not benchmark.missing_packages("openvino", "int8")
    named = [name for name in benchmark.WAYS if "compiled" not in name and (here or "openvino" not in name)]
    assert list(record["rows"]) == named
    assert all(len(times) == 1 and times[0]["cpu"] > 0 for times in record["rows"].values())
    table = capsys.readouterr().out
    assert "1 x resnet-10 x 0.0625, 0.6 s of 64x48 at 25 fps" in table
    assert "| bf16, frame stride 2 | " in table


@pytest.mark.parametrize("words", [["--size", "64"], ["--seconds", "0"], ["--rounds", "0"]])
def test_the_benchmark_refuses_what_cannot_be_measured(words, tmp_path):
    with pytest.raises(ValueError, match="--size must be like 640x360"):
        benchmark.main(benchmark.parse_args([*words, "--out", str(tmp_path / "b.json")]))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("option", "name"), [("--json", "a.json"), ("--out", "a.mp4"), ("--timeline", "a.png")])
def test_answers_that_cannot_be_written_are_refused_before_a_network_is_read(option, name, count, tmp_path):
    videos = [tmp_path / f"{i}.avi" for i in range(count)]
    for path in (*videos, tmp_path / "file"):
        path.touch()
    target = tmp_path / "file" / (name if count == 1 or option == "--json" else "")
    with pytest.raises(NotADirectoryError, match=f"file: is a file, .*; use another {option}"):
        run(*videos, "--weights", "none.pth", option, target)
