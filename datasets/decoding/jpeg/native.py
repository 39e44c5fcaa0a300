"""JPEG decoding of clips by the library in clip.cpp: only where a view looks, resized byte for byte as Pillow does.

Nothing here knows the names of files: `images.py` turns an `ImageError` into one that names them.
"""

import ctypes
import importlib.util
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sts_common.native import BuildError, reason_missing

from ...clips.views import View
from .build import KERNEL
from .clip_records import MISSING, FailureRecord, ImageError, Images, ViewRecord, check, in_memory

ISAS = ("auto", "baseline", "avx2", "avx512")  # by their numbers in clip.h
SYSTEM_LIBRARIES = ("libjpeg.so.62", "libjpeg.so.8", "libjpeg.62.dylib", "libjpeg.8.dylib")
NO_LIBJPEG = "no libjpeg-turbo of the kind that the headers describe: pip install --upgrade Pillow brings one"


class FileMemory:
    """Reused memory of one thread that files are read into."""

    def __init__(self) -> None:
        self.free = load().clip_files_free
        self.handle = load().clip_files_new()
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        self.free(self.handle)

    def read(self, names: Sequence[bytes]) -> Images:
        """Read whole files, which stay in memory until the next call; raises `ImageError`."""
        kernel, failure = load(), FailureRecord()
        text = b"\0".join([*names, b""])
        if text.count(b"\0") != len(names):
            raise ImageError(next(i for i, name in enumerate(names) if b"\0" in name), MISSING, "no file name")
        check(kernel.clip_files_read(self.handle, text, len(names), ctypes.byref(failure)), failure)
        return Images(kernel.clip_files_data(self.handle), kernel.clip_files_sizes(self.handle), len(names), self)


local = threading.local()


def read_files(names: Sequence[bytes]) -> Images:
    """Read whole files; they stay in memory until this thread's next call; raises `ImageError`."""
    if not hasattr(local, "memory"):
        local.memory = FileMemory()
    memory: FileMemory = local.memory
    return memory.read(names)


def image_size(images: Images) -> tuple[int, int]:
    """Read height and width of the first image from its header; raises `ImageError`."""
    failure, values = FailureRecord(), (ctypes.c_int32 * 3)()
    address = ctypes.addressof(values)
    data = ctypes.c_void_p.from_address(images.data).value
    size = ctypes.c_int64.from_address(images.sizes).value
    code = load().clip_size(data, size, address, address + 4, address + 8, ctypes.byref(failure))
    check(code, failure)
    return values[0], values[1]


def decode(
    images: Images,
    channels: int,
    size: tuple[int, int],
    view: View,
    out: NDArray[np.uint8],
    fast: bool = False,
    isa: str = "auto",
) -> None:
    """Decode what a view shows of images.

    They are JPEG, all of one size (height and width). `out` is filled: (channels, images, window height, window width),
    without gaps; channels are 3 for RGB, 1 for grey levels. `fast` is decoding at half the size where the box is at
    least twice as high and as wide as what it is resized to. Raises ImageError if one is damaged, of another size, or
    of a kind that is not decoded here.
    """
    failure = FailureRecord()
    arguments = (images.data, images.sizes, images.number, *size, channels, view_record(view, fast, isa))
    check(load().clip_decode(*arguments, out.ctypes.data, ctypes.byref(failure)), failure)


def resample(frames: NDArray[np.uint8], view: View, isa: str = "auto") -> NDArray[np.uint8]:
    """Resample decoded frames (T, H, W, C) of 1 to 3 channels to a view, as (C, T, height, width)."""
    failure, frames = FailureRecord(), np.ascontiguousarray(frames)
    count, height, width, channels = frames.shape
    out = np.empty((channels, count, view.window.height, view.window.width), np.uint8)
    arguments = (frames.ctypes.data, count, height, width, channels, view_record(view, False, isa))
    check(load().clip_resample(*arguments, out.ctypes.data, ctypes.byref(failure)), failure)
    return out


def decode_floor(blobs: Sequence[Any], channels: int) -> None:
    """Decode whole JPEG images and drop them: the lower bound that benchmarks compare with; raises `ImageError`."""
    images, failure = in_memory(blobs), FailureRecord()
    check(load().clip_floor(images.data, images.sizes, images.number, channels, ctypes.byref(failure)), failure)


def view_record(view: View, fast: bool, isa: str) -> Any:
    """Return a reference to the view as clip.h has it."""
    if isa not in isa_paths():
        raise ValueError(f"this processor has no code path {isa!r}; it has {', '.join(isa_paths())}")
    window = view.window
    record = ViewRecord(*view.box, *view.size, *window, view.flip, fast, ISAS.index(isa))
    return ctypes.byref(record)


def missing() -> str:
    """Return why there is no native loader on this machine and how to get it; "" if there is."""
    return reason_missing(load)


@cache
def isa_paths() -> list[str]:
    """List the code paths that this processor can run, "auto" first."""
    return [name for number, name in enumerate(ISAS) if load().clip_isa(number) > 0]


def isa_used() -> str:
    """Return the code path that "auto" takes."""
    return ISAS[load().clip_isa(0)]


def jpeg_libraries() -> list[str]:
    """List where libjpeg-turbo may be: in the system, and in the wheel of Pillow."""
    pillow = importlib.util.find_spec("PIL")
    folder = Path(pillow.origin).parent if pillow and pillow.origin else Path()
    bundled = [*folder.parent.glob("[Pp]illow.libs/libjpeg*.so*"), *folder.glob(".dylibs/libjpeg*.dylib")]
    return [*SYSTEM_LIBRARIES, *map(str, sorted(bundled))]


@cache
def library_path() -> Path:
    """Return the path of the library in use, compiled if need be; raises `BuildError`."""
    return KERNEL.path()


@cache
def jpeg_library() -> str:
    """Return name or path of the libjpeg-turbo in use; raises `BuildError`."""
    load()
    return libjpeg[0]


libjpeg: list[str] = []


@cache
def load() -> ctypes.CDLL:
    """Load the library with a libjpeg-turbo; ctypes releases the GIL during calls.

    Raises BuildError if there is none, or it does not load, or finds no libjpeg-turbo.
    """
    kernel = KERNEL.load(library_path())
    declare(kernel)
    failure = FailureRecord()
    for name in jpeg_libraries():
        if kernel.clip_open(name.encode(), ctypes.byref(failure)) == 0:
            libjpeg[:] = [name]
            return kernel
    raise BuildError(NO_LIBJPEG)


def declare(kernel: ctypes.CDLL) -> None:
    """Declare the types of clip.h."""
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    kernel.clip_isa.argtypes = [int32]
    kernel.clip_open.argtypes = [ctypes.c_char_p, pointer]
    for name in ("clip_files_new", "clip_files_data", "clip_files_sizes"):
        getattr(kernel, name).restype = pointer
        getattr(kernel, name).argtypes = [pointer]
    kernel.clip_files_new.argtypes = []
    kernel.clip_files_free.argtypes = [pointer]
    kernel.clip_files_free.restype = None
    kernel.clip_files_read.argtypes = [pointer, ctypes.c_char_p, int64, pointer]
    kernel.clip_size.argtypes = [pointer, int64, pointer, pointer, pointer, pointer]
    kernel.clip_decode.argtypes = [pointer, pointer, int64, int32, int32, int32, pointer, pointer, pointer]
    kernel.clip_resample.argtypes = [pointer, int64, int32, int32, int32, pointer, pointer, pointer]
    kernel.clip_floor.argtypes = [pointer, pointer, int64, int32, pointer]
