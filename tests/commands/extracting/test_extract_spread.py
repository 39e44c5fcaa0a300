"""The extraction over threads, processes, GPUs, shards and machines: always the same files, each video once."""

import operator
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from extraction import flows, make_video, names, tree

from datasets.decoding.video.reading import read_video
from sts_common.pool import map_unordered
from sts_common.workers import LEFT, SharedCounters
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe
from workflows.extracting.image_folder import ImageFolder
from workflows.extracting.machine import Machine, machine_part, parse_shard
from workflows.extracting.shared_solvers import SharedSolver
from workflows.extracting.tasks import Tasks

DIS = FlowRecipe(name="dis", backend="opencv")


@pytest.fixture
def source(tmp_path) -> Path:
    for i, name in enumerate(("run/a", "run/b", "walk/c", "walk/d", "walk/e")):
        make_video(tmp_path / "videos" / f"{name}.avi", frames=5 + i, seed=i)
    return tmp_path / "videos"


@pytest.fixture
def whole(source, tmp_path) -> dict[str, str]:
    flows(source, tmp_path / "whole")
    return tree(tmp_path / "whole")


@pytest.mark.parametrize("flow", [["--flow=dis"], ["--flow=tvl1", "--preset=fast"], ["--flow=farneback"]])
def test_the_files_do_not_depend_on_processes_and_threads(source, tmp_path, flow):
    flows(source, tmp_path / "one", *flow)
    flows(source, tmp_path / "processes", *flow, "--workers=2")
    for i in range(5):
        flows(source, tmp_path / "threads", *flow, "--workers=4", f"--shard={i}/5")
    assert tree(tmp_path / "one") == tree(tmp_path / "processes") == tree(tmp_path / "threads")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pixels", [1, 2 * 40 * 48, 4 * 40 * 48 - 1, 10**9])
def test_the_files_do_not_depend_on_the_size_of_a_batch(source, tmp_path, whole, pixels, threads):
    solver, sizes, counts = SharedSolver(DIS, "cpu"), [], []

    def solve(previous, following):
        sizes.append(len(previous))
        return solver(previous, following)

    solve.pairs = lambda height, width: -(-pixels // (height * width))
    recipe = Recipe(short_side=None, flow=DIS)
    with Tasks(lambda: threads, threads) as tasks:
        folder = ImageFolder(tmp_path / "part", recipe, lambda *numbers: counts.append(numbers))
        folder.folder.mkdir()
        video = read_video(source / "walk" / "e.avi", short_side=None, bgr=True)
        assert folder.write_all(video, solve, tasks) == {"rgb": 9, "flow": 8}
    made = {f"walk/e/{name}": digest for name, digest in tree(folder.folder).items()}
    assert made == {name: digest for name, digest in whole.items() if name.startswith("walk/e/") and "done" not in name}
    assert sorted(sizes) == {1: [1] * 8, 3840: [2] * 4, 7679: [4, 4], 10**9: [8]}[pixels]
    assert [sum(n for stream, n, _ in counts if stream == name) for name in ("rgb", "flow")] == [9, 8]
    assert sum(size for *_, size in counts) == 4096 * 25


def test_shards_together_are_all_and_every_video_is_in_one(source, tmp_path, whole):
    made: list[set[str]] = []
    for i in range(7):
        flows(source, tmp_path / f"shard{i}", f"--shard={i}/7")
        made.append(
            {str(done.parent.relative_to(tmp_path / f"shard{i}")) for done in tmp_path.glob(f"shard{i}/*/*/done")}
        )
    assert made == [{"run/a"}, {"run/b"}, {"walk/c"}, {"walk/d"}, {"walk/e"}, set(), set()]
    for i in (2, 0, 1):
        flows(source, tmp_path / "together", f"--shard={i}/3")
    assert tree(tmp_path / "together") == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [("4/4", "the shards of 4 are 0/4 to 3/4"), ("1", "not I/N, like 0/4"), ("-1/4", "not I/N"), ("0/0", "of 0 are")],
)
def test_a_shard_that_does_not_exist_is_refused(text, message):
    assert parse_shard("3/4") == (3, 4)
    with pytest.raises(ArgumentTypeError, match=message):
        parse_shard(text)


def launched(rank: int, world: int, local_rank: int, local_world: int) -> dict[str, str]:
    values = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": local_world}
    return {name: str(value) for name, value in values.items()}


def test_torchrun_gives_each_process_a_shard_a_gpu_and_its_part_of_the_cores(monkeypatch):
    monkeypatch.setattr("workflows.extracting.machine.cores", lambda: 12)
    gpus = ["cuda:0", "cuda:1"]
    machines = [machine_part(launched(rank, 4, rank % 2, 2), None, (0, 1), gpus) for rank in range(4)]
    assert [machine.shard for machine in machines] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert [machine.devices for machine in machines] == [("cuda:0",), ("cuda:1",)] * 2
    assert {machine.cores for machine in machines} == {6}
    alone = machine_part({"RANK": "1"}, None, (1, 3), gpus)
    assert alone == Machine(cores=12, devices=("cuda:0", "cuda:1"), shard=(1, 3))


def test_a_shard_for_torchrun_is_cut_into_the_shards_of_its_processes():
    parts = [machine_part(launched(rank, 2, rank, 2), 1, (i, 3)) for i in range(3) for rank in range(2)]
    cut = [part.share(range(12)) for part in parts]
    assert sorted(video for videos in cut for video in videos) == list(range(12))
    assert {len(videos) for videos in cut} == {2}


def test_processes_that_share_a_gpu_are_told_how_not_to(caplog):
    assert machine_part(launched(3, 4, 3, 4), 1, (0, 1), ["cuda:0", "cuda:2"]).devices == ("cuda:2",)
    assert caplog.messages == ["4 processes share cuda:0, cuda:2; GPU all gives each its own"]


def test_two_ranks_make_what_one_process_makes(source, tmp_path, whole, monkeypatch):
    for rank, complete in ((0, 3), (1, 5)):
        for name, value in launched(rank, 2, rank, 2).items():
            monkeypatch.setenv(name, value)
        flows(source, tmp_path / "both")
        assert len(list(tmp_path.glob("both/*/*/done"))) == complete
    assert tree(tmp_path / "both") == whole


def test_gpus_have_few_processes_and_all_cores():
    gpus = ("cuda:0", "cuda:1")
    assert [Machine(cores=32).processes(jobs) for jobs in (0, 1, 3, 99)] == [1, 1, 3, 32]
    assert [Machine(cores=32, devices=gpus).processes(jobs) for jobs in (1, 3, 99)] == [1, 3, 8]
    assert Machine(cores=2, devices=gpus).processes(99) == 2
    with pytest.raises(ValueError, match="--workers 0 is not at least 1"):
        Machine(cores=0)


def test_the_cores_go_to_the_last_videos():
    counters = SharedCounters(jobs=5, processes=4, cores=8)
    threads = []
    for _ in range(5):
        threads.append(counters.threads())
        counters.add(LEFT, -1)
    assert threads == [2, 2, 2, 4, 8]


def test_processes_are_numbered_and_see_how_many_jobs_are_left():
    counters = SharedCounters(jobs=5, processes=2, cores=2)
    numbers = []
    for number in map_unordered(operator.call, [operator.attrgetter("number")] * 5, counters):
        numbers.append(number)
        assert counters.numbers[LEFT] == 5 - len(numbers)
    assert set(numbers) <= {0, 1}
    assert len(numbers) == 5


def test_an_empty_shard_is_done_at_once(source, tmp_path, caplog):
    with caplog.at_level("INFO"):
        flows(source, tmp_path / "frames", "--shard=6/7")
    assert caplog.messages == ["extracted 0 videos (no images), 0 were already complete, 0 failed"]
    assert names(tmp_path / "frames") == {"flow.json", "frames.json"}


@pytest.mark.slow
def test_a_program_that_has_no_guard_is_run_once(source, tmp_path):
    program = f"""
print("run")
import sts_net
sts_net.extract_videos({str(source)!r}, {str(tmp_path / "out")!r}, sts_net.Recipe(fps=None), workers=2)
"""
    (tmp_path / "program.py").write_text(f"import sys; sys.path.insert(0, {str(Path.cwd())!r}){program}")
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.count("run\n")) == (0, 1), done.stderr
    assert (tmp_path / "out" / "walk" / "e").is_dir()


def test_videos_are_not_extracted_into_their_own_folder(source):
    before = tree(source)
    with pytest.raises(ValueError, match="videos: holds the videos: use another output folder"):
        extract_videos(source, source)
    assert tree(source) == before
