"""Building the native libraries where no installer did."""

import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from source_files import ROOT

from benchmarks.synthetic.scenes import make_scene
from flow import available
from flow.tvl1 import native
from flow.tvl1.build import KERNEL
from flow.tvl1.parameters import build_parameters
from sts_common.native import BuildError

STRICT = (*KERNEL.flags, "-Wall", "-Wextra", "-Werror", "-shared", KERNEL.folder / KERNEL.sources[0])
needs_compiler = pytest.mark.skipif(bool(available()["native"]), reason="no C++ compiler")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiler(folder: Path, script: str) -> str:
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def quickly(tmp_path, monkeypatch) -> None:
    """Libraries are compiled in a quarter of the time, where only whether they are there is asked."""
    monkeypatch.setenv("CXX", compiler(tmp_path, 'exec c++ "$@" -O0 -DTVL1_PLAIN'))


@needs_compiler
@pytest.mark.slow
def test_the_first_use_compiles_and_says_so_and_the_second_is_silent(cache, quickly, caplog):
    caplog.set_level(logging.INFO)
    library = native.library_path()
    if library.is_relative_to(cache):  # otherwise it is installed
        assert [line.split(" in ")[0] for line in caplog.messages] == ["compiled the TV-L1 kernel"]
        assert [path.name for path in (cache / "sts_net").iterdir()] == [library.name]
    caplog.clear()
    assert native.library_path() == library
    assert caplog.messages == []


@needs_compiler
@pytest.mark.slow
def test_processes_that_compile_at_the_same_time_do_not_disturb_each_other(cache, quickly):
    command = [sys.executable, "flow/tvl1/build.py"]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate() and process.returncode for process in processes] == [0, 0, 0]
    assert len(list((cache / "sts_net").iterdir())) == 1


def test_the_library_belongs_to_sources_and_processor(cache, monkeypatch, tmp_path):
    before = KERNEL.cached_library()
    assert before.parent == cache / "sts_net"
    for path in KERNEL.folder.glob("tvl1*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    moved = replace(KERNEL, folder=tmp_path)
    assert moved.cached_library() == before
    assert replace(moved, flags=("-O0",)).cached_library() != before
    (tmp_path / "tvl1_median.h").write_text("// changed")
    assert moved.cached_library() != before
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert moved.cached_library().name.endswith("-riscv64.so")


def test_without_a_compiler_it_says_how_to_get_one(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match=r"no C\+\+ compiler: install one \(on Debian: apt-get install g\+\+\)"):
        KERNEL.build()
    assert not cache.exists()


def test_a_compiler_that_fails_is_quoted_in_one_line_and_leaves_nothing(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", compiler(tmp_path, "echo 'tvl1.cpp:1: error: no such thing' >&2; echo more >&2; exit 1"))
    with pytest.raises(BuildError, match=r"cannot compile tvl1\.cpp: tvl1\.cpp:1: error: no such thing$"):
        KERNEL.build()
    assert list((cache / "sts_net").iterdir()) == []
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(BuildError, match=r"/no/such/compiler: .*; set CXX to a C\+\+17 compiler"):
        KERNEL.build()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BuildError, match=r"file/sts_net: cannot be written .* set XDG_CACHE_HOME"):
        KERNEL.build()


def test_headers_that_are_missing_are_named_with_the_packages_that_have_them(cache, monkeypatch, tmp_path):
    from datasets.decoding.jpeg.build import KERNEL as LOADER

    words = "clip_jpeg.h:11:10: fatal error: jpeglib.h: No such file or directory"
    monkeypatch.setenv("CXX", compiler(tmp_path, f"echo '{words}' >&2; exit 1"))
    with pytest.raises(BuildError, match=r"^jpeglib\.h is not there: install .*apt-get install libjpeg62-turbo-dev"):
        LOADER.build()


@needs_compiler
@pytest.mark.slow
def test_code_for_any_processor_gives_the_same_flow(tmp_path, monkeypatch):
    scene = make_scene(2, 61, 83, 2)
    images = scene.previous, scene.following
    parameters = build_parameters("fixed", {"scales": 1})
    expected = native.NativeTVL1(parameters, "baseline")(*images)
    subprocess.run([shutil.which("c++"), *STRICT, "-DTVL1_PLAIN", "-o", tmp_path / "plain.so"], check=True)
    monkeypatch.setattr(native, "library_path", lambda: tmp_path / "plain.so")
    monkeypatch.setattr(native, "load", native.load.__wrapped__)
    assert native.isa_paths() == ["auto", "baseline"]
    flow = native.NativeTVL1(parameters)(*images)
    assert np.linalg.norm(flow - expected, axis=-1).mean() < 1e-3
    assert (flow != expected).any()


@needs_compiler
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="no cross compiler for aarch64")
def test_it_compiles_for_64_bit_arm(tmp_path):
    subprocess.run(["aarch64-linux-gnu-g++", *STRICT, "-o", tmp_path / "arm.so"], check=True)


@needs_compiler
def test_a_damaged_library_is_named_with_the_cure(cache, monkeypatch, caplog):
    path = cache / "damaged.so"
    cache.mkdir()
    path.write_text("no library")
    monkeypatch.setattr(native, "library_path", lambda: path)
    with caplog.at_level(logging.WARNING), pytest.raises(BuildError, match=r"damaged\.so: cannot be loaded"):
        native.load.__wrapped__()
