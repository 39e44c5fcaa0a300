"""MARS and MERS feature matching (Crasto et al., CVPR 2019)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..backbones.contract import POOLED
from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_levels, check_norm, check_weight, error_divisor
from .shapes import OutputShapes


class FeatureMSE(Distiller):
    """Mean squared error between features of student and teacher (MARS: layer avgpool, weight 50).

    Args:
        layers: Features of the student, each a term of its own, against its `counterpart`; None is the pooled one.
        weight: Factor on each error, >= 0.
        norm: "none", or "variance" to divide each error by the variance of the teacher's feature.
    """

    def __init__(
        self,
        student: OutputShapes,
        teacher: OutputShapes,
        *,
        layers: Sequence[str] | None = None,
        weight: float = 50.0,
        norm: str = "none",
    ) -> None:
        levels = check_levels("--output_layers", layers or [POOLED], student.features, teacher.features)
        super().__init__(compared=levels)
        self.weight, self.norm = check_weight("--SFS_alpha", weight), check_norm(norm)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        terms = {}
        for layer, other in self.compared.items():
            reference = at_least_float32(teacher.features[other])
            error = F.mse_loss(at_least_float32(student.features[layer]), reference)
            terms[f"loss_mse_{layer}"] = self.weight * (error / error_divisor(reference, self.norm))
        return terms


class FeatureOnly(FeatureMSE):
    """MERS: the features learn from the teacher alone, cross-entropy trains the classifier on top of them."""

    detaches_head = True
