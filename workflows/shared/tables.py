"""Tables as text: columns of a fixed width for a terminal, and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]], text: int) -> list[str]:
    """Format rows as lines of columns, the first `text` of which begin at one place, the others end at one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    forms = [f"{'<' if i < text else '>'}{width}" for i, width in enumerate(widths)]
    return ["  ".join(map(format, row, forms)) for row in rows]


def as_csv(rows: Iterable[Iterable[Any]], digits: int = 6) -> str:
    """Format rows as a CSV file: floats with so many decimals, None as nothing."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([f"{value:.{digits}f}" if isinstance(value, float) else value for value in row] for row in rows)
    return text.getvalue()
