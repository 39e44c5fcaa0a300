"""Loading of batches: which samples, in which order, read by how many workers."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from .failures import Address, FailedItem, FaultTolerantDataset, SkippedVideos
from .thread_loader import Threads
from .workers import LOADERS, allow_open_files, choose_loader, choose_workers, start_worker, worker_context

__all__ = ["LOADERS", "ClipLoader", "EpochBatches"]

SEED_STRIDE = 2**32  # of seeds, so that (1, 2) and (2, 1) are different orders

Collate = Callable[[list[Any]], dict[str, Any]]


class EpochBatches(Sampler[list[Address]]):
    """Batch sampler: addresses `(epoch, index)` of the items, in an order that the seed and the epoch fix.

    Several processes share an epoch: in training all take as many batches, and no item twice; in evaluation each item
    is one process's, and one process may have a batch more than another.

    Args:
        num_items: Size of the dataset.
        batch_size: Items per batch and process.
        train: Whether the order is random, and items that do not fill a batch of every process are dropped (unless
            they are all there is).
        seed: Seed of the order, >= 0.
        rank: Number of this process, from 0.
        world: Number of processes.

    Attributes:
        epoch: Whose order comes next.
        step: Batches of it that are left out at its beginning.
        dropped: Training items that an epoch leaves out, for they do not fill a batch; others in each.

    Raises:
        ValueError: If there are fewer training items than processes.
    """

    def __init__(
        self, num_items: int, batch_size: int, *, train: bool, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.num_items, self.shuffle, self.seed, self.rank, self.world = num_items, train, seed, rank, world
        self.epoch = self.step = 0
        share = num_items // world if train else len(range(rank, num_items, world))
        if train and num_items and not share:
            raise ValueError(f"{num_items} training videos are fewer than the {world} processes: start fewer")
        self.batch_size = min(batch_size, share) if train and share else batch_size
        full, remainder = divmod(share, self.batch_size)
        self.batches = full if train else full + bool(remainder)
        self.dropped = num_items - full * self.batch_size * world if train else 0

    def __len__(self) -> int:
        """Count the batches of a whole epoch."""
        return self.batches

    def __iter__(self) -> Iterator[list[Address]]:
        generator = torch.Generator().manual_seed(self.seed * SEED_STRIDE + self.epoch)
        order = torch.randperm(self.num_items, generator=generator) if self.shuffle else torch.arange(self.num_items)
        # In training a batch of all processes is a run of the order, as it is of one process with larger batches.
        size, width = self.batch_size, self.batch_size * self.world
        indices = order if self.shuffle else order[self.rank :: self.world]
        for batch in range(self.step, self.batches):
            first = batch * width + self.rank * size if self.shuffle else batch * size
            yield [(self.epoch, index) for index in indices[first : first + size].tolist()]


class LoadedBatch(NamedTuple):
    """A batch of the items that could be read, None if there are none, and the failures."""

    batch: dict[str, Any] | None
    bad: list[FailedItem]


@dataclass(frozen=True)
class Collator:
    """Collator of items, samples or lists of them, some of which may have failed."""

    collate: Collate  # makes a batch of samples
    pin: bool = False  # whether the batch lies in pinned memory, which a GPU can fetch while it works

    def __call__(self, items: Sequence[Any]) -> LoadedBatch:
        bad = [item for item in items if isinstance(item, FailedItem)]
        good = [item if isinstance(item, list) else [item] for item in items if not isinstance(item, FailedItem)]
        samples = [sample for item in good for sample in item]
        batch = self.collate(samples) if samples else None
        if batch and self.pin:
            batch = {name: x.pin_memory() if isinstance(x, Tensor) else x for name, x in batch.items()}
        return LoadedBatch(batch, bad)


@dataclass(eq=False, repr=False)
class ClipLoader:
    """Loader of clips, (N, C, T, H, W) uint8 per stream; its batches are the same for any workers.

    Of a training batch of which nothing can be read only a "label" of shape (0,) is left: it counts as any other.

    Attributes:
        dataset: Samples, or lists of the crops of one clip, by address `(epoch, index)`.
        batch_size: Clips per batch, every crop counted.
        train: Whether to shuffle, and to drop a last batch that is not full (unless it is the only one).
        n_workers: Number of workers; 0: the caller reads, "auto": one for each core that is there for this process.
        loader: Kind of workers: "threads", "processes", or "auto", threads where reading lets them run side by side.
        pin_memory: Whether batches are for a GPU.
        seed: Seed of the order.
        max_bad: Training videos that may be left out because they cannot be read; in evaluation none ever is.
        collate: Makes a batch of samples.
        rank: Number of this process, from 0.
        world: Number of processes that share the data.
        left_out: The videos that were.
    """

    dataset: Dataset[Any]
    _: KW_ONLY
    batch_size: int
    train: bool
    n_workers: int | str = 0
    loader: str = "auto"
    pin_memory: bool = False
    seed: int = 0
    max_bad: int = 0
    collate: Collate = default_collate
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        # A clip of a test is read once for all of its crops.
        crops = getattr(getattr(self.dataset, "crops", None), "crops", 1)
        items = max(1, self.batch_size // crops)
        size = len(self.dataset)  # type: ignore[arg-type]
        self.batches = EpochBatches(size, items, train=self.train, seed=self.seed, rank=self.rank, world=self.world)
        self.left_out = SkippedVideos(self.max_bad if self.train else 0)
        self.kind = choose_loader(self.loader)
        self.workers = choose_workers(self.n_workers, size if self.kind == "threads" else len(self.batches))
        self.load_epoch = self.build_loading()

    def build_loading(self) -> Callable[[], Iterable[LoadedBatch]]:
        dataset = FaultTolerantDataset(self.dataset)
        if self.workers and self.kind == "threads":
            threads = Threads(dataset.__getitem__, Collator(self.collate, self.pin_memory), self.workers)
            return lambda: threads(self.batches)
        if self.workers:
            allow_open_files(self.workers)
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self.batches,
            num_workers=self.workers,
            collate_fn=Collator(self.collate),
            pin_memory=self.pin_memory,
            persistent_workers=self.workers > 0,
            multiprocessing_context=worker_context() if self.workers else None,
            worker_init_fn=start_worker,
            generator=torch.Generator(),  # its own, so that loading leaves the global one alone
        )
        return lambda: loader

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield batches from where `set_epoch` says.

        Raises ValueError or OSError if an item cannot be read, or more than may be left out.
        """
        for batch, bad in self.load_epoch():
            for item in bad:
                self.leave_out(item)
            yield {"label": torch.empty(0, dtype=torch.long)} if batch is None else batch

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Choose the epoch whose order and draws come next, and which of its batches, from 0, is the first."""
        self.batches.epoch, self.batches.step = epoch, step

    def leave_out(self, bad: FailedItem) -> None:
        if not self.left_out.most:
            # Raised itself, it would be in a cycle with this call, which keeps workers from ending at once.
            raise copy.copy(bad.error) from bad.error
        videos = getattr(self.dataset, "videos", None)
        self.left_out.add(videos[bad.item].name if videos else str(bad.item), bad.error)
