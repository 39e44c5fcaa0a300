"""Middlebury .flo files: flow of one pair of images, exactly as it was computed.

Little-endian on every machine: float32 202021.25, int32 width, int32 height, then height * width pairs (x, y) of
float32. Flow that is unknown, as behind an object, is NaN here and above 1e9 in the file, as Middlebury has it.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sts_common.files import write_atomically

TAG = 202021.25  # its bytes spell PIEH
HEADER = struct.Struct("<fii")
MAX_SIDE = 99999
LARGEST, UNKNOWN = 1e9, 1e10


def read_flo(path: str | Path) -> NDArray[np.float32]:
    """Read a .flo file: (H, W, 2), pixels per frame, x first; both components are NaN where either is unknown.

    Raises FileNotFoundError if there is no file; ValueError for a name that does not end in .flo, another tag, sides
    outside 1 to 99999, too few or too many bytes.
    """
    path = checked_name(path)
    with path.open("rb") as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise ValueError(f"{path}: {len(header)} bytes, cut short within its header; write it again")
        tag, width, height = HEADER.unpack(header)
        if tag != TAG:
            raise ValueError(f"{path}: starts with {tag:g} where .flo files have {TAG}; it is another format")
        check_size(path, width, height)
        size, expected = path.stat().st_size, HEADER.size + 8 * width * height
        if size != expected:  # before memory is taken for what a damaged header claims
            what = "cut short" if size < expected else "too long"
            raise ValueError(f"{path}: {what}, {size} bytes where {width}x{height} needs {expected}; write it again")
        flow = np.fromfile(file, "<f4", 2 * width * height).reshape(height, width, 2).astype(np.float32, copy=False)
    flow[~(np.abs(flow) <= LARGEST).all(-1)] = np.nan
    return flow


def write_flo(path: str | Path, flow: ArrayLike) -> None:
    """Write flow (H, W, 2), pixels per frame, x first, NaN where unknown, as .flo, whole or not at all.

    Its folder is made. Raises ValueError for a name that does not end in .flo, another shape, sides outside 1 to 99999,
    values beyond 1e9; OSError if it cannot be written.
    """
    path, array = checked_name(path), np.asarray(flow, "<f4")
    if array.ndim != 3 or array.shape[2] != 2:
        raise ValueError(f"{path}: flow must have the shape (height, width, 2), got {array.shape}")
    height, width = array.shape[:2]
    check_size(path, width, height)
    unknown = np.isnan(array).any(-1, keepdims=True)
    if (np.abs(array) > LARGEST).any():
        raise ValueError(f"{path}: flow beyond {LARGEST:g} pixels cannot be told from unknown; give NaN where it is")
    content = np.where(unknown, np.float32(UNKNOWN), array).astype("<f4", copy=False).tobytes()
    # Not durable: there are thousands of them, and what a power cut leaves is seen when it is read.
    write_atomically(path, lambda file: file.write(HEADER.pack(TAG, width, height) + content), durable=False)


def checked_name(path: str | Path) -> Path:
    """Return `path` if it ends in .flo; raise ValueError otherwise."""
    if Path(path).suffix != ".flo":
        raise ValueError(f"{path}: the name of a flow file must end in .flo")
    return Path(path)


def check_size(path: Path, width: int, height: int) -> None:
    """Raise ValueError unless both sides are in [1, 99999]."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{path}: a size of {width}x{height}; both sides must be 1 to {MAX_SIDE}")
