"""Networks of a distillation, each in its own architecture."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from engine.checkpoint.resuming import check_same_teachers
from models import Distill
from models.backbones import options_in
from models.inference.cached_outputs import weights_sha256
from models.weights import arguments_in
from opts import ARCHITECTURE, stated_in

from ..shared.command_lines import words_of

log = logging.getLogger(__name__)


def architecture_in(checkpoint: Mapping[str, Any], width: float) -> dict[str, Any]:
    """Return the options of the architecture that a teacher's checkpoint states or shows, whatever the student's are.

    Published checkpoints state network and depth at most, and show the width; for the rest the teacher is as the
    options say.

    Args:
        checkpoint: Content of the teacher's.
        width: As in `seen_in`.
    """
    shown = {} if "options" in checkpoint else seen_in(checkpoint, width)
    return shown | stated_in(checkpoint, ARCHITECTURE)


def seen_in(checkpoint: Mapping[str, Any], width: float) -> dict[str, Any]:
    """Infer options of the architecture from the weights of a checkpoint that stores none.

    Args:
        checkpoint: Its content.
        width: What is taken if it fits the weights, for several widths may give as many channels.
    """
    shown = arguments_in(checkpoint, width)
    return options_in(str(checkpoint.get("arch"))) | ({"width": shown["width"]} if "width" in shown else {})


def tell_student(
    student: Mapping[str, Any], teacher: Mapping[str, Any], source: str, name: str = "", *, given: Collection[str] = ()
) -> None:
    """Report differences of the student's network from its teacher's that were not asked for.

    Args:
        student: Values of the options `ARCHITECTURE`.
        teacher: The teacher's.
        source: The checkpoint that the student begins with, "" for none.
        name: Of the teacher, "" where there is one.
        given: Names of the options that were given.
    """
    whose = f"its teacher {name}" if name else "its teacher"
    differing = [option for option in ARCHITECTURE if student[option] != teacher[option]]
    if not differing:
        return
    lines = (f"{option} {student[option]}, {whose} {teacher[option]}" for option in differing)
    log.info("the student has %s", "; ".join(lines))
    if unasked := [] if source else [option for option in differing if option not in given]:
        same = " ".join(words_of({option: teacher[option] for option in unasked}))
        log.warning("not given, so the student's is the default: %s; for %s's: %s", ", ".join(unasked), whose, same)


def state_teachers(task: Distill, state: Mapping[str, Any], source: str, *, anyway: bool) -> dict[str, Any]:
    """Return {"teachers": SHA-256 of the weights by name}, for checkpoints; raises as `check_same_teachers`."""
    digests = {name: weights_sha256(teacher) for name, teacher, _ in task.teachers_and_losses()}
    check_same_teachers(state, digests, source, anyway=anyway)
    return {"teachers": digests}
