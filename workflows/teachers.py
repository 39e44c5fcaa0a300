"""The networks of a distillation: each in its own architecture."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from models import ARCHITECTURE, MODELS
from opts import adopt

log = logging.getLogger(__name__)


def teacher_options(opt: Namespace, checkpoint: Mapping[str, Any]) -> Namespace:
    """Options with the architecture of a teacher's checkpoint, whatever the student is given.

    Published checkpoints state network and depth at most, and have full width; else theirs is what the options say.

    Args:
        opt: Options.
        checkpoint: Content of the teacher's.
    """
    published: dict[str, Any] = {"width": 1.0}
    model, _, depth = str(checkpoint.get("arch", "")).rpartition("-")
    if model in MODELS and depth.isdecimal():
        published |= {"model": model, "model_depth": int(depth)}
    stated = {} if "options" in checkpoint else published
    return adopt(Namespace(**vars(opt) | stated | {"given": []}), checkpoint, ARCHITECTURE)


def tell_student(opt: Namespace, teacher: Namespace, source: str) -> None:
    """Say in what the student's network differs from its teacher's, and where that was not asked for.

    Args:
        opt: Options, with the architecture of the student.
        teacher: Those with the architecture of the teacher.
        source: The checkpoint that the student begins with, "" for none.
    """
    differing = [name for name in ARCHITECTURE if getattr(opt, name) != getattr(teacher, name)]
    if not differing:
        return
    told = (f"{name} {getattr(opt, name)}, its teacher {getattr(teacher, name)}" for name in differing)
    log.info("the student has %s", "; ".join(told))
    if unasked := [] if source else [name for name in differing if name not in opt.given]:
        same = " ".join(f"--{name} {getattr(teacher, name)}" for name in unasked)
        log.warning("not given, so the student's is the default: %s; for its teacher's: %s", ", ".join(unasked), same)
