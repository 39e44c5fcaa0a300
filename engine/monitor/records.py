"""All logs that a run writes beside its checkpoints."""

from collections.abc import Mapping
from typing import Any

import torch

from ..command.config import write_options
from ..command.naming import RunFiles
from .display import speed_row
from .logs import Curves, JsonLog, TsvLog

VAL_COLUMNS = {"epoch": "epoch", "loss": "loss", "acc": "acc"}


class RunLogs:
    """All logs of a run, cut back to its first epoch; rows of it and later ones are dropped."""

    def __init__(
        self, files: RunFiles, options: Mapping[str, Any], first: int, train_columns: Mapping[str, str]
    ) -> None:
        self.train = TsvLog(files.train_log, train_columns, first)
        self.val = TsvLog(files.val_log, VAL_COLUMNS, first)
        self.jsonl = JsonLog(files.folder / "metrics.jsonl", first)
        self.speed = JsonLog(files.folder / "speed.jsonl", first)  # apart: all else is the same in every run of a seed
        self.curves = Curves(files.folder / "tensorboard", first)
        write_options(files.folder / "options.yaml", options)

    def write(
        self,
        epoch: int,
        lr: float,
        trained: Mapping[str, float],
        tested: Mapping[str, float],
        device: torch.device,
    ) -> None:
        """Add an epoch."""
        self.train.write({"epoch": epoch, "lr": lr, **trained})
        self.val.write({"epoch": epoch, **tested})
        speed = speed_row(trained, device)
        self.speed.write({"epoch": epoch, **speed})
        row = {f"train_{k}": v for k, v in trained.items() if k not in speed}
        row |= {f"val_{k}": v for k, v in tested.items()}
        self.jsonl.write({"epoch": epoch, "lr": lr, **row})
        self.curves.write({"lr": lr, **{k.replace("_", "/", 1): v for k, v in row.items()}}, epoch)

    def close(self) -> None:
        """Write out what is pending."""
        self.curves.close()
