"""Stages on the machine: its ceilings, and the project's own tests that need a GPU."""

import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.common.report import Record
from engine.device.precision import DTYPES, round_float32

from .session import Session, run_process

MODULES = ("triton", "torchvision", "cv2", "av", "tensorboardX", "numpy")


def measure_ceilings(session: Session, rows: Record) -> None:
    """Measure the bandwidth of memory and the rates of products, and note versions."""
    rows["versions"] = {"python": sys.version, "cuda": torch.version.cuda, **{name: version(name) for name in MODULES}}
    rows["cudnn"] = torch.backends.cudnn.version()
    if smi := shutil.which("nvidia-smi"):
        rows["nvidia_smi"] = subprocess.run([smi], capture_output=True, text=True, check=False).stdout[:2500]
    rows["shared_memory_GB"] = shutil.disk_usage("/dev/shm").total / 1e9 if Path("/dev/shm").exists() else None
    count, side = (1 << 20, 256) if session.dry else (1 << 30, 8192)
    session.row(rows, "copy_TB_per_s", lambda: copying(session, count))
    for name, amp in (("bf16", "bf16"), ("fp32", "off"), ("tf32", "tf32")):
        session.row(rows, f"product_{name}_TFLOP_per_s", partial(product, session, side, amp))


def copying(session: Session, count: int) -> float:
    """Measure the TB/s, read and written, of a copy of so many float32."""
    source = torch.zeros(count, device=session.device)
    target = torch.empty_like(source)
    return 8 * count / session.seconds(lambda: target.copy_(source)) / 1e12


def product(session: Session, side: int, amp: str) -> float:
    """Measure the TFLOP/s of a product of two square matrices in a number format of `--amp`."""
    round_float32(session.device, amp)
    a, b = (torch.randn(side, side, device=session.device, dtype=DTYPES[amp]) for _ in range(2))
    return 2 * side**3 / session.seconds(lambda: a @ b) / 1e12


def version(module: str) -> str:
    """Return the version of a library, or why there is none; OpenCV may be without optical flow."""
    try:
        library = import_module(module)
    except ImportError as error:
        return str(error)
    return f"{library.__version__}{', optflow' if hasattr(library, 'optflow') else ''}"


def run_tests(session: Session, rows: Record) -> None:
    """Run the tests that are marked `gpu`; warnings are not errors, for those of another torch would end the run."""
    words = ["-m", "pytest", "-q", "-m", "gpu" if session.gpu else "gpu and not gpu", "-W", "default", "--durations=12"]
    words += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    words += [f"--junitxml={session.folder / 'tests.xml'}", "tests"]
    seconds = max(20.0, min(130.0, session.left() - 60))
    rows["exit_code"], text = run_process(words, seconds)
    (session.folder / "tests.log").write_text(text, "utf-8")
    lines = text.splitlines()
    rows["summary"] = [line for line in lines if line.startswith(("FAILED", "ERROR"))] + lines[-1:]
