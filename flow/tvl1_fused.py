"""The iterations of TV-L1 through torch.compile, in a form of which it makes two loops."""

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[..., "Triple"]
Triple = tuple[Tensor, Tensor, Tensor]
UNROLLED = 2  # iterations per call of compiled code: calls cost as much as a small image's iteration
RECOMPILATIONS = 64  # more kinds of input (devices, images one pixel wide, ...) than one process meets


def compiled_step(backend: str | Callable = "inductor") -> Step:
    """`advance`, to be compiled when it is first called; sizes are symbols, so that one code serves every level."""
    return torch.compile(advance, backend=backend, dynamic=True, fullgraph=True)


class FusedIterations:
    """`tvl1_torch.Iterations` by compiled code, to float tolerance the same; see there.

    Args:
        step: Of `compiled_step`.
        u: Where to start from, (N, 2, HW).
        width: Of the images.
        tau: Step of the ascent in p.
    """

    def __init__(self, step: Step, u: Tensor, width: int, tau: float) -> None:
        self.step = step
        self.guard = u.new_zeros(*u.shape[:2], width)
        # Three tensors of their own: views of one would be compiled for once more.
        px, py = (u.new_zeros(*u.shape[:2], width + u.shape[2]) for _ in range(2))
        self.state = torch.cat((u, self.guard), -1), px, py
        self.tau = u.new_full((2, u.shape[2]), tau).unbind()
        self.tau[0].view(-1, width)[:, -1] = 0
        self.tau[1][-width:] = 0

    @property
    def u(self) -> Tensor:
        """The current u, (N, 2, HW)."""
        return self.state[0][..., : len(self.tau[0])]

    def advance(self, data: Triple, steps: int) -> None:
        """Iterate `steps` times with the data term of `linearise`.

        Raises:
            ValueError: torch.compile does not work on this machine.
        """
        from torch._dynamo import config
        from torch._dynamo.exc import TorchDynamoException

        state = self.state
        try:
            with config.patch(recompile_limit=RECOMPILATIONS):
                for done in range(0, steps, UNROLLED):
                    state = self.step(state, data, self.tau, self.guard, min(UNROLLED, steps - done))
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"torch.compile does not work here: {reason}; install g++, or iterate eagerly") from error
        self.state = state


def advance(state: Triple, data: Triple, tau: tuple[Tensor, Tensor], guard: Tensor, steps: int) -> Triple:
    """Iterations as torch.compile likes them: no views that are written to, no index that needs a check.

    Args:
        state: u with a row of zeros below it, (N, 2, HW + W), and p along x and y with one above them, (N, 2, W + HW):
            all neighbours are then slices.
        data: Of `tvl1_torch.linearise`.
        tau: Step along x and y at each pixel, (HW,): 0 where there is no neighbour.
        guard: The row of zeros, (N, 2, W).
        steps: Number of iterations, spelt out in the code.

    Returns:
        The next state.
    """
    (u, px, py), (rho, a, b), (tau_x, tau_y) = state, data, tau
    area, width = rho.shape[-1], guard.shape[-1]
    for _ in range(steps):
        inner = u[..., :area]
        d = (rho + a[:, :1] * inner[:, :1] + a[:, 1:] * inner[:, 1:]).clamp(-1, 1)
        divergence = px[..., width:] - px[..., width - 1 : -1] + py[..., width:] - py[..., :area]
        u = torch.cat((inner + d * b + divergence, guard), -1)
        inner = u[..., :area]
        gx = (u[..., 1 : area + 1] - inner) * tau_x
        gy = (u[..., width:] - inner) * tau_y
        norm = 1 + (gx * gx + gy * gy).sqrt()
        px = torch.cat((guard, (px[..., width:] + gx) / norm), -1)
        py = torch.cat((guard, (py[..., width:] + gy) / norm), -1)
    return u, px, py
