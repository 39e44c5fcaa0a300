"""Learning motion from frames alone, before or beside the classes: Hidden Two-Stream (Zhu et al., ACCV 2018).

tasks      what `--motion` chooses
losses     the terms that motion learns, their weights, and their course over the epochs
temporal   the weights that the classifier of flow begins with
"""

from .losses import motion_schedules
from .tasks import MOTION, ClassifyByMotion, LearnMotion, create_task
from .temporal import start_temporal

__all__ = ["MOTION", "ClassifyByMotion", "LearnMotion", "create_task", "motion_schedules", "start_temporal"]
