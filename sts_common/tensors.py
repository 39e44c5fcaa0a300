"""Reading of files of torch: tensors and plain values, and nothing in them is executed."""

import lzma
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

# What the readers of pickles and archives raise on bytes that are neither.
MALFORMED = (
    *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, EOFError, ArithmeticError, AssertionError),
    *(MemoryError, ImportError, struct.error, pickle.UnpicklingError, tarfile.TarError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def read_tensors(path: Path) -> Any:
    """Read a file that `torch.save` wrote, onto the CPU; raises `MALFORMED` where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's doubts about foreign pickles: the caller's error says it
        return torch.load(path, map_location="cpu", weights_only=True)
