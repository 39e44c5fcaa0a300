"""Distillation of relations: between the clips of a batch (SP, RKD), and between classes and predictions (DIST).

What is compared has the size of the batch, so features of any shape fit. On several GPUs each compares its own clips.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sts_common.precision import without_autocast

from ..backbones.contract import POOLED
from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_levels, check_temperature, check_weight, stages_of
from .shapes import OutputShapes

EPSILON = 1e-8


def similarities(features: Tensor) -> Tensor:
    """Return the products of the features (N, ...) of each pair of clips, (N, N), each row of length 1."""
    flat = at_least_float32(features).flatten(1)
    with without_autocast(flat.device):
        return F.normalize(flat @ flat.T, dim=1)


class SimilarityPreserving(Distiller):
    """Clips that are alike to the teacher shall be so to the student (Tung and Mori, ICCV 2019).

    Mean squared error between `similarities`, https://arxiv.org/abs/1907.09682.

    Args:
        level: Feature of the student, against its `counterpart`; "" is the last stage.
        weight: Factor, >= 0.
    """

    def __init__(
        self,
        student: OutputShapes,
        teacher: OutputShapes,
        *,
        level: str = "",
        weight: float = 3000.0,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__(warmup_epochs)
        self.level = level or stages_of(student.features)[-1]
        self.other = check_levels("--loss_args sp.level", [self.level], student.features, teacher.features)[self.level]
        self.weight = check_weight("--loss_args sp.weight", weight)

    @property
    def teacher_features(self) -> set[str]:
        return {self.other}

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        error = F.mse_loss(similarities(student.features[self.level]), similarities(teacher.features[self.other]))
        return {"loss_sp": self.weight * error}


def relative_distances(vectors: Tensor) -> Tensor:
    """Return the distance of each pair of vectors (N, C) over the mean distance, (N, N)."""
    distances = torch.linalg.vector_norm(vectors[:, None] - vectors, dim=2)
    pairs = max(1, len(vectors) * (len(vectors) - 1))
    return distances / (distances.sum() / pairs).clamp_min(EPSILON)


def angles(vectors: Tensor) -> Tensor:
    """Return the cosine of the angle that each two vectors of (N, C) span, seen from each third, (N, N, N)."""
    directions = F.normalize(vectors - vectors[:, None], dim=2)
    with without_autocast(vectors.device):
        return directions @ directions.transpose(1, 2)


class RelationalKD(Distiller):
    """Distances and angles between the pooled vectors of a batch's clips (Park et al., CVPR 2019).

    Smooth L1 distance between `relative_distances`, and between `angles`, https://arxiv.org/abs/1904.05068. Memory
    grows with N^2 times the larger number of channels and with N^3.

    Args:
        distance_weight: Factor on the term of distances, >= 0.
        angle_weight: Factor on that of angles, >= 0.
    """

    def __init__(self, *, distance_weight: float = 25.0, angle_weight: float = 50.0, warmup_epochs: int = 0) -> None:
        super().__init__(warmup_epochs)
        self.distance_weight = check_weight("--loss_args rkd.distance_weight", distance_weight)
        self.angle_weight = check_weight("--loss_args rkd.angle_weight", angle_weight)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        s, t = (at_least_float32(output.features[POOLED]) for output in (student, teacher))
        return {
            "loss_rkd_distance": self.distance_weight * F.smooth_l1_loss(relative_distances(s), relative_distances(t)),
            "loss_rkd_angle": self.angle_weight * F.smooth_l1_loss(angles(s), angles(t)),
        }


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation of each row of `a` with that row of `b`, both (N, K); 0 for constant rows."""
    return F.cosine_similarity(a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True), dim=1, eps=EPSILON)


class Dist(Distiller):
    """Correlation of student and teacher over the classes of a clip and over the clips of a class (DIST).

    T^2 (beta mean(1 - r of rows) + gamma mean(1 - r of columns)) of softmax(logits / T), (N, K); Huang et al., NeurIPS
    2022, https://arxiv.org/abs/2205.10536.

    Args:
        beta: Weight of the term over classes, >= 0.
        gamma: Weight of the term over clips, >= 0.
        temperature: T, > 0.
    """

    compares_logits = True

    def __init__(
        self, *, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0, warmup_epochs: int = 0
    ) -> None:
        super().__init__(warmup_epochs)
        self.beta = check_weight("--loss_args dist.beta", beta)
        self.gamma = check_weight("--loss_args dist.gamma", gamma)
        self.temperature = check_temperature("--loss_args dist.temperature", temperature)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        s, t = ((at_least_float32(output.logits) / self.temperature).softmax(1) for output in (student, teacher))
        square = self.temperature**2
        return {
            "loss_dist_inter": self.beta * square * (1 - correlations(s, t)).mean(),
            "loss_dist_intra": self.gamma * square * (1 - correlations(s.T, t.T)).mean(),
        }
