"""Batches: which samples, in which order, on how many processes."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Addresses `(epoch, index)` of every sample once, in an order that the seed and the epoch fix.

    Args:
        num_samples: Size of the dataset.
        shuffle: Whether the order is random.
        seed: Seed of the order, >= 0.
    """

    def __init__(self, num_samples: int, *, shuffle: bool, seed: int) -> None:
        self.num_samples, self.shuffle, self.seed, self.epoch = num_samples, shuffle, seed, 0

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # Spread over 2**32 so that seeds and epochs do not meet: (1, 2) and (2, 1) are different orders.
        generator = torch.Generator().manual_seed(self.seed * 2**32 + self.epoch)
        order = torch.randperm(self.num_samples, generator=generator) if self.shuffle else range(self.num_samples)
        return ((self.epoch, int(index)) for index in order)


class ClipLoader(DataLoader[dict[str, Any]]):
    """Batches of clips, (N, C, T, H, W) uint8 per stream.

    Args:
        dataset: Samples.
        batch_size: Clips per batch.
        train: Whether to shuffle, and to drop a last batch that is not full (unless it is the only one).
        n_workers: Loader processes; 0 loads in this one.
        pin_memory: Whether batches are for a GPU.
        seed: Seed of the order.
    """

    def __init__(
        self,
        dataset: Dataset[dict[str, Any]],
        *,
        batch_size: int,
        train: bool,
        n_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        size = len(dataset)  # type: ignore[arg-type]
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=EpochSampler(size, shuffle=train, seed=seed),
            drop_last=train and size >= batch_size,
            num_workers=n_workers,
            pin_memory=pin_memory,
            persistent_workers=n_workers > 0,
            multiprocessing_context=worker_context() if n_workers else None,
            worker_init_fn=start_worker,
            generator=torch.Generator(),  # its own, so that loading leaves the global one alone
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and draws come next."""
        assert isinstance(self.sampler, EpochSampler)
        self.sampler.epoch = epoch


def worker_context() -> BaseContext:
    """How loader processes start: forked from a server that has imported what they need and runs no threads.

    Forked from this process they may hang: the thread pools of OpenCV and torch do not survive a fork.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __package__])
    return context


def start_worker(worker: int) -> None:
    """Keep a loader process to one thread: the processes share the cores already."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
