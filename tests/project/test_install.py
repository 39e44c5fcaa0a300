"""Installing: the packages appear below sts_net with their libraries compiled, and no top-level `datasets` does."""

import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write_hmdb51
from source_files import ROOT

from sts_common.commands import COMMANDS

CODE = """
import sts_net.datasets.decoding.jpeg.native, sts_net.flow.tvl1.native
import sts_net.models, sts_net.datasets, sts_net.engine, sts_net.flow
for library in (sts_net.flow.tvl1.native.library_path(), sts_net.datasets.decoding.jpeg.native.library_path()):
    print("compiled" if library.is_relative_to(ROOT) else "not compiled")
try:
    import datasets
except ImportError:
    print("fine")
import sts_net
print(sts_net.create_model("resnet", 3, 2, depth=10).num_classes, "predict" in dir(sts_net))
"""
COMPILED = f"{'compiled' if shutil.which('c++') else 'not compiled'}\n" * 2 + "fine\n2 True\n"


def copied(folder: Path) -> Path:
    """A copy of the sources, as a user gets them."""
    unwanted = shutil.ignore_patterns("*.so", ".venv", ".git", "results", "*.egg-info", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, folder / "copy", ignore=unwanted))


def environment(folder: Path) -> tuple[Path, Path]:
    """Interpreter and packages of a new virtual environment that sees torch and the rest, pip included."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (library,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (library / "ours.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "venv" / "bin" / "python", library


def output(*command: object, cwd: Path) -> str:
    """Return the output of a command, which must succeed."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def unoptimised(tmp_path, monkeypatch) -> None:
    """Native libraries are compiled in half the time, Python files not: only whether they are there is asked."""
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nexec c++ "$@" -O0\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("PIP_NO_COMPILE", "1")


@pytest.mark.slow
def test_installing_for_development_works(tmp_path, monkeypatch):
    """`setup.py develop` is `pip install -e .`, the other way; a build in isolation is that of the wheel."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # which is how pip is told so
    copy, (python, _) = copied(tmp_path), environment(tmp_path)
    output(python, "setup.py", "develop", "--no-deps", cwd=copy)
    assert output(python, "-c", f"ROOT = {str(copy)!r}" + CODE, cwd=tmp_path) == COMPILED
    assert "usage: sts test " in output(python.with_name("sts"), "test", "--help", cwd=tmp_path)


@pytest.mark.slow
def test_a_wheel_holds_all_that_the_commands_need(tmp_path):
    copy, (python, library) = copied(tmp_path), environment(tmp_path)
    output(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy, cwd=tmp_path)
    (wheel,) = tmp_path.glob("sts_net-*.whl")
    output(python, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=tmp_path)
    shutil.rmtree(copy)
    assert output(python, "-c", f"ROOT = {str(library)!r}" + CODE, cwd=tmp_path) == COMPILED
    templates = [path.relative_to(ROOT) for path in (ROOT / "workflows").rglob("*.jinja")]
    assert [path for path in templates if not (library / "sts_net" / path).is_file()] == []
    assert templates
    assert re.search(rb"^from sts_net.datasets import", (library / "sts_net" / "train.py").read_bytes(), re.MULTILINE)
    sts = python.with_name("sts")
    assert all(f"  {name}" in output(sts, "--help", cwd=tmp_path) for name in COMMANDS)

    root = write_hmdb51(tmp_path / "data")
    data = f"--frame_dir {root}/frames --annotation_path {root}/labels --result_path {tmp_path}/results".split()
    tiny = "--model_depth 10 --model resnet --width 0.0625 --sample_size 32 --sample_duration 8 --batch_size 4".split()
    output(sts, "train", *data, *tiny, *"--n_epochs 1 --run_name rgb --only_RGB --device cpu".split(), cwd=tmp_path)
    (best,) = (tmp_path / "results").rglob("rgb_best.pth")
    output(sts, "test", "--resume_path1", best, *data, *"--only_RGB --device cpu".split(), cwd=tmp_path)
    (scores,) = (tmp_path / "results").rglob("*.npz")
    output(sts, "report", scores, "--out", tmp_path / "report", cwd=tmp_path)
    assert "</html>" in (tmp_path / "report" / "index.html").read_text()


def test_every_script_is_a_command_of_sts():
    scripts = {path.relative_to(ROOT).as_posix() for folder in (ROOT, ROOT / "utils1") for path in folder.glob("*.py")}
    others = {"setup.py", "utils1/__init__.py"}
    assert sorted(command.script for command in COMMANDS.values()) == sorted(scripts - others)


def test_a_command_that_is_none_is_refused_in_one_line():
    command = [sys.executable, "-m", "sts_common.commands", "trian"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: 'trian' is none of the commands; did you mean train? (see sts --help)\n"
