"""Compilation of native libraries where no installer did: once per sources and processor family, into the user's cache.

Only the standard library is used: setup.py reads this file, too. It is a module of its own, with a name that is nobody
else's, because both `flow` and `datasets` have a library.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

COMPILERS = ("c++", "g++", "clang++")
SECONDS = 300  # a compiler that takes longer hangs

log = logging.getLogger(__name__)


class BuildError(ValueError):
    """Error of compiling or loading a library; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Library:
    """A C++ library with a C interface.

    It has the functions `NAME_source`, which returns `source_hash` when the compiler was given it as the macro
    `NAME_SOURCE`, and `NAME_abi`.
    """

    name: str  # prefix of its functions, of its file, and in upper case of its macros
    title: str  # what messages call it
    folder: Path  # where its sources lie
    sources: tuple[str, ...]  # files that are compiled; the first is named in errors
    headers: str  # pattern of the further files that they are made of
    flags: tuple[str, ...]  # for the compiler
    abi: int  # what `NAME_abi` must return
    libraries: tuple[str, ...] = ()  # for the linker
    # What to do about a compiler's complaint in which the key occurs.
    cures: Mapping[str, str] = field(default_factory=dict)

    def source_hash(self) -> str:
        """Hash sources and flags: 16 hexadecimal digits, which the library can be asked for."""
        digest = hashlib.sha256(" ".join(self.flags).encode())
        for path in (*(self.folder / source for source in self.sources), *sorted(self.folder.glob(self.headers))):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def cached_library(self) -> Path:
        """Return the path of the library of these sources, whether or not it is there yet."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        name = f"{self.name}-{self.source_hash()}-{platform.system()}-{platform.machine()}.so"
        return Path(cache) / "sts_net" / name

    def build(self) -> Path:
        """Return the library of these sources, compiled if it is not in the cache; says so in one line.

        Raises BuildError if there is no compiler, or it fails, or for a cache that cannot be written.
        """
        target = self.cached_library()
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
                self.compile(compiler, part)
                part.replace(target)  # other processes may be doing the same
        except OSError as error:
            raise BuildError(f"{target.parent}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from error
        log.info("compiled the %s in %.0f s: %s", self.title, time.perf_counter() - start, target)
        return target

    def compile(self, compiler: str, target: Path) -> None:
        """Compile and link `target`; raises BuildError if the compiler fails."""
        name = f'-D{self.name.upper()}_SOURCE="{self.source_hash()}"'
        sources = [str(self.folder / source) for source in self.sources]
        command = [*compiler.split(), *self.flags, name, "-shared", *sources, "-o", str(target), *self.libraries]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired) as error:
            raise BuildError(f"{compiler}: {error}; set CXX to a C++17 compiler") from error
        if result.returncode:
            raise BuildError(self.complaint(compiler, result.stderr))

    def complaint(self, compiler: str, output: str) -> str:
        """Return the compiler's complaint in one line, or what to do about it."""
        for text, cure in self.cures.items():
            if text in output:
                return cure
        lines = [line for line in output.splitlines() if "error" in line] or output.splitlines()[-1:]
        return f"{compiler} cannot compile {self.sources[0]}: {(lines or ['no message'])[0]}"

    def path(self) -> Path:
        """Return the library in use: the installed one if it belongs to these sources, otherwise that of the cache.

        Raises BuildError if it is neither there nor can it be compiled.
        """
        for path in sorted(self.folder.glob(f"_{self.name}*.so")):
            try:
                source = getattr(ctypes.CDLL(str(path)), f"{self.name}_source")
            except OSError:  # of another platform
                continue
            source.restype = ctypes.c_char_p
            if source().decode() == self.source_hash():
                return path
        return self.build()

    def load(self, path: Path) -> ctypes.CDLL:
        """Load the library in this file, ready to be called; ctypes releases the GIL during calls.

        Raises BuildError if it does not load, or belongs to another version.
        """
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise BuildError(f"{path}: cannot be loaded ({error}); delete it to have it compiled again") from error
        if getattr(library, f"{self.name}_abi")() != self.abi:
            raise BuildError(f"{path}: belongs to another version of this program; delete it")
        return library


def reason_missing(load: Callable[[], object]) -> str:
    """Return why a library cannot be loaded on this machine and how to get it; "" if it can."""
    try:
        load()
    except BuildError as error:
        return str(error)
    return ""
