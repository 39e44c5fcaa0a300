"""Prediction of a video by keyword arguments, and the networks that predict.py scores all its videos with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import finished_epochs
from models import stream_weights
from sts_common import check_choice

from ..testing.fusing import ALONE
from ..testing.scoring import prepared
from .agreement import common_recipe, spread_over
from .exported import AUTO, CHOICES, TORCH, device_for, engine_for, open_exported
from .predictor import Prediction, Predictor, predict_video, share_cores
from .trained import Source, Trained, distinct_names, listed, load_trained

TORCH_SETTINGS = {"amp": "amp", "compile_mode": "compile", "group_width": "group_width"}  # with their options


@dataclass(frozen=True, kw_only=True)
class PredictorSettings:
    """How networks are used on a video, as the options of predict.py of these names."""

    fusion: str = "activno"  # a key of `FUSIONS`
    fusion_weights: Sequence[float] | None = None  # one per network; None for equal ones
    frame_stride: int | None = None  # frames from one of a clip to the next, >= 1; None as in training
    window_stride: int | None = None  # frames from clip to clip, >= 1; None for those of a clip
    batch_size: int | None = None  # clips at a time; None for as many as keep all cores busy, 8 on a GPU
    amp: str = "auto"  # a key of `AMP`: number format
    compile_mode: str = "off"  # a key of `COMPILE`
    group_width: int = 1  # channels to which groups of convolutions are joined, >= 1
    # Program that runs the networks, one of `CHOICES`; "auto" goes by the names of the files. The number format of an
    # exported file is its own.
    engine: str = AUTO

    def __post_init__(self) -> None:
        check_choice("--engine", self.engine, CHOICES)
        for name in ("frame_stride", "window_stride", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} must be >= 1, got {value}")


def predict(  # noqa: PLR0913  an interface of keywords
    video: str | Path,
    networks: Source | Iterable[Source],
    *,
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
    fusion: str = "activno",
    fusion_weights: Sequence[float] | None = None,
    frame_stride: int | None = None,
    window_stride: int | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    amp: str = "auto",
) -> Prediction:
    """Name the action in a video, with the scores of predict.py to the last bit.

    Of several videos the networks need be loaded only once: `predictor = build_predictor([...])`, and
    `predict_video(predictor, path)` for each.

    Args:
        video: A file, or a folder with the frames of a video.
        networks: Checkpoint files, files of `export` for OpenVINO or onnxruntime, or networks; several are fused. See
            `load_trained`.
        class_names: Of networks alone, K names; else as their checkpoints state.
        recipe: How clips are made, of networks alone; else as their checkpoints state.
        fusion: As all below, see `PredictorSettings`.
        fusion_weights: One per network.
        frame_stride: Frames from one of a clip to the next.
        window_stride: Frames from clip to clip.
        batch_size: Clips at a time.
        device: "auto", "cpu", "cuda" or "cuda:N".
        amp: Number format.

    Returns:
        Its `top()` has the likeliest classes, `by_class` the probabilities of all, `timeline` those over the course of
        the video.

    Raises:
        FileNotFoundError: If the video or a checkpoint is missing.
        ValueError: If one is damaged, or the networks cannot be used, or not with each other.

    Example:
        >>> answer = predict("film.mp4", ["rgb.pth", "sfs.pth"])
        >>> answer.top(1)
        [('clap', 0.97)]
    """
    settings = PredictorSettings(
        fusion=fusion,
        fusion_weights=fusion_weights,
        frame_stride=frame_stride,
        window_stride=window_stride,
        batch_size=batch_size,
        amp=amp,
    )
    predictor = build_predictor(networks, settings, device=device, class_names=class_names, recipe=recipe)
    try:
        return predict_video(predictor, Path(video), window_stride)
    finally:
        predictor.close()


def build_predictor(
    networks: Source | Iterable[Source],
    settings: PredictorSettings = PredictorSettings(),
    *,
    device: str | torch.device = "auto",
    live: bool = False,
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Predictor:
    """Build a predictor of some networks, with all that their checkpoints state.

    Args:
        networks: Checkpoint files, exported files, or networks; see `load_trained`, as for `class_names` and `recipe`.
        settings: How they are used.
        device: "auto", "cpu", "cuda" or "cuda:N".
        live: Whether it is for frames of a camera, a clip at a time.
        class_names: Of networks alone.
        recipe: Of networks alone.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one cannot be used, or not with the others.
    """
    sources = listed(networks)
    names, engine = distinct_names(sources, ALONE), engine_for(sources, settings.engine)
    place = device_for(engine, str(device))
    stream_weights(settings.fusion_weights, len(sources))  # an error now, not after loading
    gpu = place.type == "cuda"
    clips = 1 if live else settings.batch_size or (8 if gpu else -(-torch.get_num_threads() // len(sources)))
    trained: Sequence[Trained[Any]]
    ready: list[Any]
    if engine == TORCH:
        trained = load_trained(sources, names, class_names=class_names, recipe=recipe)
        forms = {name: getattr(settings, name) for name in TORCH_SETTINGS}
        ready = [prepared(source.network.to(place), device=place, **forms) for source in trained]
    else:
        check_settings(settings, engine)
        trained = open_exported(names, engine, place, min(len(sources) * clips, torch.get_num_threads()))
        ready = [source.network for source in trained]
    clip = common_recipe(names, [source.state for source in trained])
    predictor = Predictor(
        ready,
        names=trained[0].state["class_names"],
        recipe=clip,
        stride=frame_stride_of(clip, settings, names[0], live=live),
        fusion=settings.fusion,
        weights=settings.fusion_weights,
        device=place,
        amp=settings.amp,
        clips=clips,
        pool=None if gpu else share_cores(len(ready) * clips),
        about=[describe(source) for source in trained],
    )
    if settings.compile_mode != "off":
        predictor.warm_up()
    return predictor


def check_settings(settings: PredictorSettings, engine: str) -> None:
    """Refuse settings of torch's networks; raises ValueError, which names the option."""
    defaults = PredictorSettings()
    for name, option in TORCH_SETTINGS.items():
        if getattr(settings, name) != getattr(defaults, name):
            raise ValueError(
                f"--{option} is for --engine torch; how {engine} computes was settled by the export: leave it out"
            )


def describe(source: Trained[Any]) -> dict[str, Any]:
    """Return what answers say of a network."""
    state = source.state
    known = {"arch": state.get("arch"), "epoch": finished_epochs(state), "stream": state["stream"]}
    return {"file": source.name, **known, **state.get("engine", {})}


def frame_stride_of(recipe: Mapping[str, Any], settings: PredictorSettings, source: str, *, live: bool) -> int | None:
    """Return frames from one of a clip to the next; None where clips are spread over the video, as in training.

    `source` is the name of the first network. Raises ValueError if what the settings or a camera ask for needs windows.
    """
    if settings.frame_stride and settings.frame_stride > 1 and recipe.get("segment_length", 1) > 1:
        raise ValueError(
            f"--frame_stride {settings.frame_stride}: {source} reads segments of {recipe['segment_length']} successive "
            "frames; give 1"
        )
    if settings.frame_stride or not spread_over(recipe):
        return settings.frame_stride or int(recipe.get("clip_stride", 1))
    if live or settings.window_stride:
        problem = "a camera has no whole" if live else "--window_stride is for windows"
        raise ValueError(
            f"{source}: trained on frames spread over whole videos, and {problem}: give --frame_stride, frames "
            "from one of a window to the next"
        )
    return None
