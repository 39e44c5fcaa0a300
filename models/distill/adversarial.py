"""Adversarial feature matching of Distil-2D-3D (ANC): pooled features that are taken for the teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones.contract import POOLED
from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_weight
from .own_optimizer import OptimizerSettings
from .shapes import OutputShapes

WIDTHS = (128, 256, 128)


WEIGHT_NORMS = {"l1": torch.abs, "l2": torch.square}  # summed over all weights
REGULARISERS = (*WEIGHT_NORMS, "fake_as_real")


class Discriminator(nn.Module):
    """Four linear layers that tell features (N, channels) of the teacher from those of the student.

    Returns:
        Logits (N,), > 0 for "the teacher's", at least float32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, *WIDTHS)
        layers = [
            layer for pair in zip(widths, WIDTHS, strict=False) for layer in (nn.Linear(*pair), nn.ReLU(inplace=True))
        ]
        self.model = nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 1))

    def forward(self, features: Tensor) -> Tensor:
        return at_least_float32(self.model(features)[:, 0])


def label_loss(logits: Tensor, label: float) -> Tensor:
    """Return the binary cross-entropy of a discriminator's logits against one label for all: 1 teacher, 0 student."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class Adversarial(Distiller):
    """Binary cross-entropy of a `Discriminator` that takes the student's features, after dropout, for the teacher's.

    Its own optimiser teaches the discriminator: weight (BCE(teacher, 1) + BCE(student, 0)) + regulariser_weight times
    each of `regularisers`, "l1" and "l2" of its weights, or "fake_as_real", BCE(student after dropout, 1), which
    holds it back. Needs no labels.

    Args:
        weight: >= 0.
        dropout: Part of the student's features that is left out, in [0, 1).
        regularisers: Names in `REGULARISERS`; "" for none.
        regulariser_weight: >= 0.
    """

    optimizer = OptimizerSettings(kind="sgd", lr=0.001, momentum=0.9, weight_decay=2e-4, milestones=(80,))

    def __init__(
        self,
        student: OutputShapes,
        teacher: OutputShapes,
        *,
        weight: float = 1.0,
        dropout: float = 0.5,
        regularisers: tuple[str, ...] = ("fake_as_real",),
        regulariser_weight: float = 1.0,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__(warmup_epochs, {POOLED: POOLED})
        self.regularisers = tuple(name for name in regularisers if name)
        if unknown := [name for name in self.regularisers if name not in REGULARISERS]:
            raise ValueError(f"--loss_args anc.regularisers={unknown[0]}: choose among {', '.join(REGULARISERS)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"--loss_args anc.dropout must be in [0, 1), got {dropout}")
        self.weight = check_weight("--loss_args anc.weight", weight)
        self.regulariser_weight = check_weight("--loss_args anc.regulariser_weight", regulariser_weight)
        self.dropout = nn.Dropout(dropout)
        self.discriminator = Discriminator(teacher.features[POOLED][0])

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        return {"loss_anc": self.weight * label_loss(self.discriminator(self.dropout(student.features[POOLED])), 1)}

    def own_loss(self, student: Output, teacher: Output, target: Tensor | None) -> Tensor:
        ours, theirs = student.features[POOLED], teacher.features[POOLED]
        loss = self.weight * (label_loss(self.discriminator(theirs), 1) + label_loss(self.discriminator(ours), 0))
        for name in self.regularisers:
            if name in WEIGHT_NORMS:
                penalty = torch.stack([WEIGHT_NORMS[name](p).sum() for p in self.discriminator.parameters()]).sum()
            else:
                penalty = label_loss(self.discriminator(self.dropout(ours)), 1)
            loss = loss + self.regulariser_weight * penalty
        return loss
