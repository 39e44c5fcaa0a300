"""Attention transfer (Zagoruyko and Komodakis, ICLR 2017, https://arxiv.org/abs/1612.03928), in space and time."""

import torch.nn.functional as F
from torch import Tensor

from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_weight, counterpart, log_unpaired, stages_of
from .shapes import OutputShapes


def attention(maps: Tensor) -> Tensor:
    """Return the energy of maps (N, C, T, H, W) at each place, as vectors (N, T * H * W) of length 1."""
    return F.normalize(at_least_float32(maps).square().mean(1).flatten(1), dim=1)


class AttentionTransfer(Distiller):
    """Mean squared error between the attention of student and teacher, a term for each stage.

    Stages are compared with their `counterpart`, of any number of channels.

    Args:
        weight: Factor on every term, >= 0.
    """

    equal_channels = False

    def __init__(
        self, student: OutputShapes, teacher: OutputShapes, *, weight: float = 1000.0, warmup_epochs: int = 0
    ) -> None:
        ours, theirs = student.features, teacher.features
        pairs = {stage: counterpart(stage, ours, theirs) for stage in stages_of(ours)}
        super().__init__(warmup_epochs, {stage: other for stage, other in pairs.items() if other})
        log_unpaired("at", pairs, self.compared)
        self.weight = check_weight("--loss_args at.weight", weight)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        terms = {}
        for stage, other in self.compared.items():
            error = F.mse_loss(attention(student.features[stage]), attention(teacher.features[other]))
            terms[f"loss_at_{stage}"] = self.weight * error
        return terms
