"""Flow solvers shared by the threads of a process, from grey images to grey levels."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flow import encode

from .devices import ON_GPU
from .extraction_recipe import FlowRecipe
from .machine import CPU

BATCH = 3_000_000  # pixels: 34 pairs of 340x256 fill a GPU and need about 1 GB of it


class SharedSolver:
    """Flow solver for any number of threads at a time.

    A solver keeps what it needs between pairs, so each thread that is solving borrows one of its own. A GPU has one
    in all: the threads take turns, since it is busy with one batch.

    Args:
        recipe: What is solved; its results depend neither on the threads nor on the batches.
        device: "cpu" or "cuda:N".
    """

    def __init__(self, recipe: FlowRecipe, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.pixels = 1 if device == CPU else BATCH  # on a CPU the images of one pair fill the cache
        self.turn: AbstractContextManager[Any] = nullcontext() if device == CPU else Lock()
        self.idle: list[Any] = []

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute the flow of grey images (N, H, W) as grey levels (N, H, W, 2).

        Raises:
            ValueError: Images that the solver refuses, or that do not fit into the memory of the GPU.
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
        try:
            solver = self.idle.pop()
        except IndexError:
            solver = self.recipe.build()
        try:
            if self.recipe.backend not in ON_GPU:
                return encode(solver(previous, following), *encoding)
            with nullcontext() if self.device == CPU else torch.cuda.device(self.device):
                images = (torch.from_numpy(x).to(self.device) for x in (previous, following))
                # Encoded where it is: an eighth of the bytes come back.
                return encode(solver(*images), *encoding).cpu().numpy()
        finally:
            self.idle.append(solver)


shared_solver = cache(SharedSolver)  # one per process: what it compiles or keeps serves all videos
