"""Compiles the TV-L1 kernel where no installer did: once per source and processor family, into the user's cache.

    python flow/build.py        # build it now and print where it is

Only the standard library is used, and nothing of the package: setup.py reads this file, too.
"""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("tvl1.cpp")
FLAGS = ("-O3", "-std=c++17", "-fno-math-errno", "-fPIC", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
SECONDS = 300  # a compiler that takes longer hangs

log = logging.getLogger(__name__)


class BuildError(ValueError):
    """The kernel cannot be compiled; the message is one line that says why and what to do."""


def source_hash() -> str:
    """Identifies sources and flags: 16 hexadecimal digits, which the library can be asked for."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for path in (SOURCE, *sorted(SOURCE.parent.glob("tvl1*.h"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cached_library() -> Path:
    """Where the library of these sources is kept, whether or not it is there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sts_net" / f"tvl1-{source_hash()}-{platform.system()}-{platform.machine()}.so"


def build() -> Path:
    """The library of these sources, compiled if it is not in the cache; says so in one line.

    Raises:
        BuildError: No compiler, one that fails, or a cache that cannot be written.
    """
    target = cached_library()
    if target.exists():
        return target
    compiler = os.environ.get("CXX") or next(filter(shutil.which, COMPILERS), None)
    if compiler is None:
        raise BuildError("no C++ compiler: install one (on Debian: apt-get install g++)")
    start = time.perf_counter()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / target.name
            compile_library(compiler, part)
            part.replace(target)  # other processes may be doing the same
    except OSError as error:
        raise BuildError(f"{target.parent}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from error
    log.info("compiled the TV-L1 kernel in %.0f s: %s", time.perf_counter() - start, target)
    return target


def compile_library(compiler: str, target: Path) -> None:
    """Compile and link `target`.

    Raises:
        BuildError: If the compiler fails.
    """
    name = f'-DTVL1_SOURCE="{source_hash()}"'
    command = [*compiler.split(), *FLAGS, name, "-shared", str(SOURCE), "-o", str(target)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler}: {error}; set CXX to a C++17 compiler") from error
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()[-1:]
        raise BuildError(f"{compiler} cannot compile {SOURCE.name}: {(lines or ['no message'])[0]}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("%s", build())
