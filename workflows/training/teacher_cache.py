"""Outputs of teachers that are kept on disk while their student trains."""

import logging
from collections.abc import Sequence
from pathlib import Path

from models import Distill

log = logging.getLogger(__name__)


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
