"""Tasks of a worker of a Dask cluster for a command, and their requirements."""

import hashlib
import importlib.metadata
import os
import pickle
import platform
import re
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from .commands import HERE, ROOT
from .processors import single_threaded_libraries
from .workers import Counters, Worker

Job = TypeVar("Job")
Result = TypeVar("Result")

PACKAGES = ("numpy", "torch", "av", "distributed")
FOLDERS = (HERE / "sts_common", ROOT / "datasets", ROOT / "flow", ROOT / "workflows")  # what jobs are made of
SAME_VERSIONS = "start workers where the same is installed"


@dataclass(frozen=True)
class Needs:
    """Requirements of a worker."""

    run: str  # a name of this run of a command
    folder: str  # where relative paths begin, "" if there are none
    files: tuple[str, ...]  # paths that it must see
    versions: tuple[tuple[str, str], ...]  # as `versions` gives them

    def inside(self) -> AbstractContextManager[None]:
        """Work where relative paths begin."""
        return chdir(self.folder) if self.folder else nullcontext()


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions that decide what a job writes, as pairs of what it is and which."""
    import cv2

    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cpp", ".h")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    libraries = ((name, importlib.metadata.version(name)) for name in PACKAGES)
    python = ".".join(platform.python_version_tuple()[:2])
    return ("Python", python), ("OpenCV", cv2.__version__), *libraries, ("sources of STS-Net", digest.hexdigest()[:12])


class Call:
    """A call that is made where this is unpickled, so that the scheduler needs no such function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


@cache
def lacks(needs: Needs) -> str:
    """Return what this worker lacks, "" for nothing."""
    for (name, here), (_, there) in zip(versions(), needs.versions, strict=True):
        if here != there:
            return f"has {name} {here}, and this command has {there}; {SAME_VERSIONS}"
    if needs.folder and not Path(needs.folder).is_dir():
        return f"does not see {needs.folder}, where this command runs; give paths that begin with /"
    with needs.inside():
        unseen = next((file for file in needs.files if not os.path.lexists(file)), None)
    return f"does not see {unseen}; workers need the folders of this command under the same paths" if unseen else ""


def cannot_write(token: str, needs: Needs) -> str:
    """Return why this worker cannot write beside a file of the command, "" if it can."""
    with needs.inside():
        if not os.path.lexists(token):
            return f"has another {Path(token).parent} than this command; DST must be a folder that all share"
        trial = Path(f"{token}-{secrets.token_hex(4)}")
        try:
            trial.touch()
            trial.unlink()
        except OSError as error:
            return f"cannot write to {trial.parent}: {error.strerror}"
    return ""


def answer(question: bytes, needs: Needs) -> Any:
    """Call a function on this worker."""
    with needs.inside():
        function, arguments = pickle.loads(question)
        return function(*arguments)


def run(
    function: Callable[[Job, Worker], Result], job: Job, needs: Needs, cores: int
) -> tuple[Result, tuple[int, int]]:
    """Do a job on this worker; return its result, and the images and bytes that it wrote.

    Raises ValueError if this worker came later than the others, and cannot do it.
    """
    from distributed import get_worker

    worker = get_worker()
    if problem := lacks(needs):
        raise ValueError(f"--cluster: worker {worker.address} {problem}")
    counters = Counters(1, 1, cores)
    digits = re.search(r"\d+$", str(worker.name))
    with needs.inside(), single_threaded_libraries():
        result = function(job, Worker(int(digits[0]) if digits else 0, counters, secrets.token_hex(4)))
    return result, counters.images_and_size()
