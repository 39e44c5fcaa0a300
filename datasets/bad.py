"""What could not be read, in place of the items of a dataset."""

import traceback
from typing import Any, NamedTuple

from torch.utils.data import Dataset, get_worker_info

Address = tuple[int, int]


class Bad(NamedTuple):
    """In place of an item that could not be read: which, and why."""

    item: int
    error: ValueError | OSError


class Tolerant(Dataset[Any]):
    """Items of a dataset, or what was raised by reading one: an exception that leaves a process loses its kind."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, address: Address) -> Any:
        try:
            return self.dataset[address]
        except (ValueError, OSError) as error:
            if get_worker_info():  # for --debug: the traceback itself stays in the process
                error.add_note(traceback.format_exc())
            return Bad(address[1], error)


def message(error: ValueError | OSError) -> str:
    """What happened to which file."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
