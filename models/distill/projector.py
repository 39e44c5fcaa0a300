"""Projectors: a student's features in the shape of its teacher's, where a loss can compare no others."""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones.contract import PREACT
from .distiller import Distiller
from .shapes import OutputShapes, Shape, in_words

log = logging.getLogger(__name__)


class Projector(nn.Module):
    """A linear map of the channels where they differ, then resizing in time and space where sizes differ.

    Each axis is resized by a matrix, so that gradients are the same in every run on GPUs, too: means where it becomes
    shorter, linear interpolation where it becomes longer.

    Args:
        given: Shape of the student's feature, (C, T, H, W) or (C,).
        wanted: Shape of the teacher's.
        converts_channels: Whether channels have to agree as well.

    Shape:
        (N, *given) in, (N, *wanted) out; with channels as they are, unless they are converted.
    """

    def __init__(self, given: Shape, wanted: Shape, *, converts_channels: bool = True) -> None:
        super().__init__()
        kind = nn.Conv3d if len(given) > 1 else nn.Linear
        other = converts_channels and given[0] != wanted[0]
        kernel = (1,) if len(given) > 1 else ()
        self.channels = kind(given[0], wanted[0], *kernel) if other else nn.Identity()
        self.axes = [axis for axis in range(1, len(given)) if given[axis] != wanted[axis]]
        for axis in self.axes:  # no part of the weights: it follows from the shapes
            self.register_buffer(f"axis{axis}", resizing(given[axis], wanted[axis]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channels(x)
        for axis in self.axes:
            matrix = self.get_buffer(f"axis{axis}").to(x.dtype)
            x = (x.movedim(axis + 1, -1) @ matrix).movedim(-1, axis + 1)
        return x


def resizing(given: int, wanted: int) -> Tensor:
    """Return the matrix (given, wanted) that resizes an axis; its columns sum to 1."""
    every = torch.eye(given)[None]
    if wanted < given:
        return F.adaptive_avg_pool1d(every, wanted)[0]
    return F.interpolate(every, wanted, mode="linear")[0]


def fit_features(loss: Distiller, student: OutputShapes, teacher: OutputShapes, *, project: bool) -> None:
    """Check that a loss can compare its features, and give it projectors for those that it cannot.

    Raises:
        ValueError: If it needs a projector and `project` allows none; names the feature and both shapes.
    """
    for ours, theirs in loss.compared.items():
        given, wanted = student.features[ours], teacher.features[theirs]
        if given[1:] == wanted[1:] and (given[0] == wanted[0] or not loss.equal_channels):
            continue
        names = ours.removesuffix(PREACT), theirs.removesuffix(PREACT)
        shown = f"{names[0]} of the student has {in_words(given)}, {names[1]} of the teacher {in_words(wanted)}"
        if not project:
            raise ValueError(
                f"--distill {loss.name}: {shown}: --project auto puts a projector between them; or choose networks, "
                "stems and sizes (--width, --conv1_t_stride, --no_max_pool, --sample_size) with features of one shape"
            )
        loss.projectors[ours] = Projector(given, wanted, converts_channels=loss.equal_channels)
        log.info("projector for %s: %s", loss.name, shown)
