"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True`."""

import io
import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from .files import write_atomically

# What the readers of pickles and archives raise on bytes that are neither.
MALFORMED = (
    *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, EOFError, OverflowError, struct.error),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, whole or not at all.

    It is serialised in memory first: on a full disk `torch.save` to a file fails with an error that does not
    name the cause.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this project, of STS-Net, MARS or 3D-ResNets, onto the CPU.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged, no checkpoint, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    try:
        if zipfile.is_zipfile(path):
            verify(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's doubts about foreign pickles: the error below says it
            state = torch.load(path, map_location="cpu", weights_only=True)
    except MALFORMED as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise ValueError(f"{path}: refused, it holds more than tensors and plain values") from None
        raise ValueError(f"{path}: damaged, or not a checkpoint") from None
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds a {type(state).__name__}, not a checkpoint")
    return state


def verify(path: Path) -> None:
    """Compare every part of the archive with its checksum, which torch.load does not.

    Raises:
        zipfile.BadZipFile: If one differs.
    """
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise zipfile.BadZipFile(bad)
