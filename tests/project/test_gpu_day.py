"""benchmarks/gpu.py: every stage runs on a CPU in its dry form, and a failure costs one stage alone."""

import json
import time

import pytest
import torch
import torch.nn.functional as F

from benchmarks import gpu
from benchmarks.gpu_stages import convolutions, session, training_runs
from benchmarks.gpu_stages.session import Session


@pytest.fixture
def dry(tmp_path):
    return Session(tmp_path, tmp_path, torch.device("cpu"), time.monotonic() + 300, dry=True)


def test_the_dry_form_writes_a_record_of_every_stage(tmp_path):
    record = gpu.main(gpu.parse_args(["--dry", "--out", str(tmp_path), "--only", "machine", "tvl1"]))
    assert json.loads((tmp_path / "gpu.json").read_text()) == json.loads(json.dumps(record))
    assert list(record["stages"]) == ["machine", "tvl1"]
    assert [name for name, rows in record["stages"].items() if {"error", "late", "skipped"} & rows.keys()] == []
    assert record["stages"]["machine"]["copy_TB_per_s"] > 0
    assert record["stages"]["tvl1"]["pairs_per_s"]["fixed, torch, 2"] > 0


@pytest.mark.slow
def test_the_dry_form_of_the_stages_of_networks_works(tmp_path):
    names = ["convolutions", "training", "inference", "determinism"]
    stages = gpu.main(gpu.parse_args(["--dry", "--out", str(tmp_path), "--only", *names]))["stages"]
    rows = {name: row for stage in stages.values() for name, row in stage.items() if isinstance(row, dict)}
    assert [name for name, row in rows.items() if "refused" in row] == []
    assert max(row["error"] for row in rows.values() if "error" in row) < 1e-5
    steps = [row["losses"] for row in rows.values() if "losses" in row]
    assert len(steps) == 2
    assert all(second < first for first, second in steps)
    assert rows["off, deterministic"]["unlike"] == 0


@pytest.mark.slow
def test_processes_train_side_by_side(dry):
    rows = {}
    training_runs.train_in_processes(dry, rows)
    assert [row["exit_codes"] for row in rows.values()] == [[0, 0], [0, 0]], rows


def test_a_stage_that_fails_or_is_late_is_recorded_and_the_next_one_runs(dry):
    def fails(session, rows):
        rows["before"] = 1
        raise RuntimeError("no such kernel")

    def sleeps(session, rows):
        while True:
            time.sleep(0.01)

    dry.run("fails", 20, fails)
    with dry.deadline(rows := {}, 0.05):
        sleeps(dry, rows)
    dry.end = time.monotonic()
    dry.run("comes too late", 20, fails)
    stages = json.loads((dry.folder / "gpu.json").read_text())["stages"]
    assert stages["fails"]["before"] == 1
    assert stages["fails"]["error"].endswith("RuntimeError: no such kernel\n")
    assert rows == {"late": "more than 0 s"}
    assert stages["comes too late"] == {"skipped": "no time left"}


def test_a_row_that_the_device_refuses_keeps_the_rest(dry):
    rows = {}

    def refuses():
        raise RuntimeError("out of memory")

    dry.row(rows, "large", refuses)
    dry.row(rows, "small", lambda: 2.5)
    assert rows == {"large": {"refused": "out of memory"}, "small": 2.5}


@pytest.mark.slow
def test_a_process_that_hangs_is_killed_and_its_words_are_kept():
    code = "import time; print('begun', flush=True); time.sleep(60)"
    assert session.run_process(["-c", code], 2.0) == (None, "begun\n")


@pytest.mark.parametrize("stride", [1, 2])
def test_formulations_of_a_grouped_convolution_agree_with_their_gradients(stride):
    torch.manual_seed(0)
    x = torch.randn(2, 64, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(64, 2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    truth = F.conv3d(x, weight, None, stride, 1, 1, 32)
    expected = torch.autograd.grad(truth.square().sum(), (x, weight))
    dense = F.conv3d(x, convolutions.expanded(weight, 32), None, stride, 1)
    for out in (dense, convolutions.by_frames(x, weight, stride)):
        torch.testing.assert_close(out, truth)
        torch.testing.assert_close(torch.autograd.grad(out.square().sum(), (x, weight)), expected)


def test_the_stem_over_folded_pixels_is_the_stem():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 8, 16, 20), torch.randn(64, 3, 7, 7, 7)
    out = F.conv3d(convolutions.fold_pixels(x), convolutions.folded_kernel(weight), None, 1, (3, 0, 0))[..., :8, :10]
    torch.testing.assert_close(out, F.conv3d(x, weight, None, (1, 2, 2), 3), atol=1e-3, rtol=1e-3)


def test_without_a_gpu_it_says_what_to_do(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="no GPU that this torch can use; --dry tries the code on a CPU"):
        gpu.main(gpu.parse_args(["--out", str(tmp_path)]))
