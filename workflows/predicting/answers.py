"""Predictions of videos as text, and as one JSON document."""

import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from datasets.decoding.video.containers import load_av
from sts_common import counted
from sts_common.files import write_text
from sts_common.json_text import as_json

from .predictor import Prediction, Predictor
from .timeline import best

SHORT = 4  # windows, up to which no segments are listed


def text(prediction: Prediction, top_k: int) -> str:
    """List the likeliest classes, one per line, and the segments if the video is long."""
    timeline = prediction.timeline
    lines = [f"{p:.3f}  {name}" for name, p in best(prediction.probabilities, timeline.names, top_k)]
    if len(timeline.starts) > SHORT:
        lines += [
            f"{part.start:8.1f} - {part.end:.1f} s  {part.top[0][1]:.3f}  {part.top[0][0]}"
            for part in timeline.segments()
        ]
    return "\n".join(lines)


def record(prediction: Prediction, about: Sequence[Mapping[str, Any]], top_k: int, logits: bool) -> dict[str, Any]:
    """Return the prediction of a video as plain values, of the best `top_k` classes.

    `about` is what is known of each checkpoint; `logits` adds theirs, the mean over clips.
    """
    timeline = prediction.timeline
    top = best(prediction.probabilities, timeline.names, top_k)
    logits_by_network = zip(about, prediction.logits.tolist(), strict=True)
    return {
        "input": str(prediction.path),
        "frames": timeline.frames,
        "fps": timeline.fps,
        "seconds": round(timeline.seconds, 3),
        "top": [{"class": name, "probability": round(p, 6)} for name, p in top],
        **({"logits": [{"file": known["file"], "values": x} for known, x in logits_by_network]} if logits else {}),
        "windows": [window.record() for window in timeline.windows()],
        "segments": [segment.record() for segment in timeline.segments()],
        "speed": {
            "seconds": round(prediction.seconds, 3),
            "frames_per_second": round(timeline.frames / prediction.seconds, 2),
            "times_real_time": round(timeline.seconds / prediction.seconds, 3),
        },
    }


def document(
    predictor: Predictor, inputs: Sequence[str], videos: Sequence[dict[str, Any]], problems: Mapping[str, str]
) -> dict[str, Any]:
    """Return all predictions as plain values.

    `inputs` are as the user named them, `videos` by `record`, `problems` those of inputs that cannot be used.
    """
    return {
        "inputs": list(inputs),
        "checkpoints": list(predictor.about),
        "fusion": {"method": predictor.fusion, "weights": predictor.weights},
        "classes": list(predictor.names),
        "recipe": predictor.recipe | ({} if predictor.stride is None else {"clip_stride": predictor.stride}),
        "videos": list(videos),
        "errors": [{"input": path, "error": problem} for path, problem in problems.items()],
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "opencv": cv2.__version__,
            "pyav": load_av().__version__,
            "numpy": np.__version__,
        },
    }


def write_json(target: str, content: Mapping[str, Any]) -> None:
    """Write a document to a file, or for "-" to the standard output."""
    written = as_json(content, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(written)
    else:
        write_text(Path(target), written)


def speed(predictions: Sequence[Prediction]) -> str:
    """Describe how fast videos were scored, decoding included."""
    frames = sum(prediction.timeline.frames for prediction in predictions)
    spent = sum(prediction.seconds for prediction in predictions)
    length = sum(prediction.timeline.seconds for prediction in predictions)
    return (
        f"{counted(frames, 'frame')} in {spent:.1f} s: {frames / spent:.3g} frames/s, {length / spent:.3g} x real time "
        f"at {frames / length:.4g} fps"
    )
