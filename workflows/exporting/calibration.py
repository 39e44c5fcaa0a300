"""Opening of the user's own videos by which an export is quantised."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import STREAMS, Annotation, ClipOptions, VideoDataset, check_videos, make_dataset, open_videos, parse_view
from opts import places_of

from ..predicting.agreement import spread_over
from ..shared.score_facts import check_held_out
from .plan import Export
from .real_clips import Calibration, CentreClips

log = logging.getLogger(__name__)

# Options of the data, with their values where neither the user nor the checkpoint gives one.
DEFAULTS = {"dataset": "HMDB51", "split": 1, "val_fraction": 0.1, "only_RGB": False}
LABELS = "dataset/HMDB51_labels"  # likewise


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """Where the clips of a quantisation come from, as the options of export.py of these names.

    Attributes:
        frame_dir: Folder of frames or videos, `--calibrate`.
        annotation_path: Folder of the label files, or one list; None as in the training, or where it is gone `LABELS`.
        dataset: As the next three: a key of `DATASETS`; None as in the training of the first checkpoint.
        split: Official split.
        val_fraction: Fraction of the training videos held out, in (0, 1).
        only_RGB: Flow is not on disk, or not wanted.
        layout: A key of `STORES`, or "auto".
        missing: What is done about a video that cannot be used.
        clips: Of the training list that are looked at, >= 1.
        max_drop: Percentage points that the accuracy on held-out training videos may fall by, >= 0.
    """

    frame_dir: str | Path
    annotation_path: str | Path | None = None
    dataset: str | None = None
    split: int | None = None
    val_fraction: float | None = None
    only_RGB: bool | None = None  # noqa: N815  as the option
    layout: str = "auto"
    missing: str = "error"
    clips: int = 300
    max_drop: float = 0.5

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise ValueError(f"--calibrate_clips must be >= 1, got {self.clips}")
        if not 0 <= self.max_drop <= 100:
            raise ValueError(f"--max_drop must lie in [0, 100] percentage points, got {self.max_drop:g}")


def open_calibration(plan: Export, settings: CalibrationSettings) -> Calibration:
    """Open the videos by which an export is quantised.

    Raises FileNotFoundError if a folder, list or video is missing; ValueError if the videos are not those of the
    networks' classes or flow, or were not held out of the training.
    """
    if not Path(settings.frame_dir).is_dir():
        raise FileNotFoundError(f"--calibrate {settings.frame_dir}: no such folder of frames or videos")
    data = data_of(plan, settings)
    only_rgb = bool(data.pop("only_RGB"))
    for state, path in zip(plan.states, plan.paths, strict=True):
        check_unseen(state, path, data)
    labels = settings.annotation_path or places_of(plan.states[0], ["frame_dir"], plan.paths[0]).get(
        "annotation_path", LABELS
    )
    annotation = Annotation(labels, **data)
    train, held_out = (open_clips(plan, settings, annotation, subset, only_rgb) for subset in ("train", "val"))
    count = min(settings.clips, len(train))
    spread = [i * len(train) // count for i in range(count)]  # lists go by class
    views = list(plan.shapes())
    return Calibration(
        CentreClips(train, spread, views),
        CentreClips(held_out, range(len(held_out)), views),
        settings.max_drop,
        {**data, "clips": count, "max_drop": settings.max_drop},
    )


def data_of(plan: Export, settings: CalibrationSettings) -> dict[str, Any]:
    """Return the options of the data: those given, else those of the training, else the defaults."""
    given = {name: getattr(settings, name) for name in DEFAULTS}
    trained = plan.states[0].get("options", {})
    return {
        name: next((value for value in (given[name], trained.get(name)) if value is not None), default)
        for name, default in DEFAULTS.items()
    }


def open_clips(
    plan: Export, settings: CalibrationSettings, annotation: Annotation, subset: str, only_rgb: bool
) -> VideoDataset:
    """Open a clip of each video of a subset, as the networks see it; raises as `open_calibration`."""
    views, recipe = list(plan.shapes()), plan.recipe
    videos = open_videos(
        annotation,
        settings.frame_dir,
        subset=subset,
        streams=list(dict.fromkeys(parse_view(view).stream for view in views)),
        only_rgb=only_rgb,
        layout=settings.layout,
        missing=settings.missing,
        scored=subset == "val",
        video_fps=recipe.get("video_fps", 25.0),
    )
    sampling = "segment_centers" if spread_over(recipe) else "center"
    clips = ClipOptions.from_recipe(recipe, streams=views, val_sampling=sampling)
    for state, path, model in zip(plan.states, plan.paths, plan.models, strict=True):
        check_videos(videos, clips, {**state, "recipe": recipe}, path, stream=STREAMS[model.stream])
    dataset = make_dataset(videos, clips, mode="val")
    assert isinstance(dataset, VideoDataset)
    return dataset


def check_unseen(state: Mapping[str, Any], source: str, data: Mapping[str, Any]) -> None:
    """Check that the training of a checkpoint held out the videos that are held out here, by `data`.

    Warns if it held out none. Raises ValueError if it held out others, or none are held out here.
    """
    if data["val_fraction"] == 0:
        raise ValueError(f"{source}: --val_fraction 0 holds no videos out to measure accuracies on: give another")
    if state.get("options", {}).get("val_fraction") == 0:
        log.warning("%s: trained on every training video, so that accuracies here are of videos it has seen", source)
    else:
        check_held_out(state, source, **data)
