"""Restoring and verifying packed clips: files identical to those that were packed."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.stores.pack_file import CURE, PackFile
from datasets.stores.store import inside
from sts_common.files import remove_unfinished, write_atomically
from sts_common.workers import Worker


@dataclass(frozen=True)
class Files:
    """The packed files of one video, and the root of the tree to restore or compare with, if there is one."""

    files: Sequence[Path]
    root: Path | None


def unpack(job: Files, worker: Worker) -> tuple[int, str]:
    """Write the files that a video was packed from; existing files are left alone.

    Returns bytes written, and why it failed or "".
    """
    assert job.root is not None
    size = 0
    try:
        if worker.attempt:
            remove_unfinished(inside(job.root, name) for *_, name in in_order(job.files))
        for file, number, name in in_order(job.files):
            place = inside(job.root, name)
            if not (place.is_file() and zlib.crc32(place.read_bytes()) == file.front.table["crc"][number]):
                content = file.content(number)
                write_atomically(place, lambda out: out.write(content), durable=False)  # noqa: B023 - called at once
                size += len(content)
    except (ValueError, FileNotFoundError) as error:
        return size, str(error)
    return size, ""


def lost_files(job: Files, reason: str) -> tuple[int, str]:
    """Return the outcome of a packed video during which workers of a cluster die."""
    return 0, f"{job.files[0]}: {reason}"


def verify(job: Files, _: Worker) -> tuple[int, str]:
    """Compare everything with its checksums and, if there is a root, with its files.

    Returns images, and what is wrong or "".
    """
    images = 0
    try:
        for file, number, name in in_order(job.files):
            content = file.content(number)
            if job.root and (place := inside(job.root, name)).read_bytes() != content:
                raise ValueError(f"{place}: is not what was packed; {CURE}")
            images += number < file.images
    except (ValueError, FileNotFoundError) as error:
        return images, str(error)
    return images, ""


def in_order(paths: Sequence[Path]) -> Iterator[tuple[PackFile, int, str]]:
    """Yield the content of packs, by number and name: all images before all other files, for `done` marks the end."""
    files = [PackFile(path) for path in paths]
    for is_image in (True, False):
        for file in files:
            for number, name in enumerate(file.description.names):
                if (number < file.images) == is_image:
                    yield file, number, name
