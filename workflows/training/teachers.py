"""Teachers of a distillation: their architectures, weights, and outputs that are kept on disk."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
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
    options say. `width` is taken if it fits the weights, for several widths may give as many channels.
    """
    shown: dict[str, Any] = {}
    if "options" not in checkpoint:
        widths = {name: value for name, value in arguments_in(checkpoint, width).items() if name == "width"}
        shown = options_in(str(checkpoint.get("arch"))) | widths
    return shown | stated_in(checkpoint, ARCHITECTURE)


def tell_student(
    student: Mapping[str, Any], teacher: Mapping[str, Any], source: str, name: str = "", *, given: Collection[str] = ()
) -> None:
    """Report differences of the student's network from its teacher's, and warn of those that were not asked for.

    Both are values of the options `ARCHITECTURE`. `source` is the checkpoint that the student begins with, "" for none,
    `name` that of the teacher among several, `given` are the names of the options that were given.
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


def cache_teachers(task: Distill, folder: Path, drawn: Sequence[str]) -> None:
    """Have a task keep outputs of its teachers in a folder; `drawn` are options by which training clips are drawn.

    Raises:
        ValueError: If no clip that teachers see is the same twice.
    """
    if drawn and task.knows_classes:
        raise ValueError(
            f"--teacher_cache: training clips are drawn anew in every epoch ({', '.join(drawn)}), and validation asks "
            "no teacher: give --train_sampling center --crop center --flip never and no --augment, or leave it out"
        )
    if drawn:
        log.info("--teacher_cache: validation clips alone, since training clips are drawn (%s)", ", ".join(drawn))
    task.cache_teachers(folder, in_training=not drawn)
