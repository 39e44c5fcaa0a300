"""The result file of the published test scripts, line by line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from .files import write_atomically


def result_lines(scores: Tensor, label: Tensor) -> list[str]:
    """One line per video and the accuracy, in the published format.

    Args:
        scores: Fused scores, shape (N, K).
        label: Class indices, shape (N,).
    """
    lines, right = [], 0
    ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices
    for i, (row, target) in enumerate(zip(ranked.tolist(), label.tolist(), strict=True)):
        right += row[0] == target
        lines.append(
            f"Video[{i}] : \t top5 {np.array(row)}\t top1 = {row[0]}\t true = {target}\t video = {right / (i + 1)}"
        )
    return [*lines, f"Video accuracy = {right / len(lines)}"]


def write_result(path: Path, header: str, lines: Sequence[str]) -> None:
    """Write the options as text and the lines, with LF ends."""
    text = "\n".join([header, *lines]) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
