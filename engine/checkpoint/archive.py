"""Checksums of the archives that torch writes, which torch.load itself does not compare."""

import io
import zipfile
from pathlib import Path

ZIP_START, ZIP_END, ZIP_END_SIZE = b"PK\x03\x04", b"PK\x05\x06", 22
FLAGS = 0x808  # of a part: its name is in UTF-8, its sizes come after it


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
