"""Writing and reading checkpoints."""

import io
import logging
import re
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sts_common.files import write_atomically
from sts_common.tensors import MALFORMED, read_tensors

from . import tensor_file

log = logging.getLogger(__name__)

# Suffixes of files that are given in place of a checkpoint, and what to do instead.
FOREIGN_SUFFIXES = {
    ".pt2": "is a program: give the checkpoint that it was exported from; predict.py runs .onnx and .xml as well",
    ".bin": "is no checkpoint: if it has the weights of an .xml file of OpenVINO, give that one",
}
ZIP_START, ZIP_END, ZIP_END_SIZE = b"PK\x03\x04", b"PK\x05\x06", 22
FLAGS = 0x808  # of a part: its name is in UTF-8, its sizes come after it
STUDENT = "student"  # where Distil-2D-3D has the network that it trains, beside the teacher
PLAIN = frozenset((dict, OrderedDict, Counter, list, tuple, str, bytes, int, float, bool, type(None)))


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, whole or not at all.

    It is serialised in memory first: on a full disk `torch.save` to a file fails with an error that does not name the
    cause. Raises TypeError if `load` would refuse the file; names the entry.
    """
    require_plain(state, "state")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def require_plain(value: Any, name: str) -> None:
    """Refuse entries that are neither tensors nor plain values: a NumPy number makes a file that cannot be read again.

    Raises TypeError, which names the entry.
    """
    if type(value) in (Tensor, nn.Parameter):
        return
    if type(value) not in PLAIN:
        raise TypeError(f"{name} is a {type(value).__name__}; a checkpoint holds tensors and plain values")
    if isinstance(value, dict):
        for key, item in value.items():
            require_plain(key, f"a key of {name}")
            require_plain(item, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            require_plain(item, f"{name}[{i}]")


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this project, of STS-Net, MARS, 3D-ResNets or Distil-2D-3D, onto the CPU.

    Nothing in the file is executed, and all of it is compared with its checksums first. Files of torch before 1.6 have
    none, nor have safetensors files of others: that is said. Raises FileNotFoundError if there is no file; ValueError
    if it is damaged, no checkpoint, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    if path.suffix == tensor_file.SUFFIX:
        return tensor_file.read(path)
    try:
        checked = verify(path)
        state = read_tensors(path)
    except MALFORMED as error:
        if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(
                f"{path}: refused: it holds {foreign[1]}, and only tensors and plain values are read"
            ) from None
        raise ValueError(f"{path}: {FOREIGN_SUFFIXES.get(path.suffix, 'damaged, or not a checkpoint')}") from None
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds a {type(state).__name__}, not a checkpoint")
    if not checked:
        log.warning("%s: an old format without checksums, so damage cannot be detected", path)
    if STUDENT in state and "state_dict" not in state:
        state["state_dict"] = state.pop(STUDENT)
    return state


def verify(path: Path) -> bool:
    """Compare every part of an archive with its checksum, which torch.load does not.

    Returns False for a file that is no archive and has no checksums. Raises zipfile.BadZipFile if a part differs, or
    the archive is not as torch writes them: parts uncompressed, under different names, one after the other up to the
    end.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - ZIP_END_SIZE))
        end = file.read()
        file.seek(0)
        if file.read(len(ZIP_START)) != ZIP_START:
            return False
        if not end.startswith(ZIP_END):
            raise zipfile.BadZipFile("something after the archive")
        with zipfile.ZipFile(file) as archive:
            verify_parts(archive, size)
    return True


def verify_parts(archive: zipfile.ZipFile, size: int) -> None:
    """Check the parts of an archive of `size` bytes; raises as `verify`."""
    parts = archive.infolist()
    if len({part.filename for part in parts}) < len(parts):
        raise zipfile.BadZipFile("two parts of the same name")
    # What torch's reader goes by and this one does not: it takes a part marked as a folder for one without bytes, and
    # leaves whatever was in memory as its values.
    if any(
        part.external_attr & 0xFFFF or part.internal_attr or part.volume or part.flag_bits & ~FLAGS for part in parts
    ):
        raise zipfile.BadZipFile("parts that are no plain files")
    if any(part.compress_type != zipfile.ZIP_STORED or part.compress_size != part.file_size for part in parts):
        raise zipfile.BadZipFile("compressed parts")
    # Before anything is read: do they claim more than there is?
    if sum(part.file_size for part in parts) > size or not all(0 <= part.header_offset < size for part in parts):
        raise zipfile.BadZipFile("parts outside the file, or overlapping")
    if (damaged := archive.testzip()) is not None:
        raise zipfile.BadZipFile(damaged)
