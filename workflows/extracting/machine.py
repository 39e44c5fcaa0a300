"""Resources of this computer for an extraction, and its share of the videos."""

import logging
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sts_common import cores

CPU = "cpu"
log = logging.getLogger(__name__)

PROCESSES_PER_GPU = 4  # hide each other's waits; more would only hold more GPU memory, threads fill the cores


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Resources for one command, and its share of the work."""

    cores: int = 1  # threads over all processes, >= 1
    devices: tuple[str, ...] = (CPU,)  # for flow, "cpu" or "cuda:N"; several are shared out among the processes
    shard: tuple[int, int] = (0, 1)  # (i, n): the videos i, i + n, i + 2n, ... of the sorted list; 0 <= i < n

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ValueError(f"--workers {self.cores} is not at least 1")

    def share(self, videos: Sequence[Path]) -> list[Path]:
        """Return this command's videos; every video is in exactly one of the n shards."""
        index, count = self.shard
        return list(videos[index::count])

    def processes(self, jobs: int) -> int:
        """Return the number of processes for so many jobs, >= 1; on a CPU as many as cores."""
        most = self.cores if self.devices == (CPU,) else PROCESSES_PER_GPU * len(self.devices)
        return max(1, min(self.cores, most, jobs))


def machine_part(
    environment: Mapping[str, str], workers: int | None, shard: tuple[int, int], devices: Sequence[str] = (CPU,)
) -> Machine:
    """Return this process's part of the machine: its share of the cores, its GPU, its share of the shard.

    torchrun's environment variables say which of its processes this is; without them it is a single one.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    stated = [environment.get(name, "") for name in names]
    launched = all(value.isdecimal() for value in stated)
    rank, world, local_rank, local_world = map(int, stated) if launched else (0, 1, 0, 1)
    index, count = shard
    if CPU not in devices and len(devices) < local_world:
        log.warning("%d processes share %s; GPU all gives each its own", local_world, ", ".join(devices))
    return Machine(
        cores=max(1, cores() // local_world) if workers is None else workers,
        devices=tuple(devices) if local_world == 1 else (devices[local_rank % len(devices)],),
        shard=(index * world + rank, count * world),
    )


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a shard, "0/4" as (0, 4)."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not I/N, like 0/4")
    if int(index) >= int(count):
        raise ArgumentTypeError(f"{text!r}: the shards of {count} are 0/{count} to {int(count) - 1}/{count}")
    return int(index), int(count)
