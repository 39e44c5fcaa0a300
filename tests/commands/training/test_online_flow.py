"""Flow that is computed from the frames while a student trains: the same as stored flow, without the files."""

import copy
import json
import math
import shutil
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import QUICK, TINY
from waits import GPU, on_gpu

import benchmarks.online_flow as benchmark
import STS_train
import test_two_stream
import train
from datasets import FLOW, RGB, ClipOptions, build_dataset, build_loader, make_loader, open_videos
from datasets.clips.image_ops import turn_vectors
from datasets.clips.pairs import Pairs
from datasets.loading.online_flow import OnlineFlow, PendingFlow, read_grey
from datasets.stores.frames import FrameFolders
from datasets.synthetic import render, write_avi
from datasets.video import Video
from engine import checkpoint
from flow import build_flow, encode
from flow.tvl1.parameters import build_parameters
from flow.tvl1.torch_solver import TorchTVL1
from opts import parse_opts
from utils1 import extract_frames_flows
from workflows.training import teacher_flow
from workflows.training.teacher_flow import flow_seen, shared_flow

CPU = torch.device("cpu")
SIZES = ((60, 76, 12), (72, 60, 12), (60, 76, 6), (60, 76, 12))  # height, width and frames of a class's videos
ONLINE = ["--modality", "RGB_Flow", "--flow_source", "online"]


def make_tree(root: Path) -> Path:
    """`root`/frames as the extraction script leaves them, and `root`/labels, of two classes of made-up videos."""
    (root / "labels").mkdir(parents=True)
    for c, name in enumerate(("disc_rise", "star_sway")):
        lines = []
        for v, (height, width, frames) in enumerate(SIZES):
            pixels, _ = render(name, 10 * c + v, 0, size=76, frames=frames)
            video = f"film{v}_{name}_f_cm_np1_fr_med_0"
            write_avi(root / "videos" / name / f"{video}.avi", pixels[:, :height, :width])
            lines.append(f"{video}.avi {1 if v < 3 else 2} \n")
        (root / "labels" / f"{name}_test_split1.txt").write_text("".join(lines))
    words = [str(root / "videos"), str(root / "frames"), "0", "2", "cpu", "--short_side", "60", "--workers", "1"]
    extract_frames_flows.main(extract_frames_flows.parse_args(words))
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_tree(tmp_path_factory.mktemp("extracted"))


@pytest.fixture(scope="module")
def frames_only(tree, tmp_path_factory) -> Path:
    """The same videos as `extract_frames.py` leaves them."""
    root = tmp_path_factory.mktemp("frames_only") / "tree"
    shutil.copytree(tree, root, ignore=shutil.ignore_patterns("TVL1*", "flow.json", "done", "videos"))
    assert not list(root.rglob("TVL1*"))
    return root


@pytest.fixture(scope="module")
def teacher(tree, tmp_path_factory) -> Path:
    """A checkpoint of a network trained on the stored flow for an epoch."""
    results = tmp_path_factory.mktemp("teacher")
    train.main(parse_opts([*words_for(tree, results), "--modality", "Flow"]))
    (path,) = results.rglob("HMDB51_1_Flow_*varLR1.pth")
    return path


def words_for(root: Path, results: Path) -> list[str]:
    paths = f"--frame_dir {root / 'frames'} --annotation_path {root / 'labels'} --result_path {results}".split()
    return [*paths, *TINY, *QUICK, "--val_fraction", "0"]


def options(root: Path, *words: str):
    return parse_opts([*words_for(root, root / "results"), *ONLINE, *words])


def flow_for(opt, state=None, device=CPU) -> OnlineFlow:
    return flow_seen(state or {}, "flow.pth", device, in_workers=bool(opt.n_workers))


def in_this_process(flow: OnlineFlow) -> OnlineFlow:
    """The same flow computed as for a GPU, on the CPU."""
    return OnlineFlow(flow.build, flow.encode, record=flow.record, device=CPU)


def assert_same(a: dict, b: dict) -> None:
    """Two samples or batches have the same videos and pixels."""
    assert a["video"] == b["video"]
    assert torch.equal(a["rgb"], b["rgb"])
    assert torch.equal(a["flow"], b["flow"])


def videos_of(root: Path) -> list[Path]:
    return sorted((root / "frames").glob("*/*"))


@pytest.mark.parametrize(
    ("numbers", "frames", "first", "order"),
    [
        ([3, 4, 5], [3, 4, 5, 6], [0, 1, 2], [0, 1, 2]),
        ([2, 3, 1, 2], [1, 2, 3, 4], [0, 1, 2], [1, 2, 0, 1]),
        ([2, 7], [2, 3, 7, 8], [0, 2], [0, 1]),
        ([1, 1], [1, 2], [0], [0, 0]),
    ],
    ids=["consecutive", "looped", "apart", "a single flow"],
)
def test_every_frame_is_read_and_every_flow_computed_once(numbers, frames, first, order):
    assert Pairs.of(numbers) == Pairs(frames, first, order)


def test_clips_with_computed_flow_are_those_with_stored_flow(tree):
    opt = options(tree)
    computed = build_dataset(opt, "train", flow=flow_for(opt))
    stored = build_dataset(parse_opts([*words_for(tree, tree), "--modality", "RGB_Flow"]), "train")
    assert [video.num_frames for video in computed.videos] == [video.num_frames for video in stored.videos]
    for epoch in range(3):  # crops and flips are drawn anew
        for index in range(len(stored)):
            a, b = computed[epoch, index], stored[epoch, index]
            assert a.keys() == b.keys()
            assert torch.equal(a["rgb"], b["rgb"])
            assert a["flow"].shape == (2, 8, 32, 32)
            difference = (a["flow"].int() - b["flow"].int()).abs()  # what the JPEG of stored flow makes
            assert (difference <= 1).float().mean() > 0.98
            assert difference.float().mean() < 0.2


def test_computed_flow_is_the_same_by_keyword_arguments(frames_only):
    opt = options(frames_only, "--n_workers", "2", "--loader", "threads")
    videos = open_videos(
        *(frames_only / "labels", frames_only / "frames"), val_fraction=0, streams=(RGB, FLOW), flow_source="online"
    )
    for where in (flow_for, lambda opt: in_this_process(flow_for(opt))):
        clips, loading = ClipOptions(size=32, length=8), {"n_workers": 2, "loader": "threads", "batch_size": 4}
        loader = make_loader(videos, clips, flow=where(opt), **loading)
        expected = build_loader(opt, "train", flow=where(opt))
        assert type(loader) is type(expected)
        for a, b in zip(loader, expected, strict=True):
            assert_same(a, b)


def test_computed_flow_needs_no_files_and_ignores_those_that_are_there(tree, frames_only):
    datasets = [build_dataset(opt := options(root), "train", flow=flow_for(opt)) for root in (tree, frames_only)]
    for index in range(len(datasets[0])):
        assert_same(*(dataset[0, index] for dataset in datasets))


def test_a_device_of_the_training_process_makes_the_clips_of_the_loader_processes(frames_only):
    opt = options(frames_only, "--batch_size", "6")
    flow = flow_for(opt)
    loaders = [build_loader(opt, "train", flow=made) for made in (flow, in_this_process(flow))]
    for epoch in range(3):
        for loader in loaders:
            loader.set_epoch(epoch)
        for a, b in zip(*loaders, strict=True):  # videos of two sizes in one batch
            assert a.keys() == b.keys()
            assert a["video"] == b["video"]
            assert torch.equal(a["rgb"], b["rgb"])
            assert a["flow"].shape == b["flow"].shape == (6, 2, 8, 32, 32)
            assert b["flow"].dtype == torch.uint8
            difference = a["flow"].float() - b["flow"].float()
            assert difference.abs().max() <= 1  # bytes are rounded twice when they are resized, along rows and columns
            assert difference.mean().abs() < 0.05


def test_a_batch_is_solved_by_one_call_for_each_size_to_the_bits_of_clip_by_clip(frames_only):
    opt = options(frames_only, "--batch_size", "6", "--loader", "threads")
    flow, calls = flow_for(opt), []

    def build():
        solve = flow.build()

        def counted(previous, following):
            calls.append(tuple(previous.shape))
            return solve(previous, following)

        return counted

    loader = build_loader(opt, "train", flow=OnlineFlow(build, flow.encode, record=flow.record, device=CPU))
    (raw,) = loader.unfinished()
    alone = []
    pixels = raw["grey"].split([math.prod(clip.shape) for clip in raw["unfinished"]])
    for part, clip in zip(pixels, copy.deepcopy(raw["unfinished"]), strict=True):
        grey, pairs = part.view(clip.shape), clip.pairs
        first = torch.tensor(pairs.first)
        levels = flow.encode(flow.solve(grey[first], grey[first + 1]))[pairs.order].permute(0, 3, 1, 2)
        alone.append(loader.place_flow(levels, clip)["flow"])
    batch = loader.finish(raw)
    assert torch.equal(batch["flow"], torch.stack(alone))
    assert batch.keys() == {"rgb", "label", "video", "seconds", "flow"}
    shapes = [(len(clip.pairs.first), *clip.shape[1:]) for clip in raw["unfinished"]]
    assert len(calls) == len({shape[1:] for shape in shapes}) == 2
    assert sum(pairs for pairs, *_ in calls) == sum(pairs for pairs, *_ in shapes)


@pytest.mark.parametrize("numbers", [range(1, 9), [2, 3, 4, 1, 2, 3, 4, 1], [1, 4, 5, 9], [1, 1, 1]])
def test_a_gpu_is_not_waited_for_whatever_the_frames_of_a_clip(numbers, frames_only):
    loader = build_loader(opt := options(frames_only), "train", flow=in_this_process(flow_for(opt)))
    pairs = Pairs.of(list(numbers))
    clips = [PendingFlow(pairs, (len(pairs.frames), 60, width), np.random.default_rng(0)) for width in (76, 60, 76)]
    solve, calls = TorchTVL1(build_parameters("fast", {"scales": 1, "warps": 1})), []
    loader.flow = OnlineFlow(
        lambda: lambda *images: calls.append(1) or solve.find(*images), encode, record={}, device=GPU
    )
    with on_gpu() as gpu, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "device_of", lambda tensor: nullcontext())
        grey = torch.empty(sum(math.prod(clip.shape) for clip in clips), dtype=torch.uint8, device=GPU)
        made = loader.finish({"label": torch.empty(3, device=GPU), "grey": grey, "unfinished": clips})
    assert made["flow"].shape == (3, 2, len(numbers), 32, 32)
    assert made["flow"].device.type == "cuda"
    assert len(calls) == 2
    assert gpu.launched["grid_sampler_2d"] == 2
    assert not gpu.waits


def test_flow_is_turned_on_a_gpu_too():
    for operation in ("shear_x", "shear_y", "turn"):
        with on_gpu() as gpu:
            assert turn_vectors(torch.empty(2, 8, 32, 32, dtype=torch.uint8, device=GPU), operation, 0.2).is_cuda
        assert not gpu.waits


def test_all_views_of_a_clip_are_of_one_draw_wherever_flow_is_computed(frames_only):
    opt = options(frames_only, "--augment", "erasing", "randaugment", "--erasing", "0.5")
    flow, views = flow_for(opt), ("rgb", "flow", "flow@64", "rgbdiff", "rgb@64")
    loaders = [build_loader(opt, "train", views, made) for made in (flow, in_this_process(flow))]
    loaders.append(build_loader(opt, "train", flow=flow))
    for a, b, pair in zip(*loaders, strict=True):
        assert {name: x.shape[1:] for name, x in a.items() if name in views} == {
            name: (2 if "flow" in name else 3, 8, *(64 if "@" in name else 32,) * 2) for name in views
        }
        for name in views:
            assert (a[name].int() - b[name].int()).abs().max() <= ("flow" in name)
        assert all(torch.equal(a[name], pair[name]) for name in ("rgb", "flow"))


def test_batches_of_the_training_process_do_not_depend_on_the_number_of_loader_processes(frames_only):
    made = []
    for workers in ("0", "2"):
        opt = options(frames_only, "--n_workers", workers)
        loader = build_loader(opt, "train", flow=in_this_process(flow_for(opt)))
        made.append([batch for epoch in (1, 2) for batch in (loader.set_epoch(epoch), *loader)[1:]])
    for a, b in zip(*made, strict=True):
        assert_same(a, b)


def test_flow_is_computed_as_the_teacher_saw_it(frames_only):
    parameters = {"finest_scale": 1, "iterations": 20}
    made = {"algorithm": "dis", "parameters": parameters, "bound": 5.0, "quantisation": "round"}
    opt = options(frames_only)
    flow = flow_for(opt, {"recipe": {"provenance": made}})
    folder, pairs = videos_of(frames_only)[0], Pairs.of([1, 2, 3, 4])
    grey = np.stack([cv2.imread(str(folder / f"{i:05d}.jpg"), cv2.IMREAD_GRAYSCALE) for i in range(1, 6)])
    expected = encode(build_flow("dis", **parameters)(grey[:-1], grey[1:]), 5.0, "round")
    computed = flow(read_grey(Video("", folder, 0, 4), FrameFolders(frames_only / "frames"), pairs), pairs)
    np.testing.assert_array_equal(computed.permute(0, 2, 3, 1).numpy(), expected)
    assert {key: flow.record[key] for key in ("algorithm", "bound", "quantisation")}.items() <= made.items()
    assert parameters.items() <= flow.record["parameters"].items()


def test_a_published_teacher_gets_published_flow(frames_only):
    record = flow_for(options(frames_only)).record
    assert (record["algorithm"], record["bound"], record["quantisation"]) == ("tvl1", 20.0, "truncate")
    assert record["parameters"]["epsilon"] == 0.01


def test_a_gpu_takes_the_recorded_schedule_and_leaves_opencvs_flows_to_loader_processes(frames_only, monkeypatch):
    asked = []

    def on_gpu(preset, device, threads, parameters):
        asked.append((preset, device, parameters))
        return build_flow("tvl1")

    monkeypatch.setattr("flow.tvl1.backends.cuda", on_gpu)
    opt = options(frames_only, "--n_workers", "3")
    recorded = {**build_flow("tvl1").description["parameters"], "warps": 3}
    for name, parameters in (("tvl1", recorded), ("dis", {"iterations": 20})):
        state = {"recipe": {"provenance": {"algorithm": name, "parameters": parameters}}}
        flow = flow_for(opt, state, torch.device("cuda:1"))
        assert flow.device == (torch.device("cuda:1") if name == "tvl1" else None)
    assert asked == [("opencv", "cuda:1", recorded)]


def test_loader_processes_take_a_core_each(frames_only, monkeypatch):
    for workers, threads in (("0", None), ("2", 1)):
        assert flow_for(options(frames_only, "--n_workers", workers)).build.keywords["threads"] == threads


def test_without_the_native_kernel_torch_computes_nearly_the_same(frames_only, monkeypatch):
    opt = options(frames_only)
    made = {"recipe": {"provenance": build_flow("tvl1").description}}
    folder, pairs = videos_of(frames_only)[0], Pairs.of([1, 2])
    grey = read_grey(Video("", folder, 0, 2), FrameFolders(frames_only / "frames"), pairs)
    native_flow = flow_for(opt, made)
    native = native_flow(grey, pairs)
    monkeypatch.setattr("flow.tvl1.backends.kernel.missing", lambda: "there is no compiler")
    torch_only = flow_for(opt, made)
    assert torch_only.record["parameters"] == native_flow.record["parameters"]
    difference = (native.int() - torch_only(grey, pairs).int()).abs()
    assert (difference <= 1).float().mean() > 0.98
    assert difference.any()


def test_flow_that_only_opencv_has_is_computed_by_opencv(frames_only):
    state = {"recipe": {"provenance": {"algorithm": "tvl1", "parameters": {"gamma": 0.1}}}}
    for device in ("cpu", "cuda"):
        flow = flow_for(options(frames_only), state, torch.device(device))
        assert flow.device is None
        assert flow.record["library"].startswith("opencv")


def distil(root: Path, teacher: Path, results: Path, *words: str) -> Path:
    """The last checkpoint of a student."""
    options = [*words_for(root, results), *ONLINE, "--learning_rate", "0.001", "--resume_path1", str(teacher)]
    STS_train.main(parse_opts([*options, *words]))
    return max(results.rglob("SFS_*[0-9].pth"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def test_a_student_is_trained_from_frames_alone_to_the_same_bits_by_any_number_of_processes(
    frames_only, teacher, tmp_path
):
    states = [
        checkpoint.load(distil(frames_only, teacher, tmp_path / workers, "--n_workers", workers))
        for workers in ("0", "2")
    ]
    assert states[0]["metrics"] == states[1]["metrics"]
    for name, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][name]), name
    made = states[0]["recipe"]["provenance"]
    assert (made["algorithm"], made["bound"], made["short_side"]) == ("tvl1", 20.0, 60)


@pytest.mark.slow
def test_teachers_by_name_may_read_computed_flow(frames_only, teacher, tmp_path):
    words = [*words_for(frames_only, tmp_path / "named"), *ONLINE[ONLINE.index("--flow_source") :]]
    named = [*words, "--learning_rate", "0.001", "--teacher", f"f={teacher}", "--run_name", "s"]
    STS_train.main(parse_opts(named))
    alone = distil(frames_only, teacher, tmp_path / "alone")
    a, b = (checkpoint.load(path) for path in (alone, tmp_path / "named" / "HMDB51" / "s_1.pth"))
    assert a["recipe"] == b["recipe"]
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name


def test_teachers_of_unlike_flow_cannot_read_the_same():
    made = {"recipe": {"provenance": {"algorithm": "tvl1", "bound": 20.0}}}
    other = {"recipe": {"provenance": {"algorithm": "tvl1", "bound": 15.0}}}
    with pytest.raises(ValueError, match=r"b.pth: saw flow with bound 15.0, and a.pth with 20.0, but --flow_source"):
        shared_flow({"a.pth": made, "b.pth": other}, CPU, in_workers=False)
    assert shared_flow({"a.pth": made, "b.pth": dict(made)}, CPU, in_workers=False).record["bound"] == 20.0
    with pytest.raises(ValueError, match="--flow_source online: no teacher reads flow: leave it out"):
        shared_flow({}, CPU, in_workers=False)


def test_a_run_with_computed_flow_resumes_to_the_same_bits(frames_only, teacher, tmp_path):
    whole = distil(frames_only, teacher, tmp_path / "whole", "--n_epochs", "2", "--checkpoint", "1")
    first = whole.with_name(whole.name.replace("_2.pth", "_1.pth"))
    parts = distil(frames_only, teacher, tmp_path / "parts", "--n_epochs", "2", "--SFS_resume_path", str(first))
    a, b = (checkpoint.load(path) for path in (whole, parts))
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name


def test_the_training_process_can_compute_the_flow_of_a_whole_run(frames_only, teacher, tmp_path, monkeypatch):
    build = teacher_flow.flow_seen
    monkeypatch.setattr(teacher_flow, "flow_seen", lambda *a, **named: in_this_process(build(*a, **named)))
    assert distil(frames_only, teacher, tmp_path, "--n_workers", "2").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_computes_the_flow_of_a_run(frames_only, teacher, tmp_path):
    opt = options(frames_only, "--batch_size", "6")
    on_gpu = flow_for(opt, device=torch.device("cuda"))
    batches = [next(iter(build_loader(opt, "train", flow=flow))) for flow in (flow_for(opt), on_gpu)]
    difference = (batches[0]["flow"].int() - batches[1]["flow"].cpu().int()).abs()
    assert (difference <= 1).float().mean() > 0.95
    assert distil(frames_only, teacher, tmp_path, "--n_workers", "2", "--device", "cuda").exists()


def test_stored_flow_of_another_kind_is_not_compared_but_frames_are(frames_only, teacher, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(frames_only, root)
    (root / "frames" / "flow.json").write_text('{"algorithm": "dis", "bound": 3.0}')
    assert distil(root, teacher, tmp_path / "a").exists()
    frames = json.loads((root / "frames" / "frames.json").read_text())
    (root / "frames" / "frames.json").write_text(json.dumps(frames | {"fps": 10.0}))
    with pytest.raises(ValueError, match=r"fps 10.0 here, 25.0 in the checkpoint.*frames again.*--allow_flow_mismatch"):
        distil(root, teacher, tmp_path / "b")
    assert distil(root, teacher, tmp_path / "b", "--allow_flow_mismatch").exists()


def test_a_video_of_one_frame_has_no_flow(frames_only, tmp_path, caplog):
    root = tmp_path / "tree"
    shutil.copytree(frames_only, root)
    folder = videos_of(root)[0]
    for image in sorted(folder.glob("*.jpg"))[1:]:
        image.unlink()
    opt = options(root)
    with pytest.raises(ValueError, match=rf"{folder.name}: a single frame has no flow.*--missing skip"):
        build_dataset(opt, "train", flow=flow_for(opt))
    opt = options(root, "--missing", "skip")
    assert len(build_dataset(opt, "train", flow=flow_for(opt))) == 5
    assert "5 of 6 listed videos used" in caplog.text


def test_validation_reads_frames_alone_and_the_same_ones(tree, frames_only):
    online = build_dataset(options(frames_only), "val", (RGB,))
    stored = build_dataset(parse_opts([*words_for(tree, tree), "--modality", "RGB_Flow"]), "val", (RGB,))
    assert [video.num_frames for video in online.videos] == [video.num_frames for video in stored.videos]
    assert online[0].keys() == {"rgb", "label", "video", "seconds"}


@pytest.mark.parametrize("modality", ["RGB", "Flow"])
def test_only_distillation_computes_flow(modality, frames_only, capsys):
    with pytest.raises(SystemExit) as ended:
        options(frames_only, "--modality", modality)
    assert ended.value.code == 2
    assert f"STS_train.py --modality RGB_Flow; --modality {modality}" in capsys.readouterr().err


def test_tests_read_flow_from_files(frames_only, teacher, tmp_path):
    words = [*words_for(frames_only, tmp_path), "--modality", "RGB", *QUICK]
    train.main(parse_opts([*words, "--only_RGB"]))
    (rgb,) = tmp_path.rglob("HMDB51_1_RGB_*varLR1.pth")
    opt = options(frames_only, "--resume_path1", str(rgb), "--resume_path2", str(teacher))
    with pytest.raises(ValueError, match=r"--flow_source online is for STS_train.py"):
        test_two_stream.main(opt)


def test_flow_whose_weights_the_teacher_does_not_hold_is_refused(frames_only, teacher, tmp_path):
    state = checkpoint.load(teacher)
    state["recipe"]["provenance"] = {"algorithm": "raft", "parameters": {"iterations": 12}}
    checkpoint.save(tmp_path / "raft.pth", state)
    with pytest.raises(ValueError, match=r"raft.pth: was made with RAFT's flow, which needs weights.*--flow_source"):
        distil(frames_only, tmp_path / "raft.pth", tmp_path)


def test_the_benchmark_prints_and_saves_what_a_step_costs(tmp_path, capsys):
    small = "--model_depth 10 --width 0.0625 --sample_size 32 --sample_duration 4 --review_mid 8 --n_workers 0".split()
    own = ["--size", "64x48", "--steps", "1", "--rounds", "1", "--out", str(tmp_path / "cost.json"), "--device", "cpu"]
    record = benchmark.main(benchmark.parse_args([*own, *small]))
    saved = json.loads((tmp_path / "cost.json").read_text())
    assert saved["agreement"] == record["agreement"]
    assert saved["agreement"]["within_1"] > 0.98
    for key in ("step", "loading", "loading_cpu"):
        assert all(len(saved[key][source]) == 1 and saved[key][source][0] > 0 for source in ("files", "online"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| ms per batch | files | online | ratio | share of flow |"
    assert lines[4].startswith("| training step |")
    with pytest.raises(ValueError, match="--steps 0"):
        benchmark.main(benchmark.parse_args(["--steps", "0"]))
