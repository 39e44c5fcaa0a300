"""The benchmarks measure what their tables say. Times themselves are not tested."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import extraction
from benchmarks import flow as benchmark
from benchmarks.methods import REFERENCE, workable
from benchmarks.report import environment, gpu_table, markdown, scaling_line
from benchmarks.scenes import make_scene
from benchmarks.timing import LEAST_CPU, MOST_CALLS, Seconds, alternated, cpu_seconds, gpu_seconds
from engine import cli
from flow import build_flow

TINY = ["--size", "48x32", "--pairs", "2"]


def solver(previous, following):
    return np.zeros((*previous.shape, 2), np.float32)


def test_a_run_prints_the_tables_and_writes_every_number(tmp_path, capsys):
    out = tmp_path / "new" / "flow.json"
    benchmark.main(benchmark.parse_args([*TINY, "--methods", "farneback", "--seed", "3", "--out", str(out)]))
    record = json.loads(out.read_text())
    assert [(pair["seed"], pair["texture"], pair["speed"]) for pair in record["pairs"]] == [
        (3, "noise", 2.0),
        (4, "noise", 5.0),
    ]
    assert list(record["cpu"]) == [REFERENCE, "cv2 farneback"]
    assert record["environment"]["cpu"]
    for rows in (record["cpu"][name]["pairs"] for name in record["cpu"]):
        assert len(rows) == 2
        assert all(row["cpu_s"] > 0 for row in rows)
    own, other = (record["cpu"][name]["pairs"][0] for name in record["cpu"])
    assert (own["ratio"], own["px"], own["levels"], own["within_1"]) == (1, 0, 0, 1)
    assert other["ratio"] == own["cpu_s"] / other["cpu_s"]
    assert other["px"] > 0
    text = capsys.readouterr().out
    assert f"{record['environment']['cpu']}, OpenCV" in text
    assert "| cv2 farneback | " in text
    assert "| EPE at a peak speed of | 2 px | 5 px |" in text


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


def test_without_the_reference_nothing_is_measured(monkeypatch, tmp_path):
    def lacking():
        raise ValueError("this OpenCV has no TV-L1")

    monkeypatch.setitem(benchmark.CPU, REFERENCE, lacking)
    with pytest.raises(ValueError, match="this OpenCV has no TV-L1"):
        benchmark.main(benchmark.parse_args([*TINY, "--methods", "farneback", "--out", str(tmp_path / "flow.json")]))


def test_a_solver_that_this_machine_lacks_is_left_out_and_said_why():
    def lacking():
        raise ValueError("no such processor")

    images = np.zeros((2, 16, 16), np.uint8)
    builders = {"works": lambda: solver, "lacks": lacking, "other": lambda: solver}
    assert workable(builders, ["wor", "lack"], *images) == ({"works": solver}, {"lacks": "no such processor"})
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
    text = extraction.table({"frames": 11, "presets": {"fast": rounds}, "environment": {"cpu": "a CPU"}})
    assert "a CPU, 3 videos of 340x256" in text
    assert "| fast | 1.150 (1.100-1.500) | 20.00 | 1.00 | 2.00 |" in text


@pytest.mark.parametrize(("option", "least"), [("--frames", 2), ("--rounds", 1)])
def test_too_little_to_extract_is_refused(option, least, tmp_path):
    words = ["--out", str(tmp_path / "out.json"), option, str(least - 1)]
    with pytest.raises(ValueError, match=f"{option} {least - 1} is not at least {least}"):
        extraction.main(extraction.parse_args(words))
