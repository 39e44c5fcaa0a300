"""Distillation losses: `loss(student: Output, teacher: Output, target) -> {"loss_*": weighted scalar}`.

A new loss is one file plus one line in `DISTILLERS`.
"""

import logging
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..backbones.contract import Backbone
from .adversarial import Adversarial
from .arguments import LossSpec, check_arguments, losses_for, parse_loss_args, parse_teacher_losses
from .attention import AttentionTransfer
from .decoupled import DecoupledKD, decoupled_kd
from .distiller import LEVELS, NORMS, Distiller, review_levels
from .feature_mse import FeatureMSE, FeatureOnly
from .logit_kd import LogitKD, LogitMatch, logit_kd
from .names import labels_of, parse_schedules, parse_shares, schedule_of
from .own_optimizer import OptimizerSettings
from .projector import fit_features
from .relations import Dist, RelationalKD, SimilarityPreserving
from .review import ABF, Review, hierarchical_context_loss
from .schedule import parse_schedule
from .shapes import OutputShapes, output_shapes

log = logging.getLogger(__name__)

FEATURE_OPTIONS = {"layers": "output_layers", "weight": "SFS_alpha", "norm": "distill_norm"}
WARMUP_OPTION = {"warmup_epochs": "distill_warmup"}
DISTILLERS: dict[str, LossSpec] = {
    "mse": LossSpec(FeatureMSE, FEATURE_OPTIONS),
    "review": LossSpec(
        Review,
        {
            "levels": "review_layers",
            "weight": "review_weight",
            "mid_channels": "review_mid",
            "time_kernel": "review_time_kernel",
            "norm": "distill_norm",
            **WARMUP_OPTION,
        },
    ),
    "dkd": LossSpec(
        DecoupledKD, {"alpha": "dkd_alpha", "beta": "dkd_beta", "temperature": "dkd_temperature"} | WARMUP_OPTION
    ),
    "kd": LossSpec(LogitKD, {"weight": "kd_weight", "temperature": "kd_temperature", **WARMUP_OPTION}),
    "mers": LossSpec(FeatureOnly, FEATURE_OPTIONS),
    "logits": LossSpec(LogitMatch, WARMUP_OPTION),
    "dist": LossSpec(Dist, WARMUP_OPTION),
    "at": LossSpec(AttentionTransfer, WARMUP_OPTION),
    "sp": LossSpec(SimilarityPreserving, WARMUP_OPTION),
    "rkd": LossSpec(RelationalKD, WARMUP_OPTION),
    "anc": LossSpec(Adversarial, WARMUP_OPTION),
}
PROJECT = ("off", "auto")

__all__ = [
    "ABF",
    "DISTILLERS",
    "LEVELS",
    "NORMS",
    "PROJECT",
    "Distiller",
    "LossSpec",
    "OptimizerSettings",
    "OutputShapes",
    "build_distillers",
    "create_distiller",
    "decoupled_kd",
    "hierarchical_context_loss",
    "labels_of",
    "logit_kd",
    "losses_for",
    "output_shapes",
    "parse_schedules",
    "parse_shares",
    "parse_teacher_losses",
    "schedule_of",
]


def create_distiller(
    name: str,
    student: OutputShapes,
    teacher: OutputShapes,
    *,
    factor: float = 1.0,
    schedule: str = "",
    project: bool = False,
    optimizer: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Distiller:
    """Build a loss between two networks.

    Args:
        name: A key of `DISTILLERS`.
        student: Of the network that learns, see `output_shapes`.
        teacher: Of the network that it learns from.
        factor: On all terms, >= 0.
        schedule: Of a further factor over the epochs, as `--loss_schedule` has it, like "1..0@10-40".
        project: Whether features that differ in shape may have projectors, which learn with the student.
        optimizer: Settings that replace those of the loss's own optimiser.
        arguments: Those of its constructor.

    Raises:
        ValueError: If there is no such loss or argument, a value is out of range, or the networks' classes or shapes of
            features are not those that it can compare.
    """
    if name not in DISTILLERS:
        raise ValueError(f"--distill {name}: choose among {', '.join(DISTILLERS)}")
    spec = DISTILLERS[name]
    check_arguments(name, spec, arguments)
    classes = student.num_classes, teacher.num_classes
    if spec.build.compares_logits and classes[0] != classes[1]:
        raise ValueError(
            f"--distill {name} compares logits, but the student has {classes[0]} classes and the teacher "
            f"{classes[1]}: use a teacher of the same data set"
        )
    networks: dict[str, Any] = {"student": student, "teacher": teacher}
    loss = spec.build(**{given: networks[given] for given in spec.given}, **arguments)
    loss.name, loss.factor, loss.schedule = name, factor, parse_schedule(schedule, f"{name}: schedule {schedule}")
    if optimizer:
        if loss.optimizer is None:
            raise ValueError(f"{name}: has no optimiser of its own, but settings of one: {', '.join(optimizer)}")
        loss.optimizer = replace(loss.optimizer, **optimizer)
    fit_features(loss, student, teacher, project=project)
    return loss


def build_distillers(
    opt: Namespace, student: Backbone, teacher: Backbone, begin_index: int, *, name: str = "", size: int | None = None
) -> list[Distiller]:
    """Build the losses between a student and one teacher as the options say.

    Args:
        opt: Options.
        student: Network that learns.
        teacher: Network that it learns from.
        begin_index: First stage of the student that learns.
        name: Of the teacher, whose losses `--teacher_losses` may name in place of `--distill`.
        size: Side of what the teacher sees, pixels; None is that of the student.

    Raises:
        ValueError: As `create_distiller`, or if an option does not fit.
    """
    special = parse_teacher_losses(opt.teacher_losses or (), DISTILLERS)
    chosen = losses_for(name, opt.distill, special)
    used = {*opt.distill, *(loss for losses in special.values() for loss, _ in losses)}
    extra_arguments = parse_loss_args(opt.loss_args, {loss: spec for loss, spec in DISTILLERS.items() if loss in used})
    sides = (student, opt.sample_size), (teacher, size or opt.sample_size)
    shapes = [output_shapes(network, (network.in_channels, opt.sample_duration, s, s)) for network, s in sides]
    levels = review_levels(opt.review_layers, *(network.feature_channels for network in (student, teacher)))
    frozen = [level for level in levels if student.stage_of(level) < begin_index]
    if frozen and "review" in dict(chosen):
        log.warning(
            "--ft_begin_index %d freezes %s: reviewing these levels trains the connectors alone; "
            "--ft_begin_index 0 lets the student learn from them",
            *(begin_index, ", ".join(frozen)),
        )
    losses = []
    for loss, factor in chosen:
        arguments = {key: getattr(opt, option) for key, option in DISTILLERS[loss].options.items()}
        arguments |= extra_arguments.get(loss, {})
        arguments |= {"factor": factor, "schedule": schedule_of(opt.loss_schedule, name, loss)}
        losses.append(create_distiller(loss, *shapes, project=opt.project == "auto", **arguments))
    return losses
