"""Installing: the packages appear below sts_net with their libraries compiled, and no top-level `datasets` does."""

import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sts_net.datasets.jpeg.native, sts_net.flow.native
import sts_net.models, sts_net.datasets, sts_net.engine, sts_net.flow, sts_net.utils1
for library in (sts_net.flow.native.library_path(), sts_net.datasets.jpeg.native.library_path()):
    print("compiled" if library.is_relative_to(ROOT) else "not compiled")
try:
    import datasets
except ImportError:
    print("fine")
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["-m pip install -q --no-deps -e .", "setup.py develop --no-deps"])
def test_both_ways_of_installing_work(command, tmp_path):
    copy = tmp_path / "copy"
    unwanted = shutil.ignore_patterns("*.so", ".venv", ".git", "results", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (library,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (library / "ours.pth").write_text("\n".join(site.getsitepackages()))  # torch and the rest, not 6 GB again
    subprocess.run([python, *command.split()], cwd=copy, check=True, capture_output=True)
    code = f"ROOT = {str(copy)!r}" + CODE
    done = subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == f"{'compiled' if shutil.which('c++') else 'not compiled'}\n" * 2 + "fine\n"
