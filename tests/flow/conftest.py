import shutil
import subprocess
from pathlib import Path

import pytest
from source_files import ROOT


@pytest.fixture(scope="session")
def no_opencv() -> str:
    """Return what the C++ program lacks, or ""."""
    if not shutil.which("g++"):
        return "needs g++"
    headers = ["-x", "c++", "-I/usr/include/opencv4", "-include", "opencv2/videoio.hpp", "/dev/null"]
    lacks = subprocess.run(["g++", "-fsyntax-only", *headers], capture_output=True).returncode
    return "needs the OpenCV headers: apt-get install libopencv-dev" if lacks else ""


@pytest.fixture(scope="session")
def sanitized(no_opencv, tmp_path_factory) -> Path | None:
    """Folder of a CMake build that stops at memory errors and undefined behaviour; None where it cannot be built."""
    if no_opencv or not shutil.which("cmake"):
        return None
    build = tmp_path_factory.mktemp("build")
    for command in (["cmake", "-S", str(ROOT), "-B", str(build), "-DSANITIZE=ON"], ["cmake", "--build", str(build)]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "warning" not in result.stderr
    return build
