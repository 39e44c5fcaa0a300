"""The processes of one run, one per GPU, as torchrun starts them. Without torchrun there is one, rank 0 of 1."""

import atexit
import logging
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

cpu_groups: list[Any] = []  # the one that talks through the CPU: asking every step must not wait for a GPU


def start(device: torch.device) -> torch.device:
    """Join the other processes if torchrun started this one; return the device of this process.

    Of several GPUs each process on a machine takes its own. Raises ValueError if there are fewer GPUs here than
    processes.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ and "LOCAL_RANK" not in os.environ:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        if device.type == "cuda":
            if device.index >= torch.cuda.device_count():
                raise ValueError(
                    f"process {device.index} of this machine has no GPU, torch sees {torch.cuda.device_count()}: "
                    "use a smaller --nproc_per_node"
                )
            torch.cuda.set_device(device)
            dist.init_process_group("nccl", device_id=device)
        else:
            dist.init_process_group("gloo")
        cpu_groups.clear()
        cpu_group()
        atexit.register(dist.destroy_process_group)
        if not is_main():
            logging.getLogger().setLevel(logging.WARNING)  # what all have to say is said once
    return device


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_shared() -> bool:
    """Return whether this process has joined a group, which may have one member."""
    return dist.is_initialized()


def is_main() -> bool:
    """Return whether this is the process that writes and prints."""
    return rank() == 0


def cpu_group() -> Any:
    """Return the group of all processes that talks through the CPU; the first time all of them must ask."""
    if not cpu_groups:
        cpu_groups.append(dist.new_group(backend="gloo"))
    return cpu_groups[0]


def group_of(device: torch.device) -> Any:
    """Return the group that takes tensors of a device: NCCL, the default one on GPUs, takes none of a CPU."""
    return cpu_group() if device.type == "cpu" else None


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place; it must be on the same kind of device in each."""
    if world() > 1:
        dist.all_reduce(tensor, group=group_of(tensor.device))
    return tensor


def take_from_main(tensor: Tensor) -> None:
    """Overwrite a tensor by that of the first process, on the same kind of device in each."""
    if world() > 1:
        dist.broadcast(tensor, 0, group=group_of(tensor.device))


def any_rank(flag: bool) -> bool:
    """Return whether the flag is set in any process; all of them must ask."""
    if world() == 1:
        return flag
    votes = torch.tensor(int(flag))
    sum_over_ranks(votes)
    return bool(votes.item())


def gather(value: Any) -> list[Any]:
    """Return the value of every process, by rank, in every process."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value, group=cpu_group())
    return values


def barrier() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        dist.barrier(group=cpu_group())
