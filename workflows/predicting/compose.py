"""The steps of predict.py: networks from checkpoints, scoring, and all forms of output."""

import logging
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.decoding.video.sizes import Scaler
from engine.checkpoint import finished_epochs
from engine.command import cli
from models import stream_weights
from sts_common import counted
from sts_common.json_text import as_json

from ..shared.films import FILMS
from ..testing.evaluation import prepared
from ..testing.fusing import ALONE, check_distinct
from .agreement import common_recipe, load_networks, load_states, spread_over
from .annotate import BARS, label, original_frames, write_annotated
from .answers import document, record, speed, text, write_json
from .inputs import Input, targets
from .live import Answer, FrameReader, show, watch
from .live_sources import at_rate, live_frames
from .predictor import Prediction, Predictor, predict_video, share_cores
from .timeline import PICTURES, Lookup, best, draw_timeline

log = logging.getLogger(__name__)


def build_predictor(opt: Namespace, device: torch.device, live: bool = False) -> Predictor:
    """Build the networks of `opt.weights`, with all metadata of their checkpoints.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one cannot be used, or not with the others.
    """
    check_distinct(opt.weights, ALONE)
    stream_weights(opt.fusion_weights, len(opt.weights))
    states = load_states(opt.weights)
    recipe, gpu = common_recipe(opt.weights, states), device.type == "cuda"
    loaded = load_networks(opt.weights, states, recipe)
    networks = [prepared(network.to(device), opt, device) for network in loaded]
    clips = 1 if live else opt.batch_size or (8 if gpu else -(-torch.get_num_threads() // len(networks)))
    predictor = Predictor(
        networks,
        names=states[0]["class_names"],
        recipe=recipe,
        stride=frame_stride(opt, recipe, live),
        fusion=opt.fusion,
        weights=opt.fusion_weights,
        device=device,
        clips=clips,
        pool=None if gpu else share_cores(len(networks) * clips),
        about=[
            {"file": str(path), "arch": state.get("arch"), "epoch": finished_epochs(state), "stream": state["stream"]}
            for path, state in zip(opt.weights, states, strict=True)
        ],
    )
    if opt.compile != "off":
        predictor.warm_up()
    return predictor


def frame_stride(opt: Namespace, recipe: Mapping[str, Any], live: bool) -> int | None:
    """Return frames from one of a clip to the next; None where clips are spread over the video, as in training.

    Raises:
        ValueError: If what is asked for needs windows.
    """
    if opt.frame_stride or not spread_over(recipe):
        return opt.frame_stride or int(recipe.get("clip_stride", 1))
    if live or opt.window_stride:
        problem = "a camera has no whole" if live else "--window_stride is for windows"
        raise ValueError(
            f"{opt.weights[0]}: trained on frames spread over whole videos, and {problem}: give --frame_stride, frames "
            "from one of a window to the next"
        )
    return None


def predict_files(opt: Namespace, predictor: Predictor, inputs: Sequence[Input]) -> list[Prediction]:
    """Score videos one after the other; each result is printed before the next video is begun.

    Raises:
        FileNotFoundError: If the only one is missing.
        ValueError: If some cannot be used; these were named, and the others are done.
    """
    films = targets("--out", opt.out, inputs, FILMS)
    pictures = targets("--timeline", opt.timeline, inputs, PICTURES)
    done: list[Prediction] = []
    problems: dict[str, str] = {}
    for video, film, picture in zip(inputs, films, pictures, strict=True):
        try:
            done.append(predict_file(opt, predictor, video.path, film, picture, headed=len(inputs) > 1))
        except (ValueError, FileNotFoundError) as error:
            if len(inputs) == 1:
                raise
            problems[str(video.path)] = cli.one_line(error)
            log.error("error: %s", problems[str(video.path)])
    if opt.json:
        videos = [record(prediction, predictor.about, opt.top_k, opt.logits) for prediction in done]
        write_json(opt.json, document(predictor, [opt.video, *opt.more], videos, problems))
    if done:
        log.info(speed(done))
    if problems:
        raise ValueError(f"{len(problems)} of {counted(len(inputs), 'video')} cannot be used, as said above")
    return done


def predict_file(
    opt: Namespace, predictor: Predictor, path: Path, film: Path | None, picture: Path | None, *, headed: bool
) -> Prediction:
    """Score a video, print the result, and draw it where asked."""
    prediction = predict_video(predictor, path, opt.window_stride)
    timeline = prediction.timeline
    if opt.json != "-":
        say("\n".join([str(path)] * headed + [text(prediction, opt.top_k)]))
    if picture:
        draw_timeline(timeline, str(path), picture)
    if film:
        rate, frames = original_frames(path, timeline.fps)
        write_annotated(film, frames, rate, Lookup(timeline.cells()))
    return prediction


def predict_live(opt: Namespace, predictor: Predictor, path: Path) -> None:
    """Classify frames of a camera or pipe until it ends, `opt.seconds` are over or the user stops it."""
    stride, answer = opt.live_stride or predictor.span, None
    provenance = predictor.recipe["provenance"]
    frames = at_rate(live_frames(path), provenance.get("fps", 25.0))
    shown = map(Scaler(provenance.get("short_side", 256), path), frames)
    try:
        with FrameReader(map(np.asarray, shown), predictor.span) as reader:
            for answer in watch(reader, predictor.newest(path), stride, opt.seconds or math.inf):
                say(line(answer, predictor, opt))
                if opt.show:
                    show(label(answer.frame, best(answer.probabilities, predictor.names, BARS)))
    finally:
        if answer:
            log.info("%.1f s, %.3g frames/s looked at, %d frames dropped", answer.seconds, answer.rate, answer.dropped)
    if not answer:
        raise ValueError(f"{path}: no clip came{f' in {opt.seconds:g} s' if opt.seconds else ''}")


def line(answer: Answer, predictor: Predictor, opt: Namespace) -> str:
    """Format an answer on one line: as text, or as JSON."""
    top = best(answer.probabilities, predictor.names, opt.top_k)
    facts = {"rate": round(answer.rate, 2), "delay": round(answer.delay, 4), "dropped": answer.dropped}
    if opt.json:
        classes = [{"class": name, "probability": round(p, 6)} for name, p in top]
        return as_json({"seconds": round(answer.seconds, 3), "top": classes} | facts)
    name, probability = top[0]
    return (
        f"{probability:.3f}  {name}  {answer.rate:.1f} frames/s, {1000 * answer.delay:.0f} ms late, "
        f"{answer.dropped} dropped"
    )


def say(words: str) -> None:
    """Print a part of the result at once, also into a pipe."""
    print(words, flush=True)  # noqa: T201 - the result
