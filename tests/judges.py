"""Invented distillation losses with optimisers of their own."""

import torch.nn.functional as F
from torch import nn

from models.backbones.contract import POOLED
from models.distill import Distiller, OptimizerSettings, OutputShapes


class Judge(Distiller):
    """An adversary: it learns to tell the teacher's pooled features from the student's."""

    optimizer = OptimizerSettings(lr=0.01, betas=(0.5, 0.999))

    def __init__(self, student: OutputShapes, teacher: OutputShapes, *, hidden: int = 4, weight: float = 1.0) -> None:
        super().__init__(compared={POOLED: POOLED})
        self.weight = weight
        self.judge = nn.Sequential(nn.Linear(teacher.features[POOLED][0], hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, student, teacher, target):
        return {"loss_judge": self.weight * F.softplus(-self.judge(student.features[POOLED])).mean()}

    def own_loss(self, student, teacher, target):
        real, fake = (self.judge(output.features[POOLED]) for output in (teacher, student))
        return (F.softplus(-real) + F.softplus(fake)).mean()


class MoodyJudge(Judge):
    """One with statistics and draws of its own, which a run that goes on needs as well."""

    def __init__(self, student: OutputShapes, teacher: OutputShapes, *, hidden: int = 4) -> None:
        super().__init__(student, teacher, hidden=hidden)
        channels = teacher.features[POOLED][0]
        layers = nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.3), nn.Linear(hidden, 1)
        self.judge = nn.Sequential(*layers)
