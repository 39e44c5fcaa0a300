"""Weight gradients of convolutions on CPUs, at the shapes where oneDNN computes them wrong.

oneDNN (3.13 of torch 2.15) walks through the frames of a clip with one pointer into the input and one into the kernel.
Where a padded kernel is longer than the clip these go astray: it reads memory beyond the clip and adds to the wrong
frames of the kernel, or beyond them. Outputs and gradients of inputs are right.

With AVX512 and bfloat16 it does the same along height and width, of clips and of images, where a kernel steps over
pixels or spans five and the picture is a few pixels wide; some of these end the process.

With AVX2 it also writes beyond its memory for strided 1x1 convolutions of images with fewer than eight input channels,
which networks of a sixteenth of the width have; the process ends by it, soon or late.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

OPERATOR = "convolution_backward"
VECTOR = 8  # channels that AVX2 reads at once

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class Geometry(NamedTuple):
    """Arguments of the operator between its tensors and the mask of wanted gradients."""

    bias_sizes: Sequence[int] | None
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    transposed: bool
    output_padding: Sequence[int]
    groups: int


def too_few_frames(frames: int, kernel: int, stride: int, padding: int) -> bool:
    """Return whether oneDNN may compute the weight gradient of a convolution wrong that has these sizes along time.

    Channels, groups, batch and memory format play no part. With stride 1 and padding of
    half the kernel, bfloat16 by AVX512 is wrong for 2 <= frames < kernel: 2 with 3x3x3, 2 to 6 with 7x7x7. Float32 is
    for 2 to 4 with 7x7x7, never with padding of one frame. With AMX and larger strides up to `stride - 1` frames more
    are wrong. The bound holds them all, and a few shapes that are right, such as a single frame.

    Args:
        frames: Of the input; of the output if the convolution is transposed.
        kernel: Frames that it spans.
        stride: Frames from one position to the next.
        padding: Frames of zeros before the first and after the last.
    """
    return padding > 0 and frames < kernel + stride - 1


def wrong_in_time(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Return whether the weight gradient must not be left to oneDNN, which has no float64."""
    if x.dim() != 5 or x.dtype == torch.float64:
        return False
    frames, padding = (grad if geometry.transposed else x).shape[2], geometry.padding[0]
    right = x.dtype == torch.float32 and padding < 2  # so that 3x3x3 stays torch's to the last bit
    return not right and too_few_frames(frames, weight.shape[2], geometry.stride[0], padding)


def wrong_in_space(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Return whether oneDNN may compute a weight gradient wrong for want of height or width, in 16 bits.

    By bfloat16 with AVX512 are wrong: 3x3 with stride 2 along a side of one pixel, with stride 3 of one or two; of
    clips also 5x5 with stride 1 and one pixel, 7x7 with stride 2 and two. The bound holds them all.
    """
    if x.dim() < 4 or x.dtype not in (torch.bfloat16, torch.float16):
        return False
    sides = (grad if geometry.transposed else x).shape[-2:]
    spans = [(size - 1) * step for size, step in zip(weight.shape[-2:], geometry.dilation[-2:], strict=True)]
    sizes = zip(sides, spans, geometry.stride[-2:], geometry.padding[-2:], strict=True)
    return any(padding > 0 and side + padding < span + stride for side, span, stride, padding in sizes)


def writes_out_of_bounds(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Return whether oneDNN may write beyond its memory: strided 1x1 convolutions of images of few channels."""
    strided = x.dim() == 4 and max(geometry.stride) > 1 and not (geometry.transposed or any(geometry.padding))
    return strided and tuple(weight.shape[2:]) == (1, 1) and weight.shape[1] < VECTOR


def gradient_of_strided(
    backward: Callable[..., Gradients], grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry
) -> Tensor:
    """Compute the weight gradient of a strided 1x1 convolution as one without stride, of the pixels that it sees.

    Arguments are those of `by_frames`, of images (N, C, H, W).
    """
    down, right = geometry.stride
    flat = geometry._replace(bias_sizes=None, stride=(1, 1))
    part = backward(grad, x[:, :, ::down, ::right].contiguous(), weight, *flat, (False, True, False))[1]
    assert part is not None
    return part


def gradient_of_padded(
    backward: Callable[..., Gradients], grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry
) -> Tensor:
    """Compute the weight gradient with height and width padded beforehand; along time as it has to be.

    Arguments are those of `by_frames`, of clips or of images.
    """
    if geometry.transposed:  # the input of one is the output of the other
        grad, x = x, grad
    down, right = geometry.padding[-2:]
    none = (0,) * len(geometry.padding)
    flat = Geometry(
        None, geometry.stride, (*geometry.padding[:-2], 0, 0), geometry.dilation, False, none, geometry.groups
    )
    x = F.pad(x, (right, right, down, down))
    if wrong_in_time(grad, x, weight, flat):
        return by_frames(backward, grad, x, weight, flat)
    part = backward(grad, x, weight, *flat, (False, True, False))[1]
    assert part is not None
    return part


def by_frames(
    backward: Callable[..., Gradients], grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry
) -> Tensor:
    """Compute the weight gradient as one convolution for each frame of the kernel, none of them padded along time.

    They do the multiplications of the whole, in the same number format.

    Args:
        backward: The operator.
        grad: Gradient of the output, shape (N, C_out, T_out, H_out, W_out).
        x: Input, shape (N, C_in, T, H, W).
        weight: Shape (C_out, C_in / groups, K, Kh, Kw).
        geometry: Of the convolution.
    """
    if geometry.transposed:  # the input of one is the output of the other
        grad, x = x, grad
    step, (stride, dilation) = geometry.stride[0], (geometry.stride[1:], geometry.dilation[1:])
    flat = Geometry(None, (1, *stride), (0, *geometry.padding[1:]), (1, *dilation), False, (0, 0, 0), geometry.groups)
    parts = []
    for frame in range(weight.shape[2]):
        start = frame * geometry.dilation[0] - geometry.padding[0]  # frame of the input that the first output sees
        first, last = max(0, -(start // step)), min(grad.shape[2], (x.shape[2] - 1 - start) // step + 1)
        kernel = weight[:, :, frame : frame + 1]
        if first >= last:
            parts.append(torch.zeros_like(kernel))
            continue
        window = x[:, :, start + first * step : start + (last - 1) * step + 1 : step]
        part = backward(grad[:, :, first:last], window, kernel, *flat, (False, True, False))[1]
        assert part is not None
        parts.append(part)
    return torch.cat(parts, 2)


KERNEL = torch.library.get_kernel(f"aten::{OPERATOR}", "CPU")
LIBRARY = torch.library.Library("aten", "IMPL")  # what it holds is forgotten with it


class Detour:
    """Switch of `by_frames`; see `left_to_torch`."""

    enabled = True


def native(keys: Any, *arguments: Any) -> Gradients:
    """Call the operator of torch; `keys` say how it was called."""
    return KERNEL.call_boxed(keys, *arguments)


def convolution_backward(keys: Any, grad: Tensor, x: Tensor, weight: Tensor, *arguments: Any) -> Gradients:
    """Run the operator with right weight gradients; outputs of convolutions and all other gradients are torch's."""
    *fields, (for_input, for_weight, for_bias) = arguments
    geometry = Geometry(*fields)
    detours = {
        gradient_of_padded: wrong_in_space(grad, x, weight, geometry),
        by_frames: wrong_in_time(grad, x, weight, geometry),
        gradient_of_strided: writes_out_of_bounds(x, weight, geometry),
    }
    way = next((way for way, needed in detours.items() if needed), None)
    if way is None or not (Detour.enabled and (for_weight or for_bias)):
        return native(keys, grad, x, weight, *arguments)
    return (
        native(keys, grad, x, weight, *geometry, (True, False, False))[0] if for_input else None,
        way(partial(native, keys), grad, x, weight, geometry) if for_weight else None,
        grad.sum((0, *range(2, grad.dim()))) if for_bias else None,  # torch has no other way than through the weight's
    )


@cache
def install() -> None:
    """Have the weight gradients of convolutions computed right on CPUs, in this process and its children.

    At the shapes of `too_few_frames`, `wrong_in_space` and `writes_out_of_bounds` they are computed another way, in
    networks and elsewhere, compiled or not.
    """
    LIBRARY.impl(OPERATOR, convolution_backward, "CPU", with_keyset=True)


@contextmanager
def left_to_torch() -> Iterator[None]:
    """Leave gradients to torch within the block, as if nothing were installed: to see what is wrong with them."""
    Detour.enabled = False
    try:
        yield
    finally:
        Detour.enabled = True
