"""The solver of TV-L1 on tensors, of which plain torch and Triton are the kinds."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .parameters import LIBRARY, TVL1
from .tensors import solve


class TensorSolver(ABC):
    """TV-L1 of grey images on tensors; see `build_flow` for shapes and units.

    Args:
        parameters: With `gamma` 0.
        device: Where arrays and tensors on the CPU are computed; other tensors are computed where they are.

    Attributes:
        default_device: Device where none is given.

    Raises:
        ValueError: gamma, or a device that is not there; when called, images that are none.
    """

    default_device: ClassVar[str]

    def __init__(self, parameters: TVL1, *, device: str | None = None) -> None:
        check_gamma(parameters)
        self.parameters = parameters
        self.device = usable_device(device or self.default_device)
        self.description = {"algorithm": "tvl1", "parameters": parameters.as_dict(), "library": LIBRARY}

    @torch.no_grad()  # inference_mode would give flow that no network can be trained on
    def __call__(self, previous: ArrayLike | Tensor, following: ArrayLike | Tensor) -> Any:
        return solve(previous, following, self.device, self.find)

    @abstractmethod
    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W) on one device."""


def check_gamma(parameters: TVL1) -> None:
    """Refuse the illumination term, which tensors do not have.

    Raises:
        ValueError: `gamma` is not 0.
    """
    if parameters.gamma:
        raise ValueError(f"gamma must be 0, got {parameters.gamma}: only the opencv backend takes anything else")


def usable_device(name: str) -> torch.device:
    """Return the device of that name; raise a ValueError that says why there is none."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an AssertionError: torch is built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"flow cannot be computed on device {name!r}: {reason}") from error
