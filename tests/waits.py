"""A GPU that is not there: what is launched on it, and what would make the host wait for it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda")
# Operations of which a GPU hears nothing.
COPIES = {"to", "_to_copy", "copy_"}  # "to" in inference mode
FREE = {"prim::device", "detach", "empty", "new_empty", "empty_like", "lift_fresh", "alias"}
FREE |= {"view", "_unsafe_view", "as_strided", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze"}
FREE |= {"slice", "select", "narrow", "split", "split_with_sizes", "unbind", "unfold"}


class OnGPU(TorchDispatchMode):
    """Mode that takes note of operations on tensors of a GPU.

    Attributes:
        launched: How often each was, by name, without those that only look at memory in another way.
        waits: Those that bring something from the host to the GPU or back, and are waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launched: Counter[str] = Counter()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, function._schema.name.removeprefix("aten::")
        result = function(*args, **kwargs)  # raises for what depends on values, as `item` does
        tensors = [x for x in flattened((args, kwargs, result)) if isinstance(x, Tensor)]
        # Operations take numbers in tensors of the CPU as numbers; only copies of them wait.
        places = {x.device.type for x in tensors if x.dim() or name in COPIES}
        if "cuda" in places and name not in FREE:
            self.launched[name] += 1
            blocks = not (kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)))
            if "cpu" in places and blocks:
                self.waits.append(name)
        return result


def flattened(value: Any) -> Iterator[Any]:
    """The leaves of tuples, lists and dicts."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if not isinstance(value, tuple | list):
        yield value
        return
    for part in value:
        yield from flattened(part)


@contextmanager
def on_gpu() -> Iterator[OnGPU]:
    """Let tensors of "cuda" be made and computed with, without their values, for the length of a block."""
    with FakeTensorMode(allow_non_fake_inputs=True), OnGPU() as mode:
        yield mode
