"""Batch norm of meta tensors in one step."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class BatchNormShapes(TorchDispatchMode):
    """Give the outputs of batch norm by their shapes: of meta tensors torch derives them from dozens of operations."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is not torch.ops.aten.native_batch_norm.default:
            return func(*args, **(kwargs or {}))
        mean, deviation = (torch.empty(args[0].shape[1], device="meta") for _ in range(2))
        return torch.empty_like(args[0]), mean, deviation
