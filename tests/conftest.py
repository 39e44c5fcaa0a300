import atexit
import gc
import os
from pathlib import Path

import cv2
import pytest
import torch
from helpers import CLASSES, words_for, write_hmdb51
from hypothesis import settings

# Tests run side by side, on small tensors: more threads would wait for each other, here and in what tests start.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# cuBLAS asks once, at the first product of the process, which may come before the test that asks for the same bits.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
torch.set_num_threads(1)
cv2.setNumThreads(1)
# No test cuts the power, and on a busy disk a file that is synced waits for those of all others.
os.fsync = lambda file: None

# A busy machine is no failure, and a commit that passed once passes again. HYPOTHESIS_PROFILE=search draws others.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


# Files that start runs of scripts, which a server forks: it takes longer to start than most of their tests to run.
SERVED = ("test_kill", "test_disk", "test_world", "test_signals", "test_left_out")
BUILT = ("test_tvl1_videoframes", "test_kernel_sanitized")  # what CMake builds takes half a minute
LONG = (
    "export_images install export families reproduce site extract export_engines cluster damage systems gpu_day scripts"
)
LONG += " video_corpus score_scripts distillation inflation online_flow readme verify benchmarks fit teacher_sizes"
SLOWEST = (*SERVED, *BUILT, *(f"test_{name}" for name in LONG.split()))


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no process is left alone with one of them at the end."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))


def pytest_collection_finish():
    """Exclude imported modules from garbage collection, which takes half a second with them."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries look for leaks at the end


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each process whole files, and to one process all files with a server (to two, where the slow ones run).

    Those that share a build are in one process, too.
    """
    from xdist.scheduler import LoadFileScheduling

    served = SERVED if "not slow" in config.option.markexpr else SERVED[1:]
    together = dict.fromkeys(served, "served") | dict.fromkeys(BUILT, "built")

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return together.get(Path(file).stem, file)

    return Scheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.fixture(scope="session")
def hmdb51(tmp_path_factory) -> Path:
    return write_hmdb51(tmp_path_factory.mktemp("hmdb51"))


@pytest.fixture
def own_hmdb51(tmp_path) -> Path:
    """A tree that a test may break."""
    return write_hmdb51(tmp_path / "hmdb51", classes=CLASSES[:2], train=2, test=1)


@pytest.fixture
def words(hmdb51, tmp_path) -> list[str]:
    return words_for(hmdb51, tmp_path / "results")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)  # what scripts switch on, and hypothesis refuses to work with
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Reports of parallel processes travel as UTF-8, and logs in them hold file names that are not."""
    return encodable((yield))


def encodable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: encodable(part) for name, part in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, list | tuple) else value
