"""What arithmetic needs whatever the program around it has chosen: all bits of float32, sums in a fixed order."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which no operation is in half precision of its own accord."""
    kind = device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()  # which an exported network does not notice
    return torch.autocast(kind, enabled=False)


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Have convolutions and products take all bits of float32: no half precision, on a GPU no TF32 either."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with without_autocast(device):
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def is_unordered(x: Tensor) -> bool:
    """Return whether torch's gradients of pooling and of sampling would differ from run to run, and may not.

    That is on a GPU, with `--deterministic`.
    """
    return x.is_cuda and torch.are_deterministic_algorithms_enabled()
