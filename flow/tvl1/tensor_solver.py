"""The solver of TV-L1 on tensors, of which plain torch and Triton are the kinds."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..pairs import FlowSolver, solve
from .parameters import TVL1
from .tensors import coarse_to_fine

PIXELS = 8_000_000  # of the pairs that a GPU is given at a time: Triton's planes of them take 1 GB, torch's several


class TensorSolver(ABC):
    """TV-L1 of grey images on tensors; see `build_flow` for shapes and units.

    Arrays and tensors on the CPU are computed on `device`, by default the kind's; other tensors are computed where they
    are. Raises ValueError for gamma, or a device that is not there; when called, for images that are none.
    """

    default_device: ClassVar[str]

    def __init__(self, parameters: TVL1, *, device: str | None = None) -> None:
        if parameters.gamma:  # tensors do not have the illumination term
            raise ValueError(f"gamma must be 0, got {parameters.gamma}: only the opencv backend takes anything else")
        self.parameters = parameters
        self.device = usable_device(device or self.default_device)
        self.description = parameters.description()

    @torch.no_grad()  # inference_mode would give flow that no network can be trained on
    def __call__(self, previous: ArrayLike | Tensor, following: ArrayLike | Tensor) -> Any:
        return solve(previous, following, self.device, self.find)

    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W) on one device, as many pairs at a time as it is best given."""
        height, width = previous.shape[1:]
        flow = torch.empty((*previous.shape, 2), dtype=torch.float32, device=previous.device)
        size = self.at_once(height, width, max(1, PIXELS // (height * width)), flow.device)
        with torch.cuda.device_of(flow):  # Triton launches on the current device
            for part, first, second in zip(*(x.split(size) for x in (flow, previous, following)), strict=True):
                if len(part):
                    part.copy_(coarse_to_fine(first, second, self.parameters, self.refine))
        return flow

    @abstractmethod
    def at_once(self, height: int, width: int, most: int, device: torch.device) -> int:
        """Return how many pairs of a size, of so many at most, are best solved at a time on a device."""

    @abstractmethod
    def refine(self, previous: Tensor, planes: Tensor, flow: Tensor) -> Tensor:
        """Refine the flow (N, 2, H, W) of one level, from an estimate of it; see `Refine`."""


def pairs_at_once(solver: FlowSolver, height: int, width: int, pixels: int) -> int:
    """Return how many pairs of a size a solver built for a GPU is best given at a time, about so many pixels."""
    most = -(-pixels // (height * width))
    return solver.at_once(height, width, most, solver.device) if isinstance(solver, TensorSolver) else most


def usable_device(name: str) -> torch.device:
    """Return the device of that name; raise a ValueError that says why there is none."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an AssertionError: torch is built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"flow cannot be computed on device {name!r}: {reason}") from error
