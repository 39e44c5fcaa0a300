"""Flow solvers shared by the threads of a process, from grey images to grey levels."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flow import encode, pairs_at_once, solved_levels

from .devices import GPU_BACKENDS, device_context
from .extraction_recipe import FlowRecipe
from .machine import CPU

BATCH = 3_000_000  # pixels: 34 pairs of 340x256 fill a GPU


class SharedSolver:
    """Flow solver for any number of threads at a time.

    A solver keeps what it needs between pairs, so each thread that is solving borrows one of its own. A GPU has one in
    all: the threads take turns, since it is busy with one batch. Results depend neither on the threads nor on the
    batches.
    """

    def __init__(self, recipe: FlowRecipe, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.turn: AbstractContextManager[Any] = nullcontext() if device == CPU else Lock()
        self.idle: list[Any] = []

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute the flow of grey images (N, H, W) as grey levels (N, H, W, 2).

        Raises ValueError for images that the solver refuses, or that do not fit into the memory of the GPU.
        """
        try:
            with self.turn:
                return self.solve(previous, following)
        except torch.OutOfMemoryError as error:
            if len(previous) == 1:
                height, width = previous.shape[1:]
                raise ValueError(f"the memory of {self.device} is too small for a pair of {width}x{height}") from error
        middle = len(previous) // 2
        return np.concatenate([self(previous[part], following[part]) for part in (slice(middle), slice(middle, None))])

    def solve(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute levels with a solver that no other thread uses meanwhile."""
        encoding = self.recipe.bound, self.recipe.quantisation
        with self.borrowed() as solver:
            if self.recipe.backend not in GPU_BACKENDS:
                return encode(solver(previous, following), *encoding)
            return solved_levels(solver, previous, following, self.device, *encoding)

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """Yield a solver, built if none is idle, while its device is torch's current one."""
        with device_context(self.device):
            try:
                solver = self.idle.pop()
            except IndexError:
                solver = self.recipe.build()
            try:
                yield solver
            finally:
                self.idle.append(solver)

    def pairs(self, height: int, width: int) -> int:
        """Return how many pairs of a size are best given at a time."""
        if self.device == CPU:
            return 1  # whose images fill the cache
        with self.turn, self.borrowed() as solver:
            return pairs_at_once(solver, height, width, BATCH)


shared_solver = cache(SharedSolver)  # one per process: what it compiles or keeps serves all videos
