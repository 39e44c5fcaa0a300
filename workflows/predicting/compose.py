"""The outputs of predict.py: scored files and live frames as text, JSON, films and pictures."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datasets.decoding.video.sizes import Scaler
from engine.command import cli
from sts_common import counted
from sts_common.json_text import as_json

from ..shared.films import FILMS
from .annotate import BARS, label, original_frames, write_annotated
from .answers import document, record, speed, text, write_json
from .inputs import Input, targets
from .live import Answer, FrameReader, show, watch
from .live_sources import at_rate, live_frames
from .predictor import Prediction, Predictor, predict_video
from .timeline import PICTURES, best, draw_timeline, top_at

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Uses of predictions, as the options of predict.py of these names."""

    top_k: int = 5  # classes, >= 1
    # File of the whole document, or "-" for the standard output in place of the text; None for the text.
    json: str | None = None
    logits: bool = False  # whether the document has those of each network
    out: str | None = None  # film with what is said drawn in, or of several videos a folder
    timeline: str | None = None  # picture of the classes over time, likewise


def predict_files(
    predictor: Predictor,
    inputs: Sequence[Input],
    answers: Answers,
    *,
    window_stride: int | None = None,
    words: Sequence[str] = (),
) -> list[Prediction]:
    """Score videos one after the other; each result is printed before the next video is begun.

    `window_stride` is in frames, None for those of a clip; `words` are the inputs as the user named them. Raises
    FileNotFoundError if the only one is missing; ValueError if some cannot be used: these were named, and the others
    are done.
    """
    films = targets("--out", answers.out, inputs, FILMS)
    pictures = targets("--timeline", answers.timeline, inputs, PICTURES)
    done: list[Prediction] = []
    problems: dict[str, str] = {}
    for video, film, picture in zip(inputs, films, pictures, strict=True):
        try:
            prediction = predict_video(predictor, video.path, window_stride)
            if answers.json != "-":
                say("\n".join([str(video.path)] * (len(inputs) > 1) + [text(prediction, answers.top_k)]))
            draw(prediction, film, picture)
            done.append(prediction)
        except (ValueError, FileNotFoundError) as error:
            if len(inputs) == 1:
                raise
            problems[str(video.path)] = cli.one_line(error)
            log.error("error: %s", problems[str(video.path)])
    if answers.json:
        videos = [record(prediction, predictor.about, answers.top_k, answers.logits) for prediction in done]
        write_json(answers.json, document(predictor, words, videos, problems))
    if done:
        log.info(speed(done))
    if problems:
        raise ValueError(f"{len(problems)} of {counted(len(inputs), 'video')} cannot be used, as said above")
    return done


def draw(prediction: Prediction, film: Path | None, picture: Path | None) -> None:
    """Draw a prediction into a film of its video, and over its course, where asked."""
    timeline = prediction.timeline
    if picture:
        draw_timeline(timeline, str(prediction.path), picture)
    if film:
        rate, frames = original_frames(prediction.path, timeline.fps)
        write_annotated(film, frames, rate, partial(top_at, timeline.cells()))


@dataclass(frozen=True, kw_only=True)
class LiveAnswers:
    """How a camera is watched, as the options of predict.py of these names."""

    live_stride: int | None = None  # new frames per clip, >= 1; None for those of a clip
    seconds: float | None = None  # after which it ends, > 0; None for no end
    show: bool = False  # whether a window shows it


def predict_live(
    predictor: Predictor, path: Path, answers: LiveAnswers, *, top_k: int = 5, as_record: bool = False
) -> None:
    """Classify frames of a camera or pipe until it ends, `seconds` are over or the user stops it.

    With `as_record` each answer is a JSON line with the best `top_k` classes.
    """
    stride, answer = answers.live_stride or predictor.span, None
    provenance = predictor.recipe["provenance"]
    frames = at_rate(live_frames(path), provenance.get("fps", 25.0))
    shown = map(Scaler(provenance.get("short_side", 256), path), frames)
    try:
        with FrameReader(map(np.asarray, shown), predictor.span) as reader:
            for answer in watch(reader, predictor.newest(path), stride, answers.seconds or math.inf):
                say(line(answer, predictor.names, top_k, as_record=as_record))
                if answers.show:
                    show(label(answer.frame, best(answer.probabilities, predictor.names, BARS)))
    finally:
        if answer:
            log.info("%.1f s, %.3g frames/s looked at, %d frames dropped", answer.seconds, answer.rate, answer.dropped)
    if not answer:
        raise ValueError(f"{path}: no clip came{f' in {answers.seconds:g} s' if answers.seconds else ''}")


def line(answer: Answer, names: Sequence[str], top_k: int, *, as_record: bool) -> str:
    """Format an answer on one line: as text, or as JSON."""
    top = best(answer.probabilities, names, top_k)
    facts = {"rate": round(answer.rate, 2), "delay": round(answer.delay, 4), "dropped": answer.dropped}
    if as_record:
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
