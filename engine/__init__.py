"""Training, testing, checkpoints and logs. Depends on torch alone: it sees a callable task and iterable batches."""

from . import checkpoint, cli, naming, scores
from .differences import resumed_options
from .distributed import is_main
from .fit import fit
from .lock import check_results
from .metrics import confusion, video_metrics
from .optim import OPTIMIZERS, SCHEDULES
from .precision import AMP, dtype_of
from .reproducibility import setup
from .results import result_lines, write_result
from .run import Run, build_run, build_stepper, find_start, step_rate
from .scores import Scores
from .scoring import Tally, score_videos

__all__ = [
    "AMP",
    "OPTIMIZERS",
    "SCHEDULES",
    "Run",
    "Scores",
    "Tally",
    "build_run",
    "build_stepper",
    "check_results",
    "checkpoint",
    "cli",
    "confusion",
    "dtype_of",
    "find_start",
    "fit",
    "is_main",
    "naming",
    "result_lines",
    "resumed_options",
    "score_videos",
    "scores",
    "setup",
    "step_rate",
    "video_metrics",
    "write_result",
]
