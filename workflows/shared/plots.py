"""Plots of runs and tests, by matplotlib, an extra; without it nothing is drawn."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import confusion

log = logging.getLogger(__name__)

# Told apart by colour-blind people too (Okabe and Ito, 2008); its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")


def plot_curves(runs: Mapping[str, Path], path: Path) -> None:
    """Plot loss and accuracy by epoch, of folders by name with the run's metrics.jsonl somewhere below them."""
    figure = new_figure(10, 4)
    if figure is None:
        return
    left, right = figure.subplots(1, 2)
    for name, folder in runs.items():
        (file,) = folder.rglob("metrics.jsonl")
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        epochs = [row["epoch"] for row in rows]
        left.plot(epochs, [row.get("train_loss_ce", row["train_loss"]) for row in rows], label=name)
        (line,) = right.plot(epochs, [row["train_acc"] for row in rows], linestyle=":")
        right.plot(epochs, [row["val_acc"] for row in rows], label=name, color=line.get_color())
    left.set(xlabel="epoch", ylabel="cross-entropy, training clips", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="clip accuracy (dotted: training)", ylim=(0, 1))
    right.legend()
    save(figure, path)


def plot_confusion(scores: Path, path: Path) -> None:
    """Plot the confusion of the fused scores of a scores.npz: rows are true classes, columns predicted ones."""
    figure = new_figure(6.5, 6)
    if figure is None:
        return
    with np.load(scores) as saved:
        table = confusion(torch.from_numpy(saved["fused"]), torch.from_numpy(saved["label"]))
        names = saved["class_names"].tolist()
    axes = figure.subplots()
    share = 100 * table / table.sum(1, keepdim=True).clamp_min(1)
    image = axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="videos of the true class, %", fraction=0.046)
    for row in range(len(names)):
        for column in range(len(names)):
            if table[row, column]:
                shade = "white" if table[row, column] > table[row].sum() / 2 else "black"
                axes.text(column, row, int(table[row, column]), ha="center", va="center", color=shade, fontsize=8)
    basis = f"{int(table.sum()):,} videos, chance {100 / len(names):.1f} %"
    axes.set(xlabel="predicted", ylabel="true", title=f"{scores.stem}: {basis}")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    save(figure, path)


def load_figure(need: str) -> Any:
    """Import matplotlib's `Figure`; raises ValueError, which begins with the need for it, if it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(f"{need} matplotlib: pip install matplotlib") from None
    return Figure


def new_figure(width: float, height: float) -> Any:
    """Create an empty figure of so many inches, None without matplotlib."""
    try:
        return load_figure("pictures need")(figsize=(width, height), layout="constrained")
    except ValueError:
        log.warning("no matplotlib, so no pictures; pip install matplotlib")
        return None


def save(figure: Any, path: Path) -> None:
    """Write a figure, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
