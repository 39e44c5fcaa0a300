"""Grad-CAM of networks over a video, as pictures and as a film."""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets import FLOW, MODALITIES, SINGLE_STREAMS, parse_view
from engine import setup
from engine.command import cli
from flow import decode, recorded_encoding
from flow.colour import flow_to_image
from sts_common.files import write_atomically, write_text

from ..predicting.agreement import common_recipe, load_networks, load_states, spread_over
from ..predicting.video_streams import crop_samples, frames_of
from ..shared.films import write_film
from ..shared.templates import as_csv
from ..stored_flow.show import Pair, choose_scale
from ..testing.fusing import check_distinct
from .cam_pictures import COLOURS, Picture, Subject, draw_film, draw_strip
from .cam_tracks import Track, cut, predicted, spread, track

SAMPLED = 100  # frames whose flow or differences set the scale of its colours, at most
OUTSIDE = 0.01  # share of the levels of differences beyond that scale
MID_GREY = 127.5


def main(opt: Namespace) -> list[Track]:
    """Write the pictures; return the heat of each network."""
    if opt.strips < 0 or (opt.step is not None and opt.step < 1):
        raise ValueError(f"--strips {opt.strips} must be at least 0, --step {opt.step} at least 1")
    check_distinct(opt.weights, "its pictures would be the same: leave it out once")
    device = setup(0, opt.device)
    states = load_states(opt.weights)
    names, class_names = opt.names or default_names(states), states[0]["class_names"]
    if len(names) != len(states) or len(states) > len(COLOURS):
        raise ValueError(f"{len(states)} --weights, {len(names)} --names: as many of both, and at most {len(COLOURS)}")
    recipe = common_recipe(opt.weights, states)
    networks = [network.to(device) for network in load_networks(opt.weights, states, recipe)]
    chosen = find_class(opt.target, class_names) if opt.target else None
    video = read_whole(opt.video, recipe, list(dict.fromkeys(network.view for network in networks)))
    shape = len(next(iter(video.values()))[0]), recipe["sample_duration"], recipe.get("clip_stride", 1)
    drawn = spread(*shape[:2]) if spread_over(recipe) else cut(*shape)
    clips = cut(*shape, opt.step) if opt.step else drawn
    target = predicted(networks, video, clips) if chosen is None else chosen
    tracks = [track(*named, video, clips, target, opt.layer) for named in zip(names, networks, strict=True)]
    fps = recipe["provenance"].get("fps") or 25.0
    pictures = {name: pictures_of(name, x, recipe["provenance"]) for name, x in video.items()}
    subject = Subject(opt.video.name, class_names[target], pictures, fps)
    write_all(opt.out or Path(f"{opt.video.stem}_cam"), tracks, subject, [c.covered for c in drawn], opt.strips)
    for found in tracks:
        likely, sure = class_names[int(found.logits.argmax())], float(found.logits.softmax(0)[target])
        print(f"{found.name} at {found.layer}: {class_names[target]} {sure:.3f}, most likely {likely}")  # noqa: T201
    return tracks


def default_names(states: Sequence[dict[str, Any]]) -> list[str]:
    """Return the modality, or SFS for a network that was trained on one stream of two; numbered where several."""
    kinds = []
    for state in states:
        distilled = len(MODALITIES[state["options"]["modality"]]) > 1
        kinds.append("SFS" if distilled else next(n for n, s in SINGLE_STREAMS.items() if s.name == state["stream"]))
    counts, seen = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(f"{kind} {seen[kind]}" if counts[kind] > 1 else kind)
    return names


def find_class(name: str, class_names: Sequence[str]) -> int:
    """Return the index of a class.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in class_names:
        near = cli.did_you_mean(name, class_names)
        raise ValueError(f"--target {name}: is none of the {len(class_names)} classes of these networks{near}")
    return list(class_names).index(name)


def read_whole(path: Path, recipe: dict[str, Any], wanted: Sequence[str]) -> dict[str, Tensor]:
    """Read the networks' input of a video, uint8 (C, F, S, S) by view.

    Raises:
        FileNotFoundError: No such video.
        ValueError: If it is damaged, or has no flow or difference for being a single frame.
    """
    streams = [parse_view(view).stream for view in wanted]
    images = frames_of(path, recipe["provenance"], any(stream.source == FLOW.name for stream in streams))
    samples = list(crop_samples(images, recipe["sample_size"], wanted, recipe.get("short_side")))
    if not samples:
        leading = dict.fromkeys(stream.name for stream in streams if stream.leads)
        raise ValueError(f"{path}: a single frame has no {' and no '.join(leading)}")
    return {name: torch.from_numpy(np.concatenate([sample[name] for sample in samples], 1)) for name in wanted}


def pictures_of(view: str, frames: Tensor, provenance: dict[str, Any]) -> list[Picture]:
    """Convert frames (C, F, S, S) of a view to RGB pictures (S, S, 3): flow as colours, all to one scale.

    Differences are about grey, and amplified so that few of the video reach the ends of the scale.
    """
    stream, images = parse_view(view).stream, list(frames.permute(1, 2, 3, 0).numpy())
    if not stream.vectors:
        return amplified(images) if stream.of_pair else images
    encoding = recorded_encoding(provenance)
    some = images[:: -(-len(images) // SAMPLED)]
    scale = choose_scale(Pair(0, None, decode(levels, **encoding)) for levels in some)
    return [flow_to_image(decode(levels, **encoding), scale) for levels in images]


def amplified(images: Sequence[Picture]) -> list[Picture]:
    """Stretch pictures about mid-grey by one factor, >= 1, so that all but `OUTSIDE` of their levels stay in range."""
    some = np.stack(images[:: -(-len(images) // SAMPLED)])
    widest = np.quantile(np.abs(some - MID_GREY), 1 - OUTSIDE)
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
