"""Facts stated by the image files themselves."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


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
    table = np.array(tables[min(tables)])
    return min(range(1, 101), key=lambda quality: int(np.abs(table_of(quality) - table).sum()))


def table_of(quality: int) -> np.ndarray:
    """Return the quantisation table of a quality."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.array(image.quantization[0])  # type: ignore[attr-defined]  # of JPEG images
