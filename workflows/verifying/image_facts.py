"""Facts stated by the image files themselves."""

import io
from pathlib import Path

from PIL import Image

SAMPLE = Image.new("L", (8, 8))


def jpeg_quality(folder: Path) -> int | None:
    """Return the quality, as libjpeg counts it, of the first JPEG file of a folder; None if there is none.

    Files do not state it: it is the one whose table for luminance is nearest.
    """
    file = min(folder.glob("*.jpg"), default=None) if folder.is_dir() else None
    if file is None:
        return None
    with Image.open(file) as image:
        tables = getattr(image, "quantization", {})
    if not tables:
        return None
    return min(range(1, 101), key=lambda quality: distance(table_of(quality), tables[min(tables)]))


def table_of(quality: int) -> list[int]:
    """Return the quantisation table of a quality."""
    buffer = io.BytesIO()
    SAMPLE.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return list(image.quantization[0])  # type: ignore[attr-defined]  # of JPEG images


def distance(one: list[int], other: list[int]) -> int:
    """Sum the differences of two tables."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))
