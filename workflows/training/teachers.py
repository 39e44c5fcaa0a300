"""Networks of a distillation, each in its own architecture."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from models import MODELS
from models.weights import strip_prefix
from opts import ARCHITECTURE, adopt

from ..shared.command_lines import words_of

log = logging.getLogger(__name__)


STEM = 64  # channels of the first convolution of every network of width 1


def teacher_options(opt: Namespace, checkpoint: Mapping[str, Any]) -> Namespace:
    """Return options with the architecture of a teacher's checkpoint, whatever the student's is.

    Published checkpoints state network and depth at most, and show the width; else theirs is what the options say.

    Args:
        opt: Options.
        checkpoint: Content of the teacher's.
    """
    shown = {} if "options" in checkpoint else seen_in(checkpoint, opt.width)
    return adopt(Namespace(**vars(opt) | shown | {"given": []}), checkpoint, ARCHITECTURE)


def seen_in(checkpoint: Mapping[str, Any], width: float) -> dict[str, Any]:
    """Infer options of the architecture from the weights of a checkpoint that stores none.

    Args:
        checkpoint: Its content.
        width: What is taken if it fits the weights, for several widths may give as many channels.
    """
    model, _, depth = str(checkpoint.get("arch", "")).rpartition("-")
    shown: dict[str, Any] = {"model": model, "model_depth": int(depth)} if model in MODELS and depth.isdecimal() else {}
    weights = checkpoint.get("state_dict", checkpoint)
    stem = strip_prefix(weights).get("conv1.weight") if isinstance(weights, Mapping) else None
    if stem is not None and len(stem) != int(STEM * width):
        shown["width"] = len(stem) / STEM
    return shown


def tell_student(opt: Namespace, teacher: Namespace, source: str) -> None:
    """Report differences of the student's network from its teacher's that were not asked for.

    Args:
        opt: Options, with the architecture of the student.
        teacher: Those with the architecture of the teacher.
        source: The checkpoint that the student begins with, "" for none.
    """
    differing = [name for name in ARCHITECTURE if getattr(opt, name) != getattr(teacher, name)]
    if not differing:
        return
    lines = (f"{name} {getattr(opt, name)}, its teacher {getattr(teacher, name)}" for name in differing)
    log.info("the student has %s", "; ".join(lines))
    if unasked := [] if source else [name for name in differing if name not in opt.given]:
        same = " ".join(words_of(teacher, unasked))
        log.warning("not given, so the student's is the default: %s; for its teacher's: %s", ", ".join(unasked), same)
