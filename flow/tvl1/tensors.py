"""TV-L1 on tensors, as its solvers share it: images in and flow out, the pyramid, and the steps of a level."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from .parameters import TVL1

# Exchanges that sort as many values as the key says; and, with the columns and then the rows of a window sorted, those
# that bring its median to index 4.
SORTING = {3: ((0, 1), (1, 2), (0, 1)), 5: ((0, 1), (3, 4), (2, 4), (2, 3), (0, 3), (0, 2), (1, 4), (1, 3), (1, 2))}
CHOOSING = {
    3: ((2, 4), (4, 6), (2, 4)),
    5: (
        *((17, 8), (7, 3), (12, 4), (13, 9), (12, 11), (16, 13), (3, 16), (21, 17), (16, 20), (16, 11), (15, 21)),
        *((4, 20), (21, 11), (21, 4), (4, 11)),
    ),
}
MAX_FEWER_PAIRS = 256  # pairs, at most, that full waves may do without
CHECK_EVERY = 5  # iterations between two looks at whether the flow has settled; a divisor of 10 and 30

# (previous (N, 1, H, W), following and its gradient (N, 3, H, W), flow (N, 2, H, W)) of one level -> its better flow.
Refine = Callable[[Tensor, Tensor, Tensor], Tensor]


def settled_change(parameters: TVL1, height: int, width: int) -> float:
    """Return the sum of squared changes of u = flow / theta at which a level has settled; -1 is never."""
    return height * width * (parameters.epsilon / parameters.theta) ** 2 if parameters.epsilon else -1.0


def blocks(parameters: TVL1, most: int) -> Iterator[tuple[bool, int]]:
    """Return, for each block of a warp, whether a median filter comes first, and its iterations, at most `most`."""
    for _ in range(parameters.outer_iterations):
        for done in range(0, parameters.inner_iterations, most):
            yield done == 0 and parameters.median_filtering > 1, min(most, parameters.inner_iterations - done)


@cache
def full_waves(tiles: Sequence[int], most: int, processors: int) -> int:
    """Return how many pairs, up to `most`, keep a GPU's processors busiest, each of which runs one program at a time.

    Programs beyond a multiple of the processors let all others wait for them: of 33 pairs of 340x256 each takes a tenth
    less of the time of 132 processors than of 35. `tiles` are the programs of a pair at each level of the pyramid.
    """

    def waves(pairs: int) -> float:
        return sum(-(-pairs * programs // processors) for programs in tiles) / pairs

    return min(range(most, max(most // 2, most - MAX_FEWER_PAIRS), -1), key=waves)


def coarse_to_fine(previous: Tensor, following: Tensor, parameters: TVL1, refine: Refine) -> Tensor:
    """Compute flow (N, H, W, 2), pixels per frame, of uint8 (N, H, W) on a pyramid, each level solved by `refine`."""
    levels = [torch.stack((previous, following)).float()]  # each (2, N, H, W)
    sizes = parameters.pyramid(*previous.shape[1:])
    step = 1 / parameters.scale_step
    for size in sizes[1:]:
        levels.append(resize(levels[-1], size, (step, step)))
    flow = levels[-1].new_zeros(len(previous), 2, *sizes[-1])
    for size, (first, second) in zip(reversed(sizes), reversed(levels), strict=True):
        if size != sizes[-1]:
            ratio = flow.shape[2] / size[0], flow.shape[3] / size[1]
            flow = resize(flow, size, ratio).mul_(step)
        flow = refine(first[:, None], with_gradient(second[:, None]), flow)
    return flow.permute(0, 2, 3, 1).contiguous()


def resize(images: Tensor, size: tuple[int, int], steps: tuple[float, float]) -> Tensor:
    """Resample float32 (..., H, W) bilinearly, as OpenCV: pixel centres at half, edges repeated, no smoothing.

    torch's own takes either the size or the step, and OpenCV's step, in pixels of `images` per pixel of the result,
    down and to the right, is not the ratio of the sizes.
    """
    for axis, length, step in zip((-2, -1), size, steps, strict=True):
        low, high, weight = neighbours(images.shape[axis], length, step, images.device)
        pair = images.index_select(axis, low), images.index_select(axis, high)
        images = torch.lerp(*pair, weight[:, None] if axis == -2 else weight)
    return images


@cache
def neighbours(length: int, result: int, step: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return between which two positions of an axis each of a resampled one lies, and the weight of the second.

    Kept, for they would be most of what a GPU is given. They come from the host, so that they are there for every
    stream: the first time that a GPU sees a size it is waited for. There are a few kilobytes for each length of a side.
    """
    with torch.inference_mode(False):
        at = ((torch.arange(result, dtype=torch.float32) + 0.5) * step - 0.5).clamp_(0, length - 1)
        low = at.floor()
        index = low.long()
        return index.to(device), (index + 1).clamp_(max=length - 1).to(device), (at - low).to(device)


def with_gradient(images: Tensor) -> Tensor:
    """Stack the grey level and its central differences in x and y, halved at edges: (N, 1, H, W) -> (N, 3, H, W)."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat((images, x.mul_(0.5), y.mul_(0.5)), 1)


def median(flow: Tensor, side: int) -> Tensor:
    """Compute the median of each component of (N, 2, H, W) in a window of `side` times `side`, edges repeated.

    The exchanges of tvl1_median.h on whole images: an eighth of the time of torch's own median.
    """
    height, width = flow.shape[2:]
    padded = F.pad(flow, (side // 2,) * 4, mode="replicate")
    rows = [padded[:, :, i : i + height] for i in range(side)]
    exchange(rows, SORTING[side])
    ranks = [row[..., i : i + width] for row in rows for i in range(side)]
    for rank in range(side):
        exchange(ranks, [(a + rank * side, b + rank * side) for a, b in SORTING[side]])
    exchange(ranks, CHOOSING[side])
    return ranks[4]


def exchange(values: list[Tensor], pairs: Iterable[tuple[int, int]]) -> None:
    """Move the lesser value to the first and the greater one to the second of each pair of indices."""
    for a, b in pairs:
        values[a], values[b] = torch.minimum(values[a], values[b]), torch.maximum(values[a], values[b])
