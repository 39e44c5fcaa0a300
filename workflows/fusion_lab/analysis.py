"""Analysis of score files: every fusion and weighting, fits on held-out videos, and confidence intervals."""

import dataclasses
import logging
from collections.abc import Sequence

from engine import Scores
from engine.evaluation.scores import join, load
from models import stream_weights

from ..testing.fusing import name_counted_twice, unlike_in
from ..testing.held_out import load_held_out
from .fit import calibration, fit
from .splits import load_splits, over_splits
from .systems import Bootstrap, Row, agreement, comparison, fusions, streams_alone

log = logging.getLogger(__name__)


def analyse(
    files: Sequence[str],
    *,
    use: Sequence[str] | None = None,
    fusion_weights: Sequence[float] | None = None,
    held_out: Sequence[str] | None = None,
    compare: Sequence[Sequence[str]] = (),
    bootstrap: Bootstrap | None = None,
) -> Row:
    """Analyse the fusion of some streams on one list of videos, as utils1/fusion_lab.py does with its options.

    `held_out` are the files of --fit, on which weights and temperatures are fitted; `use` None is all streams. Returns
    plain values: "alone", "agreement", "fusions", "calibration", "compare", and "fit" with `held_out`. Raises
    FileNotFoundError if a file is missing; ValueError if they are not of the same videos, labels and classes, or there
    is no such stream.
    """
    refuse_repeated(use)
    bootstrap = bootstrap or Bootstrap()
    all_streams = side_by_side(files)
    scores = all_streams.only(use) if use else all_streams
    name_counted_twice(scores)
    if fusion_weights:
        stream_weights(fusion_weights, len(scores.streams))
    held = load_held_out(held_out, scores) if held_out else None  # refused before anything is computed
    report: Row = {
        "files": list(files),
        "about": {name: scores.about.get(name) for name in ("dataset", "split", "subset")},
        "videos": len(scores.video),
        "classes": len(scores.class_names),
        "streams": scores.streams,
        "fusion_weights": fusion_weights,
        "bootstrap": dataclasses.asdict(bootstrap),
        "compare": [comparison(pair, all_streams, bootstrap) for pair in compare],
        "alone": streams_alone(scores, bootstrap),
        "agreement": list(agreement(scores)),
        "fusions": fusions(scores, fusion_weights, bootstrap),
        "calibration": calibration(scores, {}),
    }
    return report | ({"fit": {"files": held_out} | fit(held, scores, bootstrap)} if held else {})


def side_by_side(paths: Sequence[str]) -> Scores:
    """Merge the streams of all files, and report differences in how they were scored; raises as `analyse`."""
    parts = [(path, load(path)) for path in paths]
    joined = join(parts)
    for text in (text for part in parts[1:] for text in unlike_in(parts[0], part)):
        log.warning("the score files were made in unlike ways: %s", text)
    return joined


def mean_over_splits(files: Sequence[str], use: Sequence[str] | None = None) -> Row:
    """Average every system, of the streams to `use` in this order or all, over a score file of each split.

    Raises FileNotFoundError if a file is missing; ValueError if the files are not of the splits of one data set, or
    there is no such stream.
    """
    refuse_repeated(use)
    splits = load_splits(files, use)
    return {
        "files": list(files),
        "about": {name: splits[0].about.get(name) for name in ("dataset", "subset")},
        "splits": [scores.about["split"] for scores in splits],
        "systems": over_splits(splits),
    }


def refuse_repeated(use: Sequence[str] | None) -> None:
    """Raise ValueError if a stream is named twice."""
    if use and len(set(use)) < len(use):
        raise ValueError(f"--use {' '.join(use)}: a stream is named twice")
