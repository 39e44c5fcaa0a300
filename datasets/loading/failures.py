"""Failures of reading, in place of the items of a dataset."""

import logging
import traceback
from collections.abc import Iterable
from typing import Any, NamedTuple

from torch.utils.data import Dataset, get_worker_info

from sts_common import counted

Address = tuple[int, int]

log = logging.getLogger(__name__)


class FailedItem(NamedTuple):
    """An item that could not be read, and why."""

    item: int
    error: ValueError | OSError


class FaultTolerantDataset(Dataset[Any]):
    """Dataset that returns the error where an item cannot be read: raised in a process, it would lose its type."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, address: Address) -> Any:
        try:
            return self.dataset[address]
        except (ValueError, OSError) as error:
            if get_worker_info():  # for --debug: the traceback itself stays in the process
                error.add_note(traceback.format_exc())
            return FailedItem(address[1], error)


def message(error: ValueError | OSError) -> str:
    """Return what happened to which file."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class SkippedVideos:
    """Training videos left out because they cannot be read; each is counted, and named, once.

    `names` are in the order in which they were met, `most` so many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.names: list[str] = []

    def add(self, name: str, error: ValueError | OSError) -> None:
        """Record a video that could not be read just now; raises ValueError if it is one too many."""
        if name not in self.names:
            self.names.append(name)
            log.warning("left out of training, bad video %d: %s", len(self.names), message(error))
        self.check(message(error), error)

    def extend(self, names: Iterable[str]) -> None:
        """Record the videos that another process met, or that this run met before it was resumed.

        Raises ValueError if they are too many.
        """
        self.names += [name for name in dict.fromkeys(names) if name not in self.names]
        if self.names:
            self.check(self.names[-1])

    def check(self, last: str, cause: Exception | None = None) -> None:
        """Raise ValueError if more are left out than allowed."""
        if len(self.names) > self.most:
            raise ValueError(
                f"{counted(len(self.names), 'training video')} cannot be read, --max_bad {self.most} allows no more "
                f"than that; the last: {last}"
            ) from cause
