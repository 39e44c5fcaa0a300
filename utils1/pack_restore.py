"""Files of packed clips back to the images that they were made from, or compared with them."""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.stores.pack_file import CURE, PackFile
from datasets.stores.store import inside

from .pack_convert import restore
from .parallel import Worker


@dataclass(frozen=True)
class Files:
    """The files of one video, and a root: of the tree that they become, or were made from, if there is one."""

    files: Sequence[Path]
    root: Path | None


def unpack(job: Files, _: Worker) -> tuple[int, str]:
    """Write what a video was packed from; files that are there already are left alone.

    Returns:
        Bytes written, and why it failed or "".
    """
    assert job.root is not None
    size = 0
    rest: dict[str, bytes] = {}
    try:
        for path in job.files:
            file = PackFile(path)
            originals, others = file.originals
            rest |= others
            for image, original in enumerate(originals):
                place = inside(job.root, original.path)
                crc = int(file.description.table["original"][image])
                if not (place.is_file() and zlib.crc32(place.read_bytes()) == crc):
                    size += write(place, restored(file, image))
        for name, content in rest.items():  # last, for a `done` says that all is there
            size += write(inside(job.root, name), content)
    except (ValueError, FileNotFoundError) as error:
        return size, str(error)
    return size, ""


def verify(job: Files, _: Worker) -> tuple[int, str]:
    """Restore everything in memory and compare it with its checksums and, if there is a root, with its files.

    Returns:
        Images, and what is wrong or "".
    """
    images = 0
    try:
        for path in job.files:
            file = PackFile(path)
            originals, others = file.originals
            for image, original in enumerate(originals):
                compare(job.root, original.path, restored(file, image))
                images += 1
            for name, content in others.items():
                compare(job.root, name, content)
    except (ValueError, FileNotFoundError) as error:
        return images, str(error)
    return images, ""


def restored(file: PackFile, image: int) -> bytes:
    """The bytes of the file that an image was.

    Raises:
        ValueError: If the pack is damaged.
    """
    try:
        data = restore(file.jpeg(image), file.originals[0][image])
    except ValueError as error:
        raise ValueError(f"{file.name(image)}: {error}; {CURE}") from error
    if zlib.crc32(data) != file.description.table["original"][image]:
        raise ValueError(f"{file.name(image)}: damaged image; {CURE}")
    return data


def compare(root: Path | None, name: str, content: bytes) -> None:
    """Check that a file is what was packed.

    Raises:
        ValueError: If it is not.
    """
    if root and (place := inside(root, name)).read_bytes() != content:
        raise ValueError(f"{place}: is not what was packed; {CURE}")


def write(place: Path, content: bytes) -> int:
    """Write a file under a temporary name; its bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name[:200]}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return len(content)
