"""Distillation losses: `loss(student: Output, teacher: Output, target) -> {"loss_*": weighted scalar}`.

A new loss is one file plus one line in `DISTILLERS`. An entry builds the loss from the options and from the
channels of the two networks' features.
"""

import logging
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from ..finetune import frozen_features
from .decoupled import build_dkd, decoupled_kd
from .distiller import NORMS, Distiller
from .feature_mse import build_mers, build_mse
from .logit_kd import build_kd, logit_kd
from .review import ABF, LEVELS, POOLED, build_review, hierarchical_context_loss

log = logging.getLogger(__name__)

DISTILLERS: dict[str, Callable[[Namespace, dict[str, int], dict[str, int]], Distiller]] = {
    "mse": build_mse,
    "review": build_review,
    "dkd": build_dkd,
    "kd": build_kd,
    "mers": build_mers,
}
COMPARE_LOGITS = {"dkd", "kd"}

Network = Any  # a module with `feature_channels`, `stem` and `fc`, as all of `MODELS` are

__all__ = [
    "ABF",
    "COMPARE_LOGITS",
    "DISTILLERS",
    "LEVELS",
    "NORMS",
    "Distiller",
    "build_distillers",
    "decoupled_kd",
    "hierarchical_context_loss",
    "logit_kd",
]


def build_distillers(opt: Namespace, student: Network, teacher: Network, begin_index: int) -> list[Distiller]:
    """Build the losses that `--distill` names.

    Args:
        opt: Options.
        student: Network with `feature_channels` and classifier `fc`.
        teacher: The same.
        begin_index: First stage of the student that learns.

    Raises:
        ValueError: If logits are compared whose classes differ, or maps whose sizes do, or an option does not fit.
    """
    names = list(dict.fromkeys(opt.distill))
    outputs = [network.fc.out_features for network in (student, teacher)]
    if COMPARE_LOGITS & set(names) and outputs[0] != outputs[1]:
        raise ValueError(
            f"--distill {' '.join(names)} compares logits, but the student has {outputs[0]} classes and the teacher "
            f"{outputs[1]}: use a teacher of the same data set"
        )
    check_sizes(opt, names, student, teacher)
    if "review" in names and (useless := frozen_features(opt.review_layers, begin_index)):
        log.warning(
            "--ft_begin_index %d freezes %s: reviewing these levels trains the connectors alone; "
            "--ft_begin_index 0 lets the student learn from them",
            *(begin_index, ", ".join(useless)),
        )
    return [DISTILLERS[name](opt, student.feature_channels, teacher.feature_channels) for name in names]


def check_sizes(opt: Namespace, names: Sequence[str], student: Network, teacher: Network) -> None:
    """Refuse to compare maps of networks whose stems make maps of other sizes; raises as `build_distillers`."""
    steps = [(network.stem.t_stride, network.stem.no_max_pool) for network in (student, teacher)]
    features = {*(opt.review_layers if "review" in names else ())}
    features |= {*(opt.output_layers or ())} if {"mse", "mers"} & {*names} else set()
    if steps[0] != steps[1] and (maps := sorted(features - {POOLED})):
        raise ValueError(
            f"--conv1_t_stride and --no_max_pool of the student are {show_steps(*steps[0])}, of the teacher "
            f"{show_steps(*steps[1])}, so that {', '.join(maps)} have other sizes: choose them alike, or compare "
            f"{POOLED} and logits alone"
        )


def show_steps(t_stride: int, no_max_pool: bool) -> str:
    """Format the options of a stem that decide the sizes of maps."""
    return f"{t_stride} and {'on' if no_max_pool else 'off'}"
