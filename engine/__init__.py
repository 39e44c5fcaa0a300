"""Training, testing, checkpoints and logs, for any callable task and iterable of batches."""

from . import checkpoint
from .checkpoint.lock import check_results
from .checkpoint.resuming import resumed_options
from .command import cli, naming
from .device.distributed import is_main
from .device.precision import AMP, dtype_of
from .device.reproducibility import setup
from .evaluation import scores
from .evaluation.metrics import confusion, video_metrics
from .evaluation.result_file import result_lines, write_result
from .evaluation.scores import Scores
from .evaluation.scoring import ScoreAccumulator, score_videos
from .training.fit import fit
from .training.optim import OPTIMIZERS, SCHEDULES
from .training.run import Run, build_run, build_stepper, find_start, step_rate

__all__ = [
    "AMP",
    "OPTIMIZERS",
    "SCHEDULES",
    "Run",
    "ScoreAccumulator",
    "Scores",
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
