"""The doctor finds what is there, measures it, and says how to get the rest."""

import json
import platform
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datasets.decoding.jpeg import native as loader
from flow import BACKENDS, FLOWS
from flow.tvl1 import native
from sts_common import cores
from utils1 import doctor
from workflows.measuring import doctor as doctor_workflow


@pytest.fixture(scope="module")
def quick():
    """Small images and a single timed call each, and gradients that are right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor_workflow, "errors_by_torch", lambda trials: [0.0 for _ in trials])
        for name, value in (("WIDTH", 64), ("HEIGHT", 48), ("BUDGET", 0.0)):
            patch.setattr(doctor_workflow, name, value)
        yield


@pytest.fixture(scope="module")
def threads() -> tuple[int, int]:
    """Threads of the libraries before anything was measured."""
    return cv2.getNumThreads(), torch.get_num_threads()


@pytest.fixture(scope="module")
def report(threads, quick) -> dict:
    """The report on this machine."""
    return report_of()


def report_of(*options: str) -> dict:
    return doctor.main(doctor.parse_args(list(options)))


def without(monkeypatch, **reasons: str) -> None:
    """A machine on which these backends of TV-L1 cannot be used."""
    there = doctor_workflow.available
    monkeypatch.setattr(doctor_workflow, "available", lambda name: there(name) | (reasons if name == "tvl1" else {}))


def test_every_backend_that_is_there_is_measured(report):
    rows = report["speeds"]
    assert all(row["pairs_per_second"] > 0 for row in rows)
    there = {backend for backend, reason in doctor_workflow.available("tvl1").items() if not reason}
    assert {row["backend"] for row in rows if row["flow"] == "tvl1"} == there
    assert {row["flow"] for row in rows} == {"tvl1", "dis", "farneback"}
    if "native" in there:
        paths = {row["on"].split(", ")[1] for row in rows if "core, " in row["on"]}
        assert paths == set(native.isa_paths()) - {"auto"}


def test_versions_and_hardware_are_those_of_this_process(report):
    machine = report["machine"]
    assert machine["python"] == platform.python_version()
    assert machine["torch"] == torch.__version__
    assert machine["opencv"] == cv2.__version__
    assert machine["opencv_has_tvl1"] is True
    assert machine["cores"] == cores()
    assert len(machine["gpus"]) == torch.cuda.device_count()
    assert machine["disk"]["folder"] == str(Path.cwd())
    assert machine["disk"]["free_gigabytes"] > 0
    assert machine["auto"]["backend"] in BACKENDS
    kernel = None if native.missing() else {"isa": native.isa_used(), "library": str(native.library_path())}
    assert machine["native"] == kernel
    assert (machine["images"] is None) == bool(loader.missing())
    if machine["images"]:
        assert machine["images"]["isa"] in ("baseline", "avx2", "avx512")
        assert Path(machine["images"]["library"]).is_file()


@pytest.mark.parametrize(
    ("error", "wrong"), [(1.0, ["3x3x3 of 2 frames in bf16", "7x7x7 of 4 frames in bf16"]), (0.001, [])]
)
def test_it_says_whether_weight_gradients_of_this_torch_are_right(monkeypatch, error, wrong):
    monkeypatch.setattr(
        doctor_workflow, "errors_by_torch", lambda trials: (error * (dtype == torch.bfloat16) for *_, dtype in trials)
    )
    assert doctor_workflow.wrong_gradients() == wrong
    cure = "they are computed another way here, see docs/speed.md"
    problem = f"torch computes weight gradients wrong ({', '.join(wrong)}): {cure}"
    expected = problem if wrong else "weight gradients of short clips by torch are right"
    assert doctor_workflow.about_gradients(wrong) == f"training on this CPU: {expected}"


def test_what_is_missing_is_named_with_its_cure_and_not_measured(quick, monkeypatch, capsys):
    without(monkeypatch, native="no C++ compiler: install one", opencv="install opencv-contrib-python-headless")
    monkeypatch.setattr(loader, "missing", lambda: "jpeglib.h is not there: install it")
    report = report_of()
    assert report["machine"]["images"] is None
    assert report["missing"]["tvl1 by native"] == "no C++ compiler: install one"
    assert {row["backend"] for row in report["speeds"] if row["flow"] == "tvl1"} <= {"torch", "cuda"}
    lines = capsys.readouterr().out.splitlines()
    assert "missing: tvl1 by native: no C++ compiler: install one" in lines
    assert "missing: tvl1 by opencv: install opencv-contrib-python-headless" in lines
    assert "images: decoded in Python, which takes twice as long, see below" in lines
    cure = "everything it needs on Debian: apt-get install g++ libjpeg62-turbo-dev"
    assert f"missing: images by native: jpeglib.h is not there: install it; {cure}" in lines


def test_a_gpu_is_measured_with_batches_where_there_is_one(monkeypatch):
    without(monkeypatch, cuda="")
    rows = {(row["backend"], row["on"], pairs) for row, _, pairs in doctor_workflow.trials()}
    assert rows >= {(backend, "GPU 0", doctor_workflow.GPU_BATCH) for backend in ("cuda", "torch")}


def test_a_backend_that_fails_is_a_line_and_the_others_are_measured(quick, monkeypatch, capsys):
    def refuse(name: str, *arguments: object, **options: object):
        if name == "dis":
            raise RuntimeError("illegal\ninstruction")
        return build(name, *arguments, **options)

    build = doctor_workflow.build_flow
    monkeypatch.setattr(doctor_workflow, "build_flow", refuse)
    rows = {row["flow"]: row for row in report_of()["speeds"]}
    assert rows["dis"]["problem"] == "illegal instruction"
    assert rows["farneback"]["pairs_per_second"] > 0
    assert "illegal instruction" in capsys.readouterr().out


def test_a_slow_machine_is_not_kept_busy(quick, monkeypatch):
    monkeypatch.setattr(doctor_workflow, "SECONDS", 0.0)
    rows = report_of()["speeds"]
    assert len(rows) == len(list(doctor_workflow.trials()))
    assert {row["problem"] for row in rows} == {"not measured, it takes too long here"}


def test_a_speed_counts_all_pairs_of_the_best_call(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 3.0, 4.0, 4.0, 8.0])  # calls of 2, 1 and 4 seconds
    monkeypatch.setattr(doctor_workflow.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(doctor_workflow, "BUDGET", 5.0)
    calls = []
    images = np.zeros((6, 4, 4), np.uint8)
    assert doctor_workflow.measure(lambda *pair: calls.append(pair), images, images) == 6.0
    assert len(calls) == 1 + 3


def test_the_threads_of_the_libraries_are_as_before(threads, report):
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads


def test_the_table_has_a_line_per_speed_with_the_hours_of_ucf101(report):
    row = {"flow": "tvl1", "backend": "native", "preset": "opencv", "on": "1 core, avx2"}
    machine = report["machine"] | {
        "cores": 4,
        "load": 9.5,
        "gpus": [{"name": "H200", "gigabytes": 150}],
        "auto": {"backend": "cuda", "devices": ["cuda:0"]},
        "wrong_gradients": [],
        "native": None,
        "images": {"isa": "avx2", "libjpeg": "libjpeg.so.62", "library": "clip.so"},
    }
    speeds = [row | {"pairs_per_second": 25.0}, row | {"problem": "it fails"}]
    lines = doctor_workflow.as_text(report | {"machine": machine, "speeds": speeds}).splitlines()
    assert "4 cores, H200 (150 GB)" in lines[0]
    assert "native kernel: none, see below" in lines
    assert "extraction by default: cuda on cuda:0" in lines
    assert "training on this CPU: weight gradients of short clips by torch are right" in lines
    assert "images: native decoder, avx2, libjpeg.so.62, clip.so" in lines
    assert lines[10].split() == ["tvl1", "native", "opencv", "1", "core,", "avx2", "25.0", "27.8"]
    assert lines[11].endswith("-  it fails")
    assert "others are at work here (load 9.5), so the speeds are too low" in lines


def test_json_is_the_whole_report(quick, capsys):
    report = report_of("--json")
    assert json.loads(capsys.readouterr().out) == report
    assert {name.split(" by ")[0] for name in report["missing"]} <= {*FLOWS, "images"}
