"""Training, testing, checkpoints and logs. Depends on torch alone: it sees a callable task and iterable batches."""

from . import checkpoint, cli, naming
from .metrics import confusion, video_metrics
from .optim import OPTIMIZERS, SCHEDULES
from .reproducibility import setup
from .results import result_lines, write_result
from .run import Run, build_run, fit
from .scoring import Scores, score_videos

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Run",
    "Scores",
    "build_run",
    "checkpoint",
    "cli",
    "confusion",
    "fit",
    "naming",
    "result_lines",
    "score_videos",
    "setup",
    "video_metrics",
    "write_result",
]
