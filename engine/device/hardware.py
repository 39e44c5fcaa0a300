"""Hardware of a run: device, memory, and versions of libraries."""

import os
import platform
import sys
from pathlib import Path

import torch

from sts_common.processors import cores


def device_name(device: torch.device) -> str:
    """Return the GPU's product name, or the processor's architecture and the threads that torch uses of it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {platform.machine()}, {torch.get_num_threads()} threads"


def contention(device: torch.device) -> str:
    """Return advice where other processes use the cores on which a CPU computes, "" elsewhere.

    OpenMP's threads wait for each other by spinning, for a whole turn of a core if the other one has none.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or "OMP_WAIT_POLICY" in os.environ or not hasattr(os, "getloadavg"):
        return ""
    load, count = os.getloadavg()[0], cores()
    if load <= count:
        return ""
    return (
        f"other processes use the cores (load {load:.1f} on {count}), and {threads} threads spin while they wait for "
        "each other: with OMP_WAIT_POLICY=passive before the command they do not, and steps are several times as fast"
    )


def memory_used(device: torch.device) -> int:
    """Return bytes: on a GPU the peak of tensors, on a CPU what the process holds now; 0 on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32":
        return 0
    import resource  # which Windows lacks

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def versions() -> str:
    """Return the versions that a result may depend on, on one line."""
    gpu = f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}" if torch.version.cuda else ""
    return f"Python {platform.python_version()}, torch {torch.__version__}{gpu}"
