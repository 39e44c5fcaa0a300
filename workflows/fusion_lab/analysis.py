"""Analysis of score files: every fusion and weighting, fits on held-out videos, and confidence intervals."""

import dataclasses
import logging
from argparse import Namespace
from collections.abc import Sequence

from engine import Scores
from engine.evaluation.scores import join, load
from models import stream_weights
from sts_common.files import write_text
from sts_common.json_text import as_json

from ..testing.fusing import counted_twice, unlike_in
from .fit import calibration, check_held_out, fit, same_streams
from .markdown import as_text
from .splits import load_splits, over_splits
from .systems import Bootstrap, Row, agreement, comparison, fusions, streams_alone

log = logging.getLogger(__name__)

ABOUT = ("dataset", "split", "subset")


def main(opt: Namespace) -> Row:
    """Print the tables; returns what `--json` writes."""
    if opt.resamples < 1:
        raise ValueError(f"--resamples {opt.resamples}: at least 1")
    if bool(opt.scores) == bool(opt.splits):
        raise ValueError("give score files of the same test videos, or --splits with one of each split")
    if opt.splits and (opt.fit or opt.compare or opt.fusion_weights or opt.all):
        raise ValueError(
            "--splits is the mean over splits alone: no --fit, --compare, --fusion_weights or --all with it"
        )
    if opt.use and len(set(opt.use)) < len(opt.use):
        raise ValueError(f"--use {' '.join(opt.use)}: a stream is named twice")
    report = mean_over_splits(opt) if opt.splits else analyse(opt)
    if opt.json:
        write_text(opt.json, as_json(report, indent=1) + "\n")
    print(as_text(report, every=opt.all))  # noqa: T201 - the result
    return report


def analyse(opt: Namespace) -> Row:
    """Analyse the fusion of some streams on one list of videos."""
    bootstrap = Bootstrap(resamples=opt.resamples, seed=opt.seed)
    every = side_by_side(opt.scores)
    scores = every.only(opt.use) if opt.use else every
    for one, other in counted_twice(scores):
        log.warning("%s and %s are of one checkpoint, which counts twice: choose streams with --use", one, other)
    if opt.fusion_weights:
        stream_weights(opt.fusion_weights, len(scores.streams))
    held = load_held_out(opt.fit, scores) if opt.fit else None  # refused before anything is computed
    report: Row = {
        "files": opt.scores,
        "about": {name: scores.about.get(name) for name in ABOUT},
        "videos": len(scores.video),
        "classes": len(scores.class_names),
        "streams": scores.streams,
        "fusion_weights": opt.fusion_weights,
        "bootstrap": dataclasses.asdict(bootstrap),
        "compare": [comparison(pair, every, bootstrap) for pair in opt.compare],
        "alone": streams_alone(scores, bootstrap),
        "agreement": list(agreement(scores)),
        "fusions": fusions(scores, opt.fusion_weights, bootstrap),
        "calibration": calibration(scores, {}),
    }
    return report | ({"fit": {"files": opt.fit} | fit(held, scores, bootstrap)} if held else {})


def side_by_side(paths: Sequence[str]) -> Scores:
    """Merge the streams of all files; differences in how they were scored are reported.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged, or they are not of the same videos, labels and classes.
    """
    parts = [(path, load(path)) for path in paths]
    joined = join(parts)
    for text in (text for part in parts[1:] for text in unlike_in(parts[0], part)):
        log.warning("the score files were made in unlike ways: %s", text)
    return joined


def load_held_out(paths: Sequence[str], test: Scores) -> Scores:
    """Load the held-out scores of the streams that are tested.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If nothing may be fitted on a file, or a stream is missing.
    """
    parts = [(path, load(path)) for path in paths]
    check_held_out(parts, test)
    return same_streams(join(parts), test)


def mean_over_splits(opt: Namespace) -> Row:
    """Average every system over the splits."""
    files = load_splits(opt.splits, opt.use)
    about = {name: files[0].about.get(name) for name in ("dataset", "subset")}
    return {
        "files": opt.splits,
        "about": about,
        "splits": [scores.about["split"] for scores in files],
        "systems": over_splits(files),
    }
