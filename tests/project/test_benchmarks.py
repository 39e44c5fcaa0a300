"""The benchmarks measure what their tables say. Times themselves are not tested."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import words_for
from source_files import ROOT, text

import train
from benchmarks import best_epoch, extraction, loading, students, teacher_cache
from benchmarks import flow as benchmark
from benchmarks.common.report import environment, markdown
from benchmarks.readers.original import OriginalLoader, levels
from benchmarks.readers.subjects import SUBJECTS, draw_clips
from benchmarks.readers.tables import disk_table, listing_table, speed_table, workers_table
from benchmarks.readers.workers import worker_rates
from benchmarks.solvers.methods import CPU, REFERENCE, workable
from benchmarks.solvers.real_pairs import RealPair, fastest_pair, middlebury
from benchmarks.solvers.tables import gpu_table, scaling_line
from benchmarks.synthetic import videos as clips
from benchmarks.synthetic.scenes import end_point_error, make_scene
from datasets.clips import crops
from datasets.clips.random_crops import MultiScaleCornerCrop
from datasets.decoding.jpeg import native
from datasets.stores.store import Video
from engine import checkpoint
from engine.command import cli
from flow import build_flow
from flow.flo import write_flo
from opts import parse_opts
from sts_common.timing import LEAST_CPU, MOST_CALLS, Seconds, alternated, cpu_seconds, gpu_seconds

TINY = ["--size", "48x32", "--pairs", "2"]


def lacking():
    """In the place of a builder of a solver."""
    raise ValueError("this OpenCV has no TV-L1")


def test_a_run_prints_the_tables_and_writes_every_number(tmp_path, capsys):
    out = tmp_path / "new" / "flow.json"
    benchmark.main(benchmark.parse_args([*TINY, "--methods", "farneback", "--seed", "3", "--out", str(out)]))
    record = json.loads(out.read_text())
    assert [tuple(pair.values()) for pair in record["pairs"]] == [(3, "noise", 2.0), (4, "noise", 5.0)]
    assert list(record["cpu"]) == [REFERENCE, "cv2 farneback"]
    assert record["environment"]["cpu"]
    for rows in (record["cpu"][name]["pairs"] for name in record["cpu"]):
        assert len(rows) == 2
        assert all(row["cpu_s"] > 0 for row in rows)
    own, other = (record["cpu"][name]["pairs"][0] for name in record["cpu"])
    assert (own["ratio"], own["px"], own["levels"], own["within_1"]) == (1, 0, 0, 1)
    assert other["ratio"] == own["cpu_s"] / other["cpu_s"]
    assert other["px"] > 0
    printed = capsys.readouterr().out
    assert f"{record['environment']['cpu']}, OpenCV" in printed
    assert "| cv2 farneback | " in printed
    assert "| EPE at a peak speed of | 2 px | 5 px |" in printed


def test_a_pass_of_a_teacher_and_reading_its_cache_are_timed_beside_each_other(tmp_path, capsys, monkeypatch):
    tiny = {"tiny": ("resnet", {"depth": 10, "width": 0.0625}, (4, 32)), "other": ("none", {}, (4, 32))}
    monkeypatch.setattr(teacher_cache, "TEACHERS", tiny)
    words = ["--rounds", "2", "--batch_size", "2", "--only", "tin", "--out", str(tmp_path / "out.json")]
    record = teacher_cache.main(teacher_cache.parse_args(words))
    (row,) = record["rows"]
    assert all(len(times) == 2 and min(times) > 0 for times in row["seconds"].values())
    assert row["bytes"][teacher_cache.MAPS] > row["bytes"][teacher_cache.VECTOR] > 4 * 1000
    assert "| tiny | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pairs", "0"], "--pairs 0 is not at least 1"),
        (["--methods", "brox"], "no solver's name holds brox; there are cv2 tvl1, "),
        (["--size", "340"], "'340' is not WIDTHxHEIGHT"),
        (["--size", "8x64"], "'8x64' is not WIDTHxHEIGHT"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(words, message, tmp_path, capsys, monkeypatch):
    out = tmp_path / "flow.json"
    monkeypatch.setattr(sys, "argv", ["flow.py", *TINY, "--out", str(out), *words])
    with pytest.raises(SystemExit) as stop:
        cli.run(benchmark.main, benchmark.parse_args)
    assert stop.value.code == cli.INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not out.exists()


def test_middleburys_pairs_are_measured_where_their_flow_is_known(tmp_path, capsys):
    scene = make_scene(1, 48, 64, 3.0)
    truth = scene.flow.copy()
    truth[:20] = np.nan
    folder, out = tmp_path / "Wood", tmp_path / "flow.json"
    folder.mkdir()
    write_flo(folder / "flow10.flo", truth)
    for number, image in ((10, scene.previous), (11, scene.following)):
        cv2.imwrite(str(folder / f"frame{number}.png"), image)
    benchmark.main(benchmark.parse_args(["--middlebury", str(tmp_path), "--methods", "farneback", "--out", str(out)]))
    record = json.loads(out.read_text())
    theirs, farneback = (record["cpu"][name]["pairs"][0] for name in (REFERENCE, "cv2 farneback"))
    images = scene.previous, scene.following
    flows = [build_flow(name)(*images) for name in ("tvl1", "farneback")]
    known = np.isfinite(truth).all(-1)
    assert farneback["epe"] == pytest.approx(end_point_error(flows[1], scene.flow, known))
    assert farneback["epe_change"] == pytest.approx(farneback["epe"] / theirs["epe"] - 1)
    assert (theirs["px"], theirs["epe_change"], theirs["ratio"]) == (0, 0, 1)
    printed = capsys.readouterr().out
    assert "| px to cv2; EPE | ms per pair | times as fast | Wood |" in printed
    assert f"{farneback['px']:.3f}; {farneback['epe']:.3f} (" in printed


def test_the_fastest_pair_of_a_video_is_found(tmp_path):
    picture = make_scene(0, 96, 128).previous
    writer = cv2.VideoWriter(str(tmp_path / "pan.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (128, 96))
    for step in np.cumsum([0, 1, 1, 4, 1]):  # fastest from the third frame to the fourth
        writer.write(cv2.cvtColor(np.roll(picture, step, 1), cv2.COLOR_GRAY2BGR))
    writer.release()
    assert fastest_pair(tmp_path / "pan.avi").name == "pan.avi 3"


def test_a_pair_of_a_video_is_measured_without_its_true_flow(tmp_path, capsys, monkeypatch):
    out, scene = tmp_path / "flow.json", make_scene(1, 48, 64, 3.0)
    monkeypatch.setattr(benchmark, "fastest_pair", lambda video: RealPair(video.name, scene.previous, scene.following))
    benchmark.main(benchmark.parse_args(["--videos", "pan.avi", "--methods", "farneback", "--out", str(out)]))
    record = json.loads(out.read_text())
    (row,) = record["cpu"]["cv2 farneback"]["pairs"]
    assert record["pairs"] == ["pan.avi"]
    assert row["px"] > 0
    assert "epe" not in row
    assert "| cv2 farneback | " in capsys.readouterr().out


def test_a_folder_without_middleburys_pairs_says_what_belongs_there(tmp_path):
    with pytest.raises(ValueError, match=r"no NAME/flow10\.flo with frame10\.png and frame11\.png"):
        middlebury(tmp_path)
    (tmp_path / "Wood").mkdir()
    write_flo(tmp_path / "Wood" / "flow10.flo", np.zeros((16, 16, 2)))
    with pytest.raises(ValueError, match=r"Wood: frame10\.png or frame11\.png is not there or no image"):
        middlebury(tmp_path)


def test_without_the_reference_only_solvers_of_a_gpu_are_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(CPU, REFERENCE, lacking)
    monkeypatch.setattr(benchmark, "GPU", {"cuda fast": lambda: build_flow("tvl1", preset="fast")})
    monkeypatch.setattr(benchmark, "gpu_rates", partial(benchmark.gpu_rates, device="cpu"))
    monkeypatch.setattr(benchmark, "gpu_seconds", lambda call: 0.5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    words = [*TINY, "--methods", "cuda", "--out", str(tmp_path / "flow.json")]
    record = benchmark.main(benchmark.parse_args(words))
    assert record["cpu"] == {}
    assert record["missing"] == {REFERENCE: "this OpenCV has no TV-L1"}
    assert set(record["gpu"]["solvers"]["cuda fast"]["pairs"][0]) == {"epe", "epe_visible"}
    printed = capsys.readouterr().out
    assert printed.count("|\n") == 3
    assert re.search(r"\| cuda fast \| 2 \| 16 \| 64 \| 0\.\d+ \| 0\.\d+ \|  \|  \|  \|", printed)
    for gpu in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        with pytest.raises(ValueError, match="this OpenCV has no TV-L1"):
            benchmark.main(benchmark.parse_args([*words, "--methods", "cuda", "farneback"]))


def test_a_solver_that_this_machine_lacks_is_left_out_with_the_reason():
    images = np.zeros((2, 16, 16), np.uint8)
    builders = {"works": lambda: np.add, "lacks": lacking, "other": lambda: np.add}
    assert workable(builders, ["wor", "lack"], *images) == ({"works": np.add}, {"lacks": "this OpenCV has no TV-L1"})
    assert list(workable(builders, [], *images)[0]) == ["works", "other"]


@pytest.mark.parametrize(("seconds", "calls"), [(1.0, 1), (LEAST_CPU / 2.5, 3), (0.0, MOST_CALLS)])
def test_quick_calls_are_repeated_and_slow_ones_are_not(seconds, calls, monkeypatch):
    clock = iter(np.arange(2 * MOST_CALLS) * seconds)
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    done = []
    spent, result = cpu_seconds(lambda: done.append(0) or len(done))
    assert (len(done), result) == (calls, calls)
    assert spent == pytest.approx(seconds)


def test_calls_alternate_and_every_other_round_is_reversed():
    order = []
    rounds = alternated({name: partial(order.append, name) for name in "ab"}, 3)
    assert "".join(order) == "abbaab"
    assert [set(times) for times in rounds] == [{"a", "b"}] * 3


def test_scaling_is_told_with_the_cores_that_there_were():
    rounds = [{1: Seconds(wall, wall), 2: Seconds(wall / 1.9, 1.02 * wall)} for wall in (1.0, 2.0, 3.0)]
    line = scaling_line({"scaling": rounds})
    assert "1.90 times as fast" in line
    assert "+2 % CPU time" in line
    assert "1.94 cores" in line
    assert scaling_line({"scaling": None}) == ""


def test_rates_of_a_gpu_are_batches_over_their_time_and_errors_are_of_every_pair(monkeypatch):
    shapes = []

    def seconds(call):
        shapes.append(call().shape)
        return 0.5

    monkeypatch.setattr(benchmark, "gpu_seconds", seconds)
    monkeypatch.setattr(benchmark, "GPU", {"torch fast": partial(build_flow, "tvl1", "torch", "fast")})
    scenes = [make_scene(seed, 32, 48, speed=2.0) for seed in range(2)]
    references = [scene.flow + np.float32((3, 4)) for scene in scenes]
    rates = benchmark.gpu_rates(scenes, references, [], device="cpu")
    assert rates["missing"] == {}
    row = rates["solvers"]["torch fast"]
    assert row["pairs_per_s"] == {1: 2, 8: 16, 32: 64}
    assert shapes == [(1, 32, 48, 2), (8, 32, 48, 2), (32, 32, 48, 2)]
    assert [pair["px"] for pair in row["pairs"]] == pytest.approx([5, 5], abs=1)
    assert max(pair["epe"] for pair in row["pairs"]) < 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_is_timed_until_it_is_done():
    a = torch.ones(4096, 4096, device="cuda")
    assert gpu_seconds(lambda: a @ a) > gpu_seconds(lambda: a[:64] @ a[:, :64])


def test_the_table_of_gpus_has_a_column_per_batch_and_says_when_there_is_no_gpu():
    row = {"epe": 0.1, "epe_visible": 0.2, "px": 0.05, "levels": 0.25, "within_1": 0.98}
    solvers = {"cuda fast": {"pairs": [row, row], "pairs_per_s": {1: 10.0, 32: 2000.0}}}
    table = gpu_table({"environment": {"gpu": "H200"}, "gpu": {"solvers": solvers}})
    assert "| H200, pairs/s in batches of | 1 | 32 | EPE all |" in table
    assert "| cuda fast | 10 | 2000 | 0.100 | 0.200 | 0.050 | 0.250 | 98.0 % |" in table
    assert "nothing about GPUs was measured" in gpu_table({"gpu": None})


def test_markdown_has_a_rule_below_its_header():
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | --: |\n| x | 1 |\n"


def test_the_environment_names_versions_and_processor():
    assert set(environment()) == {"cpu", "cores", "gpu", "python", "opencv", "torch", "numpy"}


def test_the_parts_of_an_extraction_are_told_beside_the_whole(tmp_path, capsys):
    words = ["--frames", "3", "--rounds", "2", "--presets", "fast", "--out", str(tmp_path / "out.json")]
    extraction.main(extraction.parse_args(words))
    record = json.loads((tmp_path / "out.json").read_text())
    assert [set(times) for times in record["presets"]["fast"]] == [{"total", "flow", "decoding"}] * 2
    assert "| fast | " in capsys.readouterr().out


def test_the_table_of_extraction_has_medians_per_pair_and_the_ratio():
    rounds = [{"total": total, "flow": 0.2, "decoding": 0.01} for total in (0.22, 0.23, 0.3)]
    printed = extraction.table({"frames": 11, "presets": {"fast": rounds}, "environment": {"cpu": "a CPU"}})
    assert "a CPU, 3 videos of 340x256" in printed
    assert "| fast | 1.150 (1.100-1.500) | 20.00 | 1.00 | 2.00 |" in printed


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        (extraction, ["--frames", "1"], "--frames 1 is not at least 2"),
        (loading, ["--rounds", "0"], "--rounds 0 is not at least 1"),
        (loading, ["--only", "sound"], "nothing that is measured holds sound; there are RGB clip, "),
    ],
)
def test_what_cannot_be_measured_is_refused(script, words, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        script.main(script.parse_args([*words, "--out", str(tmp_path / "out.json")]))


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Two videos of 35 frames."""
    root = tmp_path_factory.mktemp("made_up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "FRAMES", (35, 36))
        counts = clips.write_videos(root / "frames", 2)
    return [Video(path, root / "frames" / path, 0, frames - 1) for path, frames in counts.items()]


def test_made_up_images_are_as_large_as_extracted_ones(made_up):
    files = [file for video in made_up for file in video.folder.iterdir()]
    flow = [file.stat().st_size for file in files if file.name.startswith("TVL1")]
    rgb = [file.stat().st_size for file in files if not file.name.startswith("TVL1")]
    assert (len(rgb), len(flow)) == (70, 4 * 34)
    assert 12_000 < np.mean(rgb) < 21_000
    assert 3_000 < np.mean(flow) < 4_500
    assert cv2.imread(str(made_up[0].folder / "00001.jpg")).shape == (256, 341, 3)


def test_made_up_videos_depend_on_the_seed_alone(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "FRAMES", (35, 36))
    clips.write_videos(tmp_path, 1)
    name = "wave/video000/00007.jpg"
    assert (tmp_path / name).read_bytes() == (made_up[0].folder.parents[1] / name).read_bytes()


def test_the_originals_clip_is_pillows_less_the_means(made_up):
    loader = OriginalLoader(("rgb", "flow"), 112)
    placement = MultiScaleCornerCrop(112, flip=1.0)(np.random.default_rng(2))
    clip = loader.clip(made_up[0].folder, range(3, 19), placement)
    assert clip.shape == (5, 16, 112, 112)
    assert clip.dtype == torch.float32
    unflipped = loader.clip(made_up[0].folder, range(3, 19), placement._replace(flip=False))
    flow = clip[3:].flip(-1)
    assert torch.equal(flow[0], -unflipped[3])  # 255 - x about the mean of 127.5
    assert torch.equal(flow[1], unflipped[4])
    means = [levels(pixels, loader.streams).float().mean().item() for pixels in (clip, unflipped)]
    assert means[0] == pytest.approx(means[1], abs=2)


@pytest.mark.parametrize(("streams", "channels"), [(("rgb",), 3), (("rgb", "flow"), 5), (("flow",), 2)])
def test_the_original_drops_the_frames_after_the_last_clip(streams, channels, made_up):
    placement = crops.TestCrops(32)(np.random.default_rng(0))
    video = OriginalLoader(streams, 32).video(made_up[0].folder, 16, placement)
    assert video.shape == (2, channels, 16, 32, 32)


def test_our_reader_shows_the_pixels_of_the_original(made_up):
    if native.missing():
        pytest.skip(native.missing())
    forms, _ = loading.available_forms(made_up[0].folder.parents[2])
    assert list(forms) == ["native", "python", "fast", "pack", "cache"]
    for subject in SUBJECTS.values():
        rows = {name: {} for name in forms}
        for draw in draw_clips(subject, made_up, 0, 1)[:3]:
            truth = [subject.original_levels(draw)]
            for name, store in forms.items():
                loading.note_differences(rows[name], [subject.levels(store, draw)], truth)
        assert [rows[name]["pixels"]["differing"] for name in ("native", "pack", "cache")] == [0, 0, 0]
        assert rows["python"]["pixels"]["max"] <= 1
        assert rows["fast"]["pixels"]["sum"] < 0.7 * rows["fast"]["pixels"]["compared"]


def test_loading_prints_its_tables_and_writes_every_number(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(clips, "FRAMES", (20, 21))
    out = tmp_path / "loading.json"
    words = ["--videos", "1", "--rounds", "1", "--only", "rgb clip", "list", "--listed", "5", "--out", str(out)]
    loading.main(loading.parse_args(words))
    record = json.loads(out.read_text())
    rows = record["subjects"]["RGB clip"]
    assert list(record["subjects"]) == ["RGB clip"]
    assert {"original", "python"} <= set(rows)
    assert all(len(row["cpu_s"]) == 1 and min(row["cpu_s"]) > 0 for row in rows.values())
    assert rows["python"]["pixels"]["compared"] == 8 * 3 * 16 * 112 * 112
    assert record["list"]["videos"] == 5
    assert "workers" not in record
    printed = capsys.readouterr().out
    assert "| RGB clip | CPU ms | times as fast |" in printed
    assert "| 5 videos of 60 frames | seconds |" in printed


def test_without_a_native_decoder_its_forms_are_left_out_with_the_reason(made_up, monkeypatch):
    monkeypatch.setattr(native, "missing", lambda: "no compiler")
    forms, missing = loading.available_forms(made_up[0].folder.parents[2])
    assert "python" in forms
    assert missing == dict.fromkeys(("native", "fast", "pack"), "no compiler")
    assert list(loading.calls_of(SUBJECTS["RGB clip"], {}, [])) == ["original"]


def test_tables_of_loading_have_ratios_of_rounds():
    rows = {
        "original": {"cpu_s": [0.009, 0.012]},
        "native": {"cpu_s": [0.003, 0.003], "pixels": {"compared": 200, "differing": 0, "sum": 0, "max": 0}},
        "python": {"cpu_s": [0.0045, 0.006], "pixels": {"compared": 200, "differing": 1, "sum": 1, "max": 1}},
        "floor": {"cpu_s": [0.002, 0.003]},
    }
    printed = speed_table({"environment": {"cpu": "a CPU"}, "rounds": 2, "subjects": {"RGB clip": rows}})
    assert "| native | 3.00 | 3.50 (3.00-4.00) | 1.25 | 0 | 0 | 0 |" in printed
    assert "| Python: OpenCV and torch | 5.25 | 2.00 (2.00-2.00) | 2.12 | 0.5 % | 0.005 | 1 |" in printed
    disk = {name: {"rgb": size, "flow": size / 2} for name, size in (("python", 1000.0), ("pack", 980.0))}
    assert "| packed clips | 980 (0.980) | 490 (0.980) |" in disk_table({"disk": disk})
    rates = {"original, 2 processes": [100.0, 200.0], "native, 2 threads": [300.0, 800.0]}
    assert "| native, 2 threads | 550 | 3.50 (3.00-4.00) |" in workers_table({"workers": {"RGB clip": rates}})
    seconds = {"folders": 1.5, "manifest": 0.25}
    assert "| by manifest | 0.25 |" in listing_table({"list": {"videos": 5, "frames": 60, "seconds": seconds}})
    assert [table({"subjects": {}}) for table in (speed_table, disk_table, workers_table, listing_table)] == [""] * 4


@pytest.mark.slow
def test_workers_of_both_kinds_are_measured_beside_the_originals(made_up, monkeypatch):
    monkeypatch.setattr("benchmarks.readers.workers.CLIPS", 16)
    rates = worker_rates(made_up, 1, 0)
    assert set(rates) == {"RGB clip", "RGB_Flow clip"}
    for kinds in rates.values():
        assert [kind.partition(", ")[2] for kind in kinds] == ["2 processes", "2 processes", "1 thread", "2 threads"]
        assert all(len(rate) == 1 and rate[0] > 0 for rate in kinds.values())


def test_tests_and_benchmarks_can_be_collected_without_pyav():
    files = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if re.search(r"^(from|import) av\b", text(path), re.MULTILINE)] == []


def test_students_are_tabulated_against_the_first():
    row = {"student": "resnet-10 x 0.25", "way": "float32", "accuracy": 0.5, "same": 1.0, "videos": 4, "bytes": 2e6}
    rows = [row | {"seconds": [0.02, 0.04]}, row | {"way": "openvino, int8", "same": 0.75, "seconds": [0.01, 0.01]}]
    record = {"environment": environment(), "rows": rows, "seed": 1, "epochs": {"students": 18}}
    printed = students.table(record)
    assert "4 made-up test videos of 12 classes, seed 1, 18 epochs" in printed
    assert "| resnet-10 x 0.25 | float32 | 2.00 | 50.0 % | 100.0 % | 33 | 1.00 |" in printed
    assert "| resnet-10 x 0.25 | openvino, int8 | 2.00 | 50.0 % | 75.0 % | 100 | 3.00 |" in printed


def test_what_is_trained_is_not_trained_again(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(students.Stages, "run", lambda self, stage, *words: commands.append((stage, *map(str, words))))
    monkeypatch.setattr(students, "weights", lambda folder: folder / "sfs_18.pth")
    for _ in range(2):
        assert students.trained(tmp_path / "a", students.Stages(), "train.py", ["--x"]) == tmp_path / "a" / "sfs_18.pth"
        (tmp_path / "a" / "HMDB51").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "HMDB51" / "sfs_18.pth").touch()
    assert commands == [("a", "train.py", "--x", "--result_path", str(tmp_path / "a"))]


def test_epochs_are_chosen_by_validation_and_scored_on_the_test_videos(hmdb51, tmp_path):
    words = [*words_for(hmdb51, tmp_path), "--only_RGB", "--run_name", "rgb", "--n_epochs", "3", "--checkpoint", "1"]
    train.main(parse_opts([*words, "--keep", "0"]))
    run = tmp_path / "HMDB51" / "rgb"
    opt = best_epoch.parse_args([str(run), "--every", "1", "--out", str(tmp_path / "best.json")])
    (row,) = best_epoch.main(opt)["rows"]
    assert (set(row["top1"]), row["chosen"][best_epoch.LAST]) == ({1, 2, 3}, 3)
    best = checkpoint.load(run.with_name("rgb_best.pth"))
    assert row["chosen"][best_epoch.CHANCE] == best["epoch"] - 1
    run.with_name("rgb_2.pth").unlink()
    with pytest.raises(FileNotFoundError, match="rgb: has no checkpoint of epoch 2 beside it; train with"):
        best_epoch.main(opt)


def test_rules_by_hand_and_runs_named_by_what_tells_them_apart():
    rows = [(0.10, 3.0), (0.42, 2.0), (0.42, 1.9), (0.35, 1.8), (0.20, 2.5)]
    history = {epoch: {"val_acc": acc, "val_loss": loss} for epoch, (acc, loss) in enumerate(rows, 1)}
    assert list(best_epoch.choose_epochs(history, 100).values()) == [3, 4, 4, 5]
    assert list(best_epoch.choose_epochs(history, 10_000).values()) == [3, 4, 3, 5]
    names = best_epoch.short_names([Path(f"a/seed{seed}/{row}/b/long_{row}") for seed in (1, 2) for row in ("x", "y")])
    assert names == ["seed1/x", "seed1/y", "seed2/x", "seed2/y"]
    assert best_epoch.short_names([Path("results/rgb"), Path("results/sfs")]) == ["rgb", "sfs"]
