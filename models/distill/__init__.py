"""Distillation losses: `loss(student: Output, teacher: Output, target) -> {"loss_*": weighted scalar}`.

A new loss is one file plus one line in `DISTILLERS`. An entry builds the loss from the options and from the
channels of the two networks' features.
"""

import logging
from argparse import Namespace
from collections.abc import Callable, Sequence

from ..backbones.contract import POOLED, Backbone, without_numbers
from .decoupled import build_dkd, decoupled_kd
from .distiller import LEVELS, NORMS, Distiller, counterpart, reviewed
from .feature_mse import build_mers, build_mse
from .logit_kd import build_kd, logit_kd
from .review import ABF, build_review, hierarchical_context_loss

log = logging.getLogger(__name__)

DISTILLERS: dict[str, Callable[[Namespace, dict[str, int], dict[str, int]], Distiller]] = {
    "mse": build_mse,
    "review": build_review,
    "dkd": build_dkd,
    "kd": build_kd,
    "mers": build_mers,
}
COMPARE_LOGITS = {"dkd", "kd"}

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


def build_distillers(opt: Namespace, student: Backbone, teacher: Backbone, begin_index: int) -> list[Distiller]:
    """Build the losses that `--distill` names.

    Args:
        opt: Options.
        student: Network that learns.
        teacher: Network that it learns from.
        begin_index: First stage of the student that learns.

    Raises:
        ValueError: If logits are compared whose classes differ, or maps whose sizes do, or an option does not fit.
    """
    names = list(dict.fromkeys(opt.distill))
    outputs = [network.num_classes for network in (student, teacher)]
    if COMPARE_LOGITS & set(names) and outputs[0] != outputs[1]:
        raise ValueError(
            f"--distill {' '.join(names)} compares logits, but the student has {outputs[0]} classes and the teacher "
            f"{outputs[1]}: use a teacher of the same data set"
        )
    check_sizes(opt, names, student, teacher)
    levels = reviewed(opt.review_layers, student.feature_channels)
    if "review" in names and (useless := [level for level in levels if student.stage_of(level) < begin_index]):
        log.warning(
            "--ft_begin_index %d freezes %s: reviewing these levels trains the connectors alone; "
            "--ft_begin_index 0 lets the student learn from them",
            *(begin_index, ", ".join(useless)),
        )
    return [DISTILLERS[name](opt, student.feature_channels, teacher.feature_channels) for name in names]


def check_sizes(opt: Namespace, names: Sequence[str], student: Backbone, teacher: Backbone) -> None:
    """Refuse to compare maps of other sizes; raises as `build_distillers`."""
    features = {*(reviewed(opt.review_layers, student.feature_channels) if "review" in names else ())}
    features |= {*(opt.output_layers or ())} if {"mse", "mers"} & {*names} else set()
    maps = [name for name in student.feature_channels if name in features - {POOLED}]
    if not maps:
        return
    size = (opt.sample_duration, opt.sample_size, opt.sample_size)
    ours, theirs = (without_numbers(n, (n.in_channels, *size)).features for n in (student, teacher))
    for name in maps:
        other = counterpart(name, student.feature_channels, teacher.feature_channels)
        sizes = [feature.shape[2:] for feature in (ours[name], theirs[other])]
        if sizes[0] != sizes[1]:
            shown = ["x".join(map(str, size)) for size in sizes]
            raise ValueError(
                f"--distill {' '.join(names)}: {name} of the student has {shown[0]} places in time, height and width, "
                f"{other} of the teacher {shown[1]}: choose networks and stems (--conv1_t_stride, --no_max_pool) with "
                f"maps of one size, or compare {POOLED} and logits alone"
            )
