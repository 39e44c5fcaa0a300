"""The Python interface: what the scripts do, by keyword arguments. docs/python.md shows it at work."""

from inspect import isfunction
from typing import TYPE_CHECKING

from datasets import (
    FLOW,
    RGB,
    RGB_DIFF,
    Annotation,
    ClipOptions,
    Videos,
    check_videos,
    make_dataset,
    make_loader,
    make_recipe,
    open_videos,
    read_video,
)
from engine import Scores, video_metrics
from models import (
    DISTILLERS,
    FUSIONS,
    MODELS,
    Classify,
    Distill,
    Output,
    StreamNetwork,
    create_distiller,
    create_model,
    fuse,
    inference_ready,
    output_shapes,
)
from sts_common.typed import typed
from workflows.auditing.audit import audit_videos
from workflows.exporting.calibration import CalibrationSettings
from workflows.exporting.export import export
from workflows.extracting.extraction import extract_videos
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe
from workflows.predicting.predict import build_predictor, predict
from workflows.predicting.predictor import predict_video
from workflows.testing.loading import load_checkpoint
from workflows.testing.scoring import score
from workflows.training.fitting import fit
from workflows.understanding.grad_cam import draw_grad_cam

__all__ = [
    "DISTILLERS",
    "FLOW",
    "FUSIONS",
    "MODELS",
    "RGB",
    "RGB_DIFF",
    "Annotation",
    "CalibrationSettings",
    "Classify",
    "ClipOptions",
    "Distill",
    "FlowRecipe",
    "Output",
    "Recipe",
    "Scores",
    "StreamNetwork",
    "Videos",
    "audit_videos",
    "build_predictor",
    "check_videos",
    "create_distiller",
    "create_model",
    "draw_grad_cam",
    "export",
    "extract_videos",
    "fit",
    "fuse",
    "inference_ready",
    "load_checkpoint",
    "make_dataset",
    "make_loader",
    "make_recipe",
    "open_videos",
    "output_shapes",
    "predict",
    "predict_video",
    "read_video",
    "score",
    "video_metrics",
]

if not TYPE_CHECKING:  # who writes a program sees at once which argument is of a wrong type
    globals().update({name: typed(globals()[name]) for name in __all__ if isfunction(globals()[name])})
