"""MARS and MERS feature matching (Crasto et al., CVPR 2019)."""

from argparse import Namespace
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from ..backbones.contract import POOLED
from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_levels, check_weight, spread


class FeatureMSE(Distiller):
    """Mean squared error between features of student and teacher (MARS: layer avgpool, weight 50).

    Args:
        layers: Keys of `Output.features`, or {the student's: the teacher's}; each is a term of its own.
        weight: Factor on each error, >= 0.
        norm: "none", or "variance" to divide each error by the variance of the teacher's feature.
    """

    def __init__(
        self, layers: Sequence[str] | Mapping[str, str] = (POOLED,), weight: float = 50.0, norm: str = "none"
    ) -> None:
        super().__init__()
        self.layers = dict(layers) if isinstance(layers, Mapping) else {layer: layer for layer in layers}
        self.weight, self.norm = check_weight("--SFS_alpha", weight), norm

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        terms = {}
        for layer, other in self.layers.items():
            reference = at_least_float32(teacher.features[other])
            error = F.mse_loss(at_least_float32(student.features[layer]), reference) / spread(reference, self.norm)
            terms[f"loss_mse_{layer}"] = self.weight * error
        return terms


class FeatureOnly(FeatureMSE):
    """MERS: the features learn from the teacher alone, cross-entropy trains the classifier on top of them."""

    detaches_head = True


def build_mse(opt: Namespace, student: dict[str, int], teacher: dict[str, int]) -> FeatureMSE:
    """Build the MARS loss on `--output_layers`."""
    return FeatureMSE(**mse_arguments(opt, student, teacher))


def build_mers(opt: Namespace, student: dict[str, int], teacher: dict[str, int]) -> FeatureOnly:
    """Build the MERS loss on `--output_layers`."""
    return FeatureOnly(**mse_arguments(opt, student, teacher))


def mse_arguments(opt: Namespace, student: dict[str, int], teacher: dict[str, int]) -> dict:
    """Return the constructor arguments from the options.

    Raises:
        ValueError: If there is no such feature, or the two networks' have not as many channels.
    """
    layers = check_levels("--output_layers", opt.output_layers or [POOLED], student, teacher)
    for layer, other in layers.items():
        if student[layer] != teacher[other]:
            raise ValueError(
                f"--distill {' '.join(opt.distill)}: mse and mers compare features of one size, but {layer} has "
                f"{student[layer]} channels in the student and {teacher[other]} in the teacher: use --distill review "
                "dkd, or a student as wide as its teacher"
            )
    return {"layers": layers, "weight": opt.SFS_alpha, "norm": opt.distill_norm}
