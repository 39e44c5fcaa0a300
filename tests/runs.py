"""Runs of the scripts that can be killed: forks of a server that has imported everything, half a second each.

A run is a process of its own, with its own files, signals and exit code. `server().start("train", words, folder)`
begins one; ranks of a group are runs with the environment that torchrun would give them.
"""

import atexit
import gc
import importlib
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import zip_longest
from multiprocessing import forkserver
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn

import hurts
import torch
from helpers import TINY, write_hmdb51
from source_files import ROOT

from engine import checkpoint
from engine.command import cli
from opts import parse_opts

SCRIPTS = ("train", "STS_train", "test_single_stream", "test_two_stream")
# What optimisers, augmentation and curves import when they are made.
LATE = ("torch._dynamo", "torchvision.transforms.v2", "tensorboardX")
WIDTH = 8  # bytes of a number that the server tells
PATIENCE = 300  # seconds that any run may take, on a busy machine, before it counts as hanging

LOOP = [*"--batch_size 2 --n_epochs 3 --checkpoint 1 --save_steps 2 --keep 2 --resume auto".split(), *TINY]
RUN = "--device cpu --result_path results".split()
OPTIONS = {
    "train": [
        *"--modality RGB --mixup 0.2 --augment color_jitter erasing --ema 0.9 --lr_schedule cosine".split(),
        *"--lr_multiples tsn".split(),
    ],
    "STS_train": [
        *"--modality RGB_Flow --resume_path1 flow.pth --distill_warmup 2".split(),
        *"--review_mid 8 --lr_schedule onecycle".split(),
    ],
}
WORKERS = {
    "no workers": "--n_workers 0".split(),
    "threads": "--n_workers 2 --loader threads".split(),
    "processes": "--n_workers 2 --loader processes".split(),
}
MAY_DIFFER = ("n_workers", "loader", "given")  # options of runs that give the same bits


class Run:
    """A script that was started.

    Args:
        connection: To the process that waits for it.
        folder: Its working folder, with what it prints.
        name: Of the files with what it prints.
    """

    def __init__(self, connection: socket.socket, folder: Path, name: str) -> None:
        self.connection, self.folder, self.name = connection, folder, name
        self.pid = int(self.connection.recv(WIDTH))
        self.code: int | None = None

    def __del__(self) -> None:  # where a test has failed
        self.connection.close()

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        if self.code is None and self.ended_within(0):
            self.code = int(self.connection.recv(WIDTH))
            self.connection.close()
        return self.code

    def ended_within(self, seconds: float) -> bool:
        """Whether it ended by itself."""
        return self.code is not None or bool(select.select([self.connection], [], [], seconds)[0])

    def wait(self, patience: float = PATIENCE) -> int:
        """Exit code; a run that takes longer is killed and fails the test."""
        if not self.ended_within(patience):
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"hangs, after\n{self.err}")
        code = self.poll()
        assert code is not None
        return code

    @property
    def err(self) -> str:
        """Return its stderr so far."""
        return (self.folder / f"{self.name}.err").read_text()


class Server:
    """Forks runs."""

    def __init__(self) -> None:
        self.address = str(Path(mkdtemp(prefix="runs")) / "socket")
        paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **single, "PYTHONPATH": paths}
        command = [sys.executable, __file__, self.address]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, env=environment)
        self.count = 0
        atexit.register(self.close)

    def close(self) -> None:
        """End the server; it ends when its input does."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)

    def start(
        self,
        script: str,
        words: Sequence[object],
        folder: Path,
        *,
        environment: Mapping[str, object] | None = None,
        before: str = "",
    ) -> Run:
        """Begin `script` with `words` in `folder`; `before` names a function of `hurts` that is called first."""
        folder.mkdir(parents=True, exist_ok=True)
        self.count += 1
        request = {
            "script": script,
            "words": [str(word) for word in words],
            "folder": str(folder),
            "name": f"run{self.count}",
            "environment": {name: str(value) for name, value in (environment or {}).items()},
            "before": before,
        }
        return Run(self.connect(json.dumps(request)), folder, request["name"])

    def connect(self, request: str) -> socket.socket:
        """Hand over a request, as soon as the server has come up."""
        deadline = time.monotonic() + PATIENCE
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self.address)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                assert self.process.poll() is None, "the server ended"
                assert time.monotonic() < deadline
                time.sleep(0.05)
                continue
            connection.sendall(request.encode())
            connection.shutdown(socket.SHUT_WR)
            return connection

    def run(self, script: str, words: Sequence[object], folder: Path, **options) -> Run:
        """A run that has ended well."""
        run = self.start(script, words, folder, **options)
        assert run.wait() == 0, run.err
        return run

    def ranks(self, world: int, script: str, words: Sequence[object], folder: Path, **options) -> list[Run]:
        """The processes of one group, as torchrun would start them."""
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        common = {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        own = [{"RANK": rank, "LOCAL_RANK": rank} for rank in range(world)]
        return [self.start(script, words, folder, environment=common | rank, **options) for rank in own]

    def group(self, world: int, script: str, words: Sequence[object], folder: Path, **options) -> list[Run]:
        """The processes of one group that have ended well."""
        ranks = self.ranks(world, script, words, folder, **options)
        assert [rank.wait() for rank in ranks] == [0] * world, "\n".join(rank.err for rank in ranks)
        return ranks


@cache
def server() -> Server:
    """The one server of a test session."""
    return Server()


def wait_for(found: Callable[[], object], run: Run, patience: float = PATIENCE) -> None:
    """Wait until `found()` is true, while the run goes on."""
    deadline = time.monotonic() + patience
    while not found():
        assert run.poll() is None, f"ended with {run.code}:\n{run.err}"
        assert time.monotonic() < deadline, f"nothing came of\n{run.err}"
        time.sleep(0.02)


def serve(address: str) -> None:
    """Fork whatever is asked for until the input ends."""
    multiprocessing.set_start_method("forkserver")
    multiprocessing.get_context("forkserver").set_forkserver_preload(["lasting_forkserver", "torch", "train", *LATE])
    for script in (*SCRIPTS, *LATE):
        importlib.import_module(script)
    gc.freeze()
    os.fsync = lambda file: None  # a process that is killed loses nothing that it has written
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as the loader has its server
    forkserver.ensure_running()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Loader processes of all runs come from the server that was just started: each run's own would import it all again.
    forkserver._forkserver.ensure_running = forkserver.ensure_running = lambda: None
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(address)
        listener.listen()
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                attend(connection)
            connection.close()
    os._exit(0)


def attend(connection: socket.socket) -> NoReturn:
    """Begin one run, tell its process id, and its exit code when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
    if (pid := os.fork()) == 0:
        connection.close()
        begin(request)
    connection.sendall(b"%*d" % (WIDTH, pid))
    connection.sendall(b"%*d" % (WIDTH, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def begin(request: Mapping[str, Any]) -> NoReturn:
    """Become the script."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, kind in ((1, "out"), (2, "err")):
        with Path(f"{request['name']}.{kind}").open("wb") as file:
            os.dup2(file.fileno(), number)
    torch.set_num_threads(1)
    if request["before"]:
        getattr(hurts, request["before"])()
    sys.argv = [f"{request['script']}.py", *request["words"]]
    code = 0
    try:
        cli.run(importlib.import_module(request["script"]).main, parse_opts)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        code = 1
    # What Python does at its end, except to free every module, which takes longer than the run.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


def checkpoints(folder: Path) -> list[Path]:
    """Files below `folder` that have the name of a checkpoint."""
    return sorted(folder.rglob("[!.]*.pth"))


class Case:
    """Inputs that the tests of the training scripts share: data, a teacher, and runs that nothing happens to."""

    def __init__(self, root: Path) -> None:
        self.data = write_hmdb51(root / "data", train=5, test=2)
        self.root, self.taken = root, dict[str, float]()
        words = [*self.words("train", "no workers"), "--modality", "Flow", "--n_epochs", "1"]
        teacher = server().run("train", words, root / "teacher").folder
        self.teacher = next(path for path in checkpoints(teacher) if "best" in path.name)

    def words(self, script: str, workers: str, *more: str) -> list[str]:
        data = f"--frame_dir {self.data}/frames --annotation_path {self.data}/labels".split()
        return [*data, *LOOP, *RUN, *OPTIONS[script], *WORKERS[workers], *more]

    def folder(self, path: Path) -> Path:
        """A folder to run in, which the teacher is in."""
        path.mkdir()
        os.link(self.teacher, path / "flow.pth")
        return path

    def whole(self, script: str) -> Path:
        """Results of the run that nothing happened to."""
        folder = self.root / f"whole_{script}"
        if not folder.exists():
            start = time.monotonic()
            server().run(script, self.words(script, "no workers"), self.folder(folder))
            self.taken[script] = time.monotonic() - start
        return folder / "results"

    def best(self) -> Path:
        """Best checkpoint of the RGB network."""
        return one(self.whole("train"), "*_best.pth")

    def pair(self) -> Path:
        """Folder of a run of two ranks that nothing happened to, each of which noted its videos.

        Their default group takes no tensors of a CPU, as that of NCCL.
        """
        folder = self.root / "pair"
        if not folder.exists():
            server().group(2, "train", self.words("train", "no workers"), self.folder(folder), before="like_gpus")
        return folder

    def copy(self, script: str, folder: Path) -> Path:
        """A folder with the results of that run."""
        return Path(shutil.copytree(self.whole(script).parent, folder))

    def seconds(self, script: str) -> float:
        """How long that took."""
        self.whole(script)
        return self.taken[script]


def differences(one: object, other: object, name: str = "") -> list[str]:
    """Names of what is not the same to the last bit in two checkpoints, or parts of them."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return [] if same and one.numpy().tobytes() == other.numpy().tobytes() else [name]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [part for key in one for part in differences(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [part for i, (a, b) in pairs for part in differences(a, b, f"{name}.{i}")]
    return [] if repr(one) == repr(other) else [f"{name}: {one!r:.80} and {other!r:.80}"]


def unlike(folder: Path, whole: Path, *, extra: bool = False) -> list[str]:
    """Differences between two runs: checkpoints, metrics.jsonl and logs.

    Args:
        folder: Of one run.
        whole: Of the other.
        extra: Whether there may be other checkpoints inside an epoch, from where one was stopped.
    """
    named = [{path.relative_to(top): path for path in records(top)} for top in (folder, whole)]
    if extra:
        named = [{name: path for name, path in files.items() if "_step" not in name.name} for files in named]
    found = [f"{name} is only in one" for name in sorted(named[0].keys() ^ named[1].keys())]
    for name in named[0].keys() & named[1].keys():
        one, other = named[0][name], named[1][name]
        if name.suffix == ".pth" and parts_of(one) != parts_of(other):  # which is seen sooner than what differs
            found += [f"{name.name[-20:]}{part}" for part in differences(loaded(one), loaded(other))]
        if name.suffix != ".pth" and one.read_bytes() != other.read_bytes():
            lines = zip_longest(one.read_text().splitlines(), other.read_text().splitlines())
            found += [f"{name.name[-20:]}: {a} and {b}" for a, b in lines if a != b]
    return found


def assert_same_bits(folder: Path, whole: Path, *, extra: bool = False) -> None:
    """Fail with the differences between two runs, see `unlike`, if there are any."""
    found = unlike(folder, whole, extra=extra)
    assert not found, "\n".join(found)


def parts_of(path: Path) -> dict[str, tuple[int, int]]:
    """Checksum and size of each part of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        return {part.filename.partition("/")[2]: (part.CRC, part.file_size) for part in archive.infolist()}


def records(folder: Path) -> list[Path]:
    """Files that must not depend on kills: checkpoints, metrics.jsonl and logs of the original's kind."""
    return [*checkpoints(folder), *folder.rglob("metrics.jsonl"), *folder.rglob("*.log")]


def one(folder: Path, pattern: str) -> Path:
    """The only file of that name."""
    (path,) = folder.rglob(pattern)
    return path


def loaded(path: Path) -> dict[str, Any]:
    """A checkpoint without the options that may differ."""
    state = checkpoint.load(path)
    state["options"] = {name: value for name, value in state["options"].items() if name not in MAY_DIFFER}
    return state


if __name__ == "__main__":
    serve(sys.argv[1])
