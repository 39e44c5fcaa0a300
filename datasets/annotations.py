"""Reading annotation files: every error names file and line."""

from collections.abc import Iterator
from pathlib import Path


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Non-empty lines of a text file with their place, "FILE:LINE".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; check --annotation_path, --dataset and --split") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def parse_index(text: str, place: str, first: int) -> int:
    """A class index counted from `first`, as one counted from 0.

    Raises:
        ValueError: If it is not a whole number from `first` on.
    """
    if not text.isdecimal() or int(text) < first:
        raise ValueError(f"{place}: {text!r} is not a class index from {first} on")
    return int(text) - first


def stem(video: str) -> str:
    """File name without its extension, which starts at the last dot."""
    return video.rsplit(".", 1)[0]
