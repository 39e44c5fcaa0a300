"""What a run writes down: metrics.jsonl, the tab-separated logs of the original, TensorBoard."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from queue import Full
from typing import Any

from tensorboardX import SummaryWriter

log = logging.getLogger(__name__)


class TsvLog:
    """A log in the original's format: tab-separated, CRLF, a header, a row per epoch.

    Args:
        path: The file.
        columns: Column -> metric. A metric that is not there is the sum of those it is a prefix of, so that
            "loss_mse" covers "loss_mse_avgpool".
        first_epoch: Rows of this epoch and later are dropped: the run starts there.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], first_epoch: int) -> None:
        self.path, self.columns = path, columns
        kept = []
        if path.exists() and first_epoch > 1:
            rows = path.read_text().splitlines()[1:]
            kept = [row for row in rows if row and int(row.split("\t")[0]) < first_epoch]
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["\t".join(columns), *kept]
        path.write_text("".join(f"{line}\r\n" for line in lines), newline="")

    def write(self, metrics: Mapping[str, float]) -> None:
        """Append a row."""
        values = [total(metrics, name) for name in self.columns.values()]
        with self.path.open("a", newline="") as file:
            file.write("\t".join(map(str, values)) + "\r\n")


def total(metrics: Mapping[str, float], name: str) -> float:
    """The metric called `name`, or the sum of those called "name_*"."""
    if name in metrics:
        return metrics[name]
    return float(sum(value for key, value in metrics.items() if key.startswith(f"{name}_")))


class JsonLog:
    """metrics.jsonl: one JSON object per epoch, the record of the run.

    Args:
        path: The file.
        first_epoch: Rows of this epoch and later are dropped.
    """

    def __init__(self, path: Path, first_epoch: int) -> None:
        self.path = path
        kept = []
        if path.exists() and first_epoch > 1:
            kept = [line for line in path.read_text().splitlines() if json.loads(line)["epoch"] < first_epoch]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


class Curves:
    """TensorBoard curves that can never stop a run.

    tensorboardX writes from a thread with a bounded queue. On a full disk the thread dies, and adding to a full queue
    then blocks for ever. So the queue is longer than what an epoch adds, and the thread's health is looked at before
    every add; curves that fail are given up with one warning.

    Args:
        folder: Event files go here.
        first_epoch: Points of this epoch and later are dropped.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self.writer: SummaryWriter | None = None
        try:
            self.writer = SummaryWriter(str(folder), purge_step=first_epoch, max_queue=10_000)
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


def queue_is_served(writer: SummaryWriter) -> None:
    """Check that tensorboardX's thread still takes events from its queue.

    Raises:
        Full: If the thread has died.
    """
    events = writer.file_writer.event_writer
    if not events._worker.is_alive():
        raise Full("its writer thread has died, is the disk full?")
