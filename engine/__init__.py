"""Training, testing, checkpoints and logs, for any callable task and iterable of batches."""

from . import checkpoint
from .checkpoint.lock import check_results
from .checkpoint.resuming import resumed_options
from .device.distributed import is_main
from .device.precision import AMP, dtype_of
from .device.reproducibility import setup
from .evaluation import scores
from .evaluation.metrics import confusion, video_metrics
from .evaluation.result_file import result_lines, write_result
from .evaluation.scores import Scores
from .evaluation.scoring import ScoreAccumulator, score_videos
from .training.creation import build_run, build_settings, create_run, create_stepper, full_rate
from .training.fit import run_epochs
from .training.optim import OPTIMIZERS, SCHEDULES
from .training.run import Run, find_start
from .training.settings import RunSettings, create_settings

__all__ = [
    "AMP",
    "OPTIMIZERS",
    "SCHEDULES",
    "Run",
    "RunSettings",
    "ScoreAccumulator",
    "Scores",
    "build_run",
    "build_settings",
    "check_results",
    "checkpoint",
    "confusion",
    "create_run",
    "create_settings",
    "create_stepper",
    "dtype_of",
    "find_start",
    "full_rate",
    "is_main",
    "result_lines",
    "resumed_options",
    "run_epochs",
    "score_videos",
    "scores",
    "setup",
    "video_metrics",
    "write_result",
]
