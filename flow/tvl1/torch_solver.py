"""TV-L1 in plain torch: batches of pairs on any device; a GPU is never waited for.

Per pixel, with u the flow divided by theta, g the gradient of the warped image and f the flow that it was warped by,

    u <- u + lambda g clamp(-(I1(x + f) + g (theta u - f) - I0) / (lambda theta |g|^2), -1, 1) + div p
    p <- (p + tau grad u) / (1 + tau |grad u|)     for each component of u

which is Zach, Pock and Bischof's scheme (DAGM 2007); backward differences in div, forward ones in grad.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .parameters import TVL1
from .tensor_solver import TensorSolver
from .tensors import CHECK_EVERY, blocks, median, settled_change

# rho (N, 1, HW), a (N, 2, HW) and b (N, 2, HW): the data term changes u by b clamp(rho + a u, -1, 1).
Data = tuple[Tensor, Tensor, Tensor]
FLAT = 2.0**-23  # least |g|^2 that is divided by, as in OpenCV; the pixel's g is then as good as 0


class TorchTVL1(TensorSolver):
    """TV-L1 by plain torch, on any device; "mps" needs torch 2.11, the first with bicubic sampling there."""

    default_device = "cpu"

    def at_once(self, height: int, width: int, most: int, device: torch.device) -> int:
        return 1 if device.type == "cpu" else most  # one pair fits the cache of a CPU, several do not

    def refine(self, previous: Tensor, planes: Tensor, flow: Tensor) -> Tensor:
        parameters = self.parameters
        size, planes = flow.shape[2:], with_margin(planes)
        state = Iterations(flow.flatten(2) / parameters.theta, size[1], parameters.tau)
        for _ in range(parameters.warps):
            data = linearise(previous, planes, state.u.unflatten(2, size), parameters)
            self.relax(state, data, size)
        return state.u.unflatten(2, size) * parameters.theta

    def relax(self, iterations: "Iterations", data: Data, size: torch.Size) -> None:
        """Iterate for one warp, each pair until its flow has settled."""
        parameters, on_cpu = self.parameters, iterations.u.device.type == "cpu"
        enough = settled_change(parameters, *size)
        settled = torch.zeros(len(iterations.u), 1, 1, dtype=torch.bool, device=iterations.u.device)
        freezes = enough >= 0 and not (on_cpu and len(settled) == 1)  # a single pair ends the loop instead
        for smooth, steps in blocks(parameters, CHECK_EVERY if enough >= 0 else parameters.inner_iterations):
            before = [tensor.clone() for tensor in iterations.state] if freezes else []
            if smooth:
                iterations.u.copy_(median(iterations.u.unflatten(2, size), parameters.median_filtering).flatten(2))
            iterations.advance(data, steps - 1)
            previous = iterations.u.clone()
            iterations.advance(data, 1)
            for tensor, frozen in zip(iterations.state, before, strict=freezes):
                tensor.copy_(torch.where(settled, frozen, tensor))
            settled |= (iterations.u - previous).square_().sum((1, 2), keepdim=True) <= enough
            if on_cpu and settled.all():  # on a GPU this would wait
                return


def linearise(previous: Tensor, planes: Tensor, u: Tensor, parameters: TVL1) -> Data:
    """Linearise the data term about the flow theta u, of u (N, 2, H, W) and the images of `with_margin`."""
    theta, (height, width) = parameters.theta, u.shape[2:]
    rows, columns = planes.shape[2:]
    # From edge to edge of the planes grid_sample counts from -1 to 1.
    x = torch.arange(1, 2 * width, 2, device=u.device, dtype=u.dtype) / columns - 1
    y = torch.arange(1, 2 * height, 2, device=u.device, dtype=u.dtype)[:, None] / rows - 1
    grid = u.new_empty(len(u), height, width, 2)
    torch.add(x, u[:, 0], alpha=2 * theta / columns, out=grid[..., 0])
    torch.add(y, u[:, 1], alpha=2 * theta / rows, out=grid[..., 1])
    warped = F.grid_sample(planes, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    rho, gradient = warped.split((1, 2), 1)
    gx, gy = gradient.split(1, 1)
    scale = gx.square().addcmul_(gy, gy).clamp_(min=FLAT).mul_(-parameters.lambda_).reciprocal_()
    a = gradient * scale
    rho.sub_(previous).mul_(scale).mul_(1 / theta)
    rho.addcmul_(a[:, :1], u[:, :1], value=-1).addcmul_(a[:, 1:], u[:, 1:], value=-1)
    return rho.flatten(2), a.flatten(2), gradient.mul_(parameters.lambda_).flatten(2)


def with_margin(planes: Tensor) -> Tensor:
    """Pad (N, 3, H, W) with zeros at the right and below, up to powers of 2.

    Whole pixels then stay whole in the coordinates of grid_sample. Rounding would move some edges a little outwards,
    where all is black, and the iterations make that more: even images that are equal would move there.
    """
    bottom, right = ((1 << (side - 1).bit_length()) - side for side in planes.shape[2:])
    return F.pad(planes, (0, right, 0, bottom))


class Iterations:
    """The scheme's iterations at one level, in place: new tensors would cost more time than the arithmetic.

    Rows of an image follow one another in HW, so that a neighbour is a shift by 1 or by the width. p is 0 where grad u
    has no neighbour, at the right in x and at the bottom in y, and therefore also what is left of and above an image.
    `u`, (N, 2, HW), is where to start from and the current one; `state` is all that changes from one iteration to the
    next, its third dimension from the end counts pairs.
    """

    def __init__(self, u: Tensor, width: int, tau: float) -> None:
        self.u, self.width, self.tau = u, width, tau
        self.p = u.new_zeros(2, *u.shape)  # along x and y
        self.state = self.u, self.p
        self.gradient = torch.zeros_like(self.p)
        self.norm = torch.empty_like(u)
        self.d = torch.empty_like(u[:, :1])

    def advance(self, data: Data, steps: int) -> None:
        """Iterate `steps` times with the data term of `linearise`."""
        rho, a, b = data
        u, p, gradient, norm, d, width = self.u, self.p, self.gradient, self.norm, self.d, self.width
        (u1, u2), (a1, a2) = u.split(1, 1), a.split(1, 1)
        (px, py), (gx, gy), unit = p, gradient, u.new_ones(())
        px_left, py_above = px[..., :-1], py[..., :-width]
        u_left, u_right, u_above, u_below = u[..., :-1], u[..., 1:], u[..., :-width], u[..., width:]
        gx_inner, gy_inner = gx[..., :-1], gy[..., :-width]
        last_column = gx.unflatten(-1, (-1, width))[..., -1]
        for _ in range(steps):
            torch.addcmul(rho, a1, u1, out=d)
            d.addcmul_(a2, u2).clamp_(-1, 1)
            u.addcmul_(d, b).add_(px).add_(py)
            u_right.sub_(px_left)
            u_below.sub_(py_above)
            torch.sub(u_right, u_left, out=gx_inner)
            torch.sub(u_below, u_above, out=gy_inner)
            last_column.zero_()  # its right neighbour in HW is in the next row
            torch.mul(gx, gx, out=norm)
            norm.addcmul_(gy, gy).sqrt_()
            torch.add(unit, norm, alpha=self.tau, out=norm)
            p.add_(gradient, alpha=self.tau).div_(norm)
