"""Grad-CAM of networks over a video, as pictures and as a film."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import SINGLE_STREAMS, parse_view
from engine.command import cli
from engine.device.reproducibility import choose_device
from flow import decode, recorded_encoding
from flow.colour import flow_to_image
from models.analysis.gradcam import AUTO
from sts_common.files import write_atomically, write_text

from ..predicting.agreement import common_recipe, spread_over
from ..predicting.trained import Source, distinct_names, listed, load_trained
from ..predicting.video_streams import crop_samples, frames_of, single_frame_error
from ..predicting.windows import join_samples
from ..shared.films import write_film
from ..shared.score_facts import was_distilled
from ..shared.tables import as_csv
from ..stored_flow.show import Pair, choose_scale
from .cam_pictures import COLOURS, Picture, Subject, draw_film, draw_strip
from .cam_tracks import Track, cut_clips, predict_class, track, whole_video_clip

SAMPLED = 100  # frames whose flow or differences set the scale of its colours, at most
OUTSIDE = 0.01  # share of the levels of differences beyond that scale
MID_GREY = 127.5


class Pictures(NamedTuple):
    """Grad-CAM of a video, drawn."""

    folder: Path  # where strips, film and curves are
    tracks: list[Track]  # heat of each network
    target: int  # the class, whose evidence it is
    class_names: Sequence[str]  # of the networks


def draw_grad_cam(  # noqa: PLR0913  an interface of keywords
    video: str | Path,
    networks: Source | Iterable[Source],
    folder: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    target: str | None = None,
    layer: str = AUTO,
    step: int | None = None,
    strips: int = 12,
    device: str | torch.device = "auto",
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Pictures:
    """Draw which parts of a video networks look at, as utils1/grad_cam.py does.

    Args:
        video: A file, or a folder with the frames of a video.
        networks: Checkpoint files, or networks; see `load_trained`. They are side by side.
        folder: To write to; None for <video>_cam in the current folder.
        names: Of the networks; None for RGB, Flow, and SFS for a distilled one.
        target: Name of the class whose evidence is shown; None for the one that the networks predict together.
        layer: A stage; "auto" is the deepest with two steps in time.
        step: Frames from clip to clip, >= 1; None for no overlap.
        strips: Clips that are drawn, evenly spaced, >= 0; 0 is all of them.
        device: "auto", "cpu", "cuda" or "cuda:N".
        class_names: Of networks alone, K names; else as their checkpoints state.
        recipe: How clips are made, of networks alone; else as their checkpoints state.

    Raises:
        FileNotFoundError: If the video or a checkpoint is missing.
        ValueError: If one is damaged, if there is no such class or layer, or if the networks cannot be side by side.
    """
    if strips < 0 or (step is not None and step < 1):
        raise ValueError(f"--strips {strips} must be at least 0, --step {step} at least 1")
    place, path, sources = choose_device(str(device)), Path(video), listed(networks)
    files = distinct_names(sources, "its pictures would be the same: leave it out once")
    trained = load_trained(sources, files, class_names=class_names, recipe=recipe)
    states = [loaded.state for loaded in trained]
    labels = check_names(names or default_names(states), len(states))
    clip, classes = common_recipe(files, states), states[0]["class_names"]
    models = [loaded.network.to(place) for loaded in trained]
    index = find_class(target, classes) if target else None
    frames = read_whole(path, clip, list(dict.fromkeys(model.view for model in models)), place)
    shape = len(next(iter(frames.values()))[0]), clip["sample_duration"], clip.get("clip_stride", 1)
    drawn = whole_video_clip(*shape, clip.get("segment_length", 1)) if spread_over(clip) else cut_clips(*shape)
    clips = cut_clips(*shape, step) if step else drawn
    index = predict_class(models, frames, clips) if index is None else index
    tracks = [track(*named, frames, clips, index, layer) for named in zip(labels, models, strict=True)]
    fps = clip["provenance"].get("fps") or 25.0
    pictures = {name: pictures_of(name, x, clip["provenance"]) for name, x in frames.items()}
    out = Path(folder or f"{path.stem}_cam")
    write_all(out, tracks, Subject(path.name, classes[index], pictures, fps), [c.covered for c in drawn], strips)
    return Pictures(out, tracks, index, classes)


def check_names(names: Sequence[str], count: int) -> Sequence[str]:
    """Return the names of networks; raises ValueError unless each has one, and there are colours for all."""
    if len(names) != count or count > len(COLOURS):
        raise ValueError(f"{count} --weights, {len(names)} --names: as many of both, and at most {len(COLOURS)}")
    return names


def default_names(states: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the modality, or SFS for a network that was distilled; numbered where several."""
    kinds = []
    for state in states:
        modality = next(name for name, stream in SINGLE_STREAMS.items() if stream.name == state["stream"])
        kinds.append("SFS" if was_distilled(state) else modality)
    return [f"{kind} {kinds[: i + 1].count(kind)}" if kinds.count(kind) > 1 else kind for i, kind in enumerate(kinds)]


def find_class(name: str, class_names: Sequence[str]) -> int:
    """Return the index of a class; raises ValueError if there is none of that name."""
    if name not in class_names:
        near = cli.did_you_mean(name, class_names)
        raise ValueError(f"--target {name}: is none of the {len(class_names)} classes of these networks{near}")
    return list(class_names).index(name)


def read_whole(path: Path, recipe: dict[str, Any], wanted: Sequence[str], device: torch.device) -> dict[str, Tensor]:
    """Read the networks' input of a video, uint8 (C, F, S, S) by view; flow is computed on the device if that can.

    Raises as `draw_grad_cam`.
    """
    with_flow = any(parse_view(view).stream.is_flow for view in wanted)
    images = frames_of(path, recipe["provenance"], with_flow, device)
    samples = list(crop_samples(images, recipe["sample_size"], wanted, recipe.get("short_side")))
    if not samples:
        raise single_frame_error(path, wanted)
    return join_samples(samples)


def pictures_of(view: str, frames: Tensor, provenance: dict[str, Any]) -> list[Picture]:
    """Convert frames (C, F, S, S) of a view to RGB pictures (S, S, 3): flow as colours, all to one scale.

    Differences are about grey, and amplified so that few of the video reach the ends of the scale.
    """
    stream, images = parse_view(view).stream, list(frames.permute(1, 2, 3, 0).numpy())
    if not stream.vectors:
        return amplify(images) if stream.of_pair else images
    encoding = recorded_encoding(provenance)
    sampled = images[:: -(-len(images) // SAMPLED)]
    scale = choose_scale(Pair(0, None, decode(levels, **encoding)) for levels in sampled)
    return [flow_to_image(decode(levels, **encoding), scale) for levels in images]


def amplify(images: Sequence[Picture]) -> list[Picture]:
    """Stretch pictures about mid-grey by one factor, >= 1, so that all but `OUTSIDE` of their levels stay in range."""
    sampled = np.stack(images[:: -(-len(images) // SAMPLED)])
    widest = np.quantile(np.abs(sampled - MID_GREY), 1 - OUTSIDE)
    factor = MID_GREY / max(float(widest), 1.0)
    return [np.clip((image - MID_GREY) * factor + MID_GREY, 0, 255).astype(np.uint8) for image in images]


def write_all(
    folder: Path, tracks: Sequence[Track], subject: Subject, clips: Sequence[Sequence[int]], strips: int
) -> None:
    """Write strips of some clips, or all for 0, the film, and the curves as numbers."""
    count = min(strips or len(clips), len(clips))
    for number in np.unique(np.linspace(0, len(clips) - 1, count).round().astype(int)).tolist():
        strip = draw_strip(tracks, subject, clips[number])
        write_atomically(folder / f"clip_{number + 1:04d}.png", partial(strip.save, format="PNG"))
    pictures = ((i / subject.fps, picture) for i, picture in enumerate(draw_film(tracks, subject)))
    write_film(folder / "video.mp4", pictures, subject.fps)
    rows: list[list[Any]] = [
        ["frame", "seconds", *(f"{t.name} {what}" for t in tracks for what in ("evidence", "probability"))]
    ]
    for i in range(len(tracks[0].curve)):
        values = (float(value) for t in tracks for value in (t.curve[i], t.probability[i]))
        rows.append([i + 1, f"{i / subject.fps:.3f}", *values])
    write_text(folder / "evidence.csv", as_csv(rows, digits=4))
