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

settings.register_profile("any machine", deadline=None)  # a busy one is no failure
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def hmdb51(tmp_path_factory) -> Path:
    return write_hmdb51(tmp_path_factory.mktemp("hmdb51"))


@pytest.fixture
def own_hmdb51(tmp_path) -> Path:
    """A tree of one's own, to break."""
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
    """Reports of processes that test side by side travel as UTF-8, and logs in them hold names that are none."""
    return encodable((yield))


def encodable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: encodable(part) for name, part in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, list | tuple) else value
