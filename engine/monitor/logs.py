"""Logs of a run: metrics.jsonl and speed.jsonl, the tab-separated logs of the original, TensorBoard."""

import json
import logging
import os
from collections.abc import Mapping
from math import nan
from pathlib import Path
from queue import Full
from typing import TYPE_CHECKING, Any

import torch

from sts_common.files import write_text
from sts_common.json_text import as_json

from ..command.config import write_options
from ..command.naming import RunFiles
from .display import speed_row

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

log = logging.getLogger(__name__)


class RunLogs:
    """All logs of a run, cut back to its first epoch; rows of it and later ones are dropped."""

    def __init__(
        self, files: RunFiles, options: Mapping[str, Any], first: int, train_columns: Mapping[str, str]
    ) -> None:
        self.train = TsvLog(files.train_log, train_columns, first)
        self.val = TsvLog(files.val_log, {name: name for name in ("epoch", "loss", "acc")}, first)
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


class TsvLog:
    """A log in the original's format: tab-separated, CRLF, a header, a row per epoch, of metrics by column.

    A metric that is not there is the sum of those it is a prefix of, so that "loss_mse" covers "loss_mse_avgpool". Rows
    from `first_epoch` on are dropped: the run starts there.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], first_epoch: int) -> None:
        self.path, self.columns = path, columns
        rows = whole_lines(path)[1:] if first_epoch > 1 else []
        earlier = [row for line, row in enumerate(rows, 2) if epoch_of(row.split("\t")[0], path, line) < first_epoch]
        write_text(path, "".join(f"{line}\r\n" for line in ["\t".join(columns), *earlier]))

    def write(self, metrics: Mapping[str, float]) -> None:
        """Append a row."""
        append(self.path, "\t".join(str(total(metrics, name)) for name in self.columns.values()) + "\r\n")


def total(metrics: Mapping[str, float], name: str) -> float:
    """Return the metric called `name`, or the sum of those called "name_*"; NaN for an accuracy that there is not."""
    if name in metrics:
        return metrics[name]
    parts = [value for key, value in metrics.items() if key.startswith(f"{name}_")]
    return nan if name == "acc" else float(sum(parts))


class JsonLog:
    """metrics.jsonl: one JSON object per epoch, the record of the run; rows from `first_epoch` on are dropped."""

    def __init__(self, path: Path, first_epoch: int) -> None:
        self.path = path
        rows = read_rows(path) if first_epoch > 1 else []
        write_text(path, "".join(as_json(row) + "\n" for row in rows if row["epoch"] < first_epoch))

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        append(self.path, as_json(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSON log, none if there is no such file.

    Raises ValueError if a line is none, but for a last one that was cut off, which is left out with a warning.
    """
    rows = []
    for line, text in enumerate(whole_lines(path), 1):
        try:
            row = json.loads(text)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {line}: not a row of a log; delete that line")
        rows.append(row | {"epoch": epoch_of(row.get("epoch"), path, line)})
    return rows


def whole_lines(path: Path) -> list[str]:
    """Read the complete lines of a file, none if it does not exist; a last line without an end was cut off."""
    if not path.exists():
        return []
    *lines, partial = path.read_text("utf-8", "replace").split("\n")  # any kind of line end is read as this one
    if partial:
        log.warning("%s: its last line was cut off, and is left out", path)
    return lines


def epoch_of(value: Any, path: Path, line: int) -> int:
    """Return the epoch that a row begins with; raises ValueError if it is no number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{path}, line {line}: {value!r} is no epoch; delete that line") from None


def append(path: Path, text: str) -> None:
    """Append to a file and sync it: what a checkpoint has been written after must not be lost with the power."""
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or str(path)  # writing and fsync do not say which file
        raise


class Curves:
    """TensorBoard curves that can never stop a run.

    tensorboardX writes from a thread with a bounded queue. On a full disk the thread dies, and adding to a full queue
    then blocks for ever. So the queue is longer than what an epoch adds, and the thread's health is looked at before
    every add; curves that fail are given up with one warning. Points of `first_epoch` and later are dropped.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self.writer: SummaryWriter | None = None
        try:
            import tensorboardX  # which nothing but curves needs
        except ImportError:
            log.warning("no TensorBoard curves without tensorboardX: pip install tensorboardX; metrics.jsonl has all")
            return
        try:
            self.writer = tensorboardX.SummaryWriter(str(folder), purge_step=first_epoch, max_queue=10_000)
        except OSError as error:
            self.give_up(error)

    def write(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Add a point to each curve."""
        if self.writer is None:
            return
        try:
            for name, value in metrics.items():
                queue_is_served(self.writer)
                self.writer.add_scalar(name, value, epoch)
            self.writer.flush()
        except (OSError, Full) as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Go on without curves."""
        log.warning("TensorBoard curves stop here (%s); metrics.jsonl goes on", error)
        if self.writer is not None:
            self.writer.file_writer.event_writer._event_queue.cancel_join_thread()  # or the exit waits for it
            self.writer = None

    def close(self) -> None:
        """Write out what is pending."""
        if self.writer is not None:
            self.writer.close()


def queue_is_served(writer: "SummaryWriter") -> None:
    """Check that tensorboardX's thread still takes events from its queue; raises Full if the thread has died."""
    events = writer.file_writer.event_writer
    if not events._worker.is_alive():
        raise Full("its writer thread has died, is the disk full?")
