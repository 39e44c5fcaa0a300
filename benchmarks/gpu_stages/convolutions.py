"""Stage of convolutions: the grouped ones and the stem of ResNeXt-101 in every formulation that a library may like."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common.report import Record

from .session import Session

LAST = torch.channels_last_3d
GROUPS = 32
# Channels, frames, side, stride of the grouped 3x3x3 convolutions of clips of 16 x 112 x 112, and how many there are.
SHAPES = ((128, 8, 28, 1, 3), (256, 4, 14, 1, 3), (512, 2, 7, 1, 22), (1024, 1, 4, 1, 2), (256, 8, 28, 2, 1))

Call = Callable[[], Tensor]
Ways = dict[str, tuple[Call, list[Tensor]]]  # by name: a convolution, and what its gradients are asked for


def expanded(weight: Tensor, groups: int) -> Tensor:
    """Return the weights of a grouped convolution as of a dense one; gradients go back to the blocks."""
    channels, inner, *kernel = weight.shape
    wide = weight.new_zeros(groups, channels // groups, groups, inner, *kernel)
    each = torch.arange(groups, device=weight.device)
    wide[each, :, each] = weight.reshape(groups, channels // groups, inner, *kernel)
    return wide.reshape(channels, groups * inner, *kernel).contiguous(memory_format=LAST)


class DenseGrouped(nn.Conv3d):
    """A grouped convolution computed as a dense one, in training too: same weights, same gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv3d(x, expanded(self.weight, self.groups), self.bias, self.stride, self.padding)


def densify(network: nn.Module) -> nn.Module:
    """Put `DenseGrouped` in the place of every grouped convolution."""
    for module in network.modules():
        if type(module) is nn.Conv3d and module.groups > 1:
            module.__class__ = DenseGrouped
    return network


def by_frames(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute a grouped 3x3x3 convolution as three in 2D, whose kernels of tensor cores know groups."""
    count, channels, frames, height, width = x.shape
    length = (frames - 1) // stride + 1
    padded, total = F.pad(x, (0, 0, 0, 0, 1, 1)), None
    for k in range(3):
        part = padded[:, :, k : k + stride * (length - 1) + 1 : stride]
        part = part.permute(0, 2, 1, 3, 4).reshape(count * length, channels, height, width)
        kernel = weight[:, :, k].contiguous(memory_format=torch.channels_last)
        part = F.conv2d(part, kernel, None, stride, 1, 1, GROUPS)
        total = part if total is None else total + part
    assert total is not None
    return total.view(count, length, *total.shape[1:]).permute(0, 2, 1, 3, 4)


def measure_convolutions(session: Session, rows: Record) -> None:
    """Measure the forward pass, and both passes, of each formulation, and its error against the first."""
    torch.backends.cudnn.benchmark = True
    for channels, frames, side, stride, count in SHAPES[: 2 if session.dry else None]:
        title = f"{channels} channels, {frames}x{side}x{side}, stride {stride} (x{count})"
        compare(session, rows, title, grouped_ways(session, channels, frames, side, stride))
    compare(session, rows, "stem 7x7x7", stem_ways(session))


def compare(session: Session, rows: Record, title: str, ways: Ways) -> None:
    """Write a row for each way."""
    truth: Tensor | None = None
    for name, (call, sources) in ways.items():

        def measure(call: Call = call, sources: list[Tensor] = sources) -> dict[str, float]:
            nonlocal truth
            out = call()
            truth = out.detach().float() if truth is None else truth
            gradient = torch.randn_like(out)
            both = partial(lambda c, s, g: torch.autograd.grad(c(), s, g), call, sources, gradient)
            return {
                "error": ((out.detach().float() - truth).norm() / truth.norm()).item(),
                "forward_ms": 1000 * session.seconds(call, 0.05),
                "both_ms": 1000 * session.seconds(both, 0.05),
            }

        session.row(rows, f"{title}: {name}", measure)


def noise(session: Session, *shape: int) -> Tensor:
    """Return normal noise on the device, in the format of its convolutions."""
    return torch.randn(*shape, device=session.device, dtype=session.half)


def grouped_ways(session: Session, channels: int, frames: int, side: int, stride: int) -> Ways:
    """Return a grouped convolution in every formulation."""
    batch = 2 if session.dry else 64
    x = noise(session, batch, channels, frames, side, side).to(memory_format=LAST).requires_grad_()
    weight = noise(session, channels, channels // GROUPS, 3, 3, 3).mul_(0.05).to(memory_format=LAST).requires_grad_()
    first = x.detach().contiguous().requires_grad_()
    return {
        "grouped": (lambda: F.conv3d(x, weight, None, stride, 1, 1, GROUPS), [x, weight]),
        "dense": (lambda: F.conv3d(x, expanded(weight, GROUPS), None, stride, 1), [x, weight]),
        "three in 2D": (lambda: by_frames(x, weight, stride), [x, weight]),
        "grouped, channels first": (
            lambda: F.conv3d(first, weight.contiguous(), None, stride, 1, 1, GROUPS),
            [first, weight],
        ),
    }


def stem_ways(session: Session) -> Ways:
    """Return the stem: with 3 channels, with zeros for further ones, and with pixels of 2 x 2 folded into channels."""
    shape = (2, 3, 8, 32, 32) if session.dry else (64, 3, 16, 112, 112)
    x, weight = noise(session, *shape), noise(session, 64, 3, 7, 7, 7).mul_(0.05)
    ways = {"3 channels": strided(x, weight)}
    for channels in (4, 8):
        more = (0,) * 7 + (channels - 3,)
        ways[f"{channels} channels"] = strided(F.pad(x, more), F.pad(weight, more))
    kernel = folded_kernel(weight).contiguous(memory_format=LAST).requires_grad_()
    pixels, size = fold_pixels(x), [side // 2 for side in shape[3:]]
    ways["2 x 2 pixels folded to 16 channels"] = (
        lambda: F.conv3d(pixels, kernel, None, 1, (3, 0, 0))[..., : size[0], : size[1]],
        [kernel],
    )
    ways["3 channels, channels first"] = strided(x, weight, memory_format=torch.contiguous_format)
    return ways


def strided(x: Tensor, weight: Tensor, memory_format: torch.memory_format = LAST) -> tuple[Call, list[Tensor]]:
    """Return the stem's convolution of clips that are in a memory format."""
    clips = x.contiguous(memory_format=memory_format)
    kernel = weight.contiguous(memory_format=memory_format).requires_grad_()
    return lambda: F.conv3d(clips, kernel, None, (1, 2, 2), 3), [kernel]


def folded_kernel(weight: Tensor) -> Tensor:
    """Return the kernel of stride 2, (64, 3, 7, 7, 7), as one of stride 1 over 2 x 2 pixels, (64, 16, 7, 4, 4)."""
    wide = F.pad(weight, (1, 0, 1, 0)).view(64, 3, 7, 4, 2, 4, 2).permute(0, 1, 4, 6, 2, 3, 5)
    return F.pad(wide.reshape(64, 12, 7, 4, 4), (0, 0, 0, 0, 0, 0, 0, 4))


def fold_pixels(x: Tensor) -> Tensor:
    """Return clips whose 2 x 2 pixels are channels, padded for `folded_kernel`: (N, 16, T, H / 2 + 3, W / 2 + 3)."""
    x = F.pad(x, (4, 2, 4, 2))
    count, _, frames, height, width = x.shape
    x = x.view(count, 3, frames, height // 2, 2, width // 2, 2).permute(0, 1, 4, 6, 2, 3, 5)
    folded = F.pad(x.reshape(count, 12, frames, height // 2, width // 2), (0, 0, 0, 0, 0, 0, 0, 4))
    return folded.contiguous(memory_format=LAST)
