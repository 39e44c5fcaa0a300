"""Networks of a distillation, each in its own architecture."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from models.backbones import options_in
from models.weights import arguments_in
from opts import ARCHITECTURE, adopt

from ..shared.command_lines import words_of

log = logging.getLogger(__name__)


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
    shown = arguments_in(checkpoint, width)
    return options_in(str(checkpoint.get("arch"))) | ({"width": shown["width"]} if "width" in shown else {})


def tell_student(opt: Namespace, teacher: Namespace, source: str, name: str = "") -> None:
    """Report differences of the student's network from its teacher's that were not asked for.

    Args:
        opt: Options, with the architecture of the student.
        teacher: Those with the architecture of the teacher.
        source: The checkpoint that the student begins with, "" for none.
        name: Of the teacher, "" where there is one.
    """
    whose = f"its teacher {name}" if name else "its teacher"
    differing = [option for option in ARCHITECTURE if getattr(opt, option) != getattr(teacher, option)]
    if not differing:
        return
    lines = (f"{option} {getattr(opt, option)}, {whose} {getattr(teacher, option)}" for option in differing)
    log.info("the student has %s", "; ".join(lines))
    if unasked := [] if source else [option for option in differing if option not in opt.given]:
        same = " ".join(words_of(teacher, unasked))
        log.warning("not given, so the student's is the default: %s; for %s's: %s", ", ".join(unasked), whose, same)
