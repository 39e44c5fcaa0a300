"""C++ programs built with sanitizers, which tests drive."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from source_files import ROOT

FLAGS = [
    "-std=c++17",
    "-O1",
    "-g1",  # lines, which reports name: all of it takes a third longer
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    f"-I{ROOT}",
    "-pthread",
]


def build_driver(folder: Path, code: str, sources: Sequence[Path], *options: str) -> Path:
    """A program of `code` and sources of the project; the test is skipped where there are no sanitizers."""
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    command = ["g++", *FLAGS]
    trial = [*command, "-x", "c++", "-", "-o", str(folder / "trial")]
    if subprocess.run(trial, input="int main() {}", text=True, capture_output=True).returncode:
        pytest.skip("needs the sanitizers of g++")
    main, driver = folder / "driver.cpp", folder / "driver"
    main.write_text(code)
    build = [*command, str(main), *map(str, sources), "-o", str(driver), *options]
    result = subprocess.run(build, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return driver
