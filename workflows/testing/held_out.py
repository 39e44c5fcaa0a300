"""Score files of held-out training videos, and what is fitted on them: a temperature of each stream."""

import logging
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from torch import Tensor

from datasets.stores.provenance import NOT_STATED, differences, show
from engine import Scores
from engine.evaluation.calibration import NoTemperatureError, fit_temperature
from engine.evaluation.scores import join, load
from models import stream_weights
from opts import PROTOCOL
from sts_common import counted

log = logging.getLogger(__name__)

HINT = "score the held-out training videos: test_two_stream.py --test_subset val --scores_path held.npz ..."


class Tested(NamedTuple):
    """Metadata of a test that has no scores yet; the attributes are those of `Scores`."""

    video: Sequence[str]
    class_names: Sequence[str]
    streams: Sequence[str]
    about: Mapping[str, Any]


def check_fit(paths: Sequence[str] | None, weights: Sequence[float] | None, fusion: str) -> None:
    """Raise ValueError if `--fit` and the other options of the fusion exclude each other."""
    if paths and weights:
        raise ValueError("--fit and --fusion_weights both weigh the streams: leave one of them out")
    if paths and fusion not in ("activno", "log_softmax", "all"):
        raise ValueError(f"--fit: temperatures weigh logits, and --fusion {fusion} changes them: use activno")


def fitted_weights(paths: Sequence[str] | None, test: Tested | Scores) -> dict[str, list[float]]:
    """Return the option "fusion_weights" by the files of `--fit`, if there are any; raises as `temperature_weights`."""
    return {"fusion_weights": temperature_weights(paths, test)} if paths else {}


def temperature_weights(paths: Sequence[str], test: Tested | Scores) -> list[float]:
    """Weigh the streams of a test by 1 / T, with the temperature T of each on held-out videos.

    ActivNo with these weights is ActivNo of logits that are divided by their temperatures: a stream that was trained
    to be sure of itself does not outweigh the others for that alone.

    Args:
        paths: Score files of the held-out training videos.
        test: That is fused.

    Returns:
        A weight per stream, summing to 1; 0 for one that is no better than a guess, with a warning.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If nothing may be fitted on a file, it has not the scores of the tested networks, or its videos
            cannot weigh them.
    """
    held_out = load_held_out(paths, test)
    fitted, reasons = temperatures(dict(zip(held_out.streams, held_out.logits, strict=True)), held_out.label)
    if problem := unweighable(fitted, reasons):
        raise ValueError(
            f"--fit: {problem}: leave out --fit, or hold out more videos in training (a larger --val_fraction)"
        )
    for text in [*unlike(held_out, test), *(f"{name} counts for nothing: {why}" for name, why in reasons.items())]:
        log.warning("--fit: %s", text)
    weights = stream_weights([1 / temperature for temperature in fitted.values()], len(fitted))
    log.info(
        "on %s: %s",
        counted(len(held_out.video), "held-out video"),
        "; ".join(
            f"{name} has temperature {temperature:.2f} and weight {weight:.3f}"
            for (name, temperature), weight in zip(fitted.items(), weights, strict=True)
        ),
    )
    return weights


def load_held_out(paths: Sequence[str], test: Tested | Scores) -> Scores:
    """Load the held-out scores of the streams that are tested; raises as `temperature_weights`."""
    parts = [(path, load(path)) for path in paths]
    check_held_out_files(parts, test)
    return match_streams(join(parts), test)


def check_held_out_files(parts: Sequence[tuple[str, Scores]], test: Tested | Scores) -> None:
    """Refuse score files, given for fitting with their names, on which nothing may be fitted.

    Raises ValueError if a file is not of held-out videos, or of some that are tested on, or of other data or classes.
    """
    tested = set(test.video)
    for path, scores in parts:
        subset = scores.about.get("subset")
        if subset != "val":
            what = f"is of the subset {subset!r}" if subset else "does not say what it was made of"
            raise ValueError(f"{path}: {what}; nothing is fitted on a test list: {HINT}")
        shared = [name for name in scores.video if name in tested]
        if shared:
            raise ValueError(f"{path}: {len(shared):,} of its videos are tested on, {shared[0]} among them; {HINT}")
        if scores.class_names != test.class_names:
            raise ValueError(f"{path}: its classes are not those of the test")
        for name, stated, tested_on in differences(scores.about, test.about, ("dataset", "split")):
            if NOT_STATED not in (stated, tested_on):
                raise ValueError(f"{path}: of {name} {stated}, but the test is of {name} {tested_on}")


def match_streams(held_out: Scores, test: Tested | Scores) -> Scores:
    """Return the held-out scores of the tested streams, in their order.

    Raises ValueError if one is missing, or came from another checkpoint.
    """
    missing = [name for name in test.streams if name not in held_out.streams]
    if missing:
        raise ValueError(f"--fit: no stream {missing[0]} in its files, only {', '.join(held_out.streams)}")
    for name in test.streams:
        digests = [scores.about.get("checkpoints", {}).get(name, {}).get("sha256") for scores in (held_out, test)]
        if None not in digests and digests[0] != digests[1]:
            raise ValueError(f"--fit: stream {name} was scored with another checkpoint than in the test")
    return held_out.only(test.streams)


def temperatures(named: Mapping[str, Tensor], label: Tensor) -> tuple[dict[str, float], dict[str, str]]:
    """Fit the temperature of each system's held-out logits (N, K).

    Where there is no optimum, or one that hangs on a single video, it is the limit, with the reason: infinity for
    logits that are no better than a guess, 0 for such as are right on all videos or all but one.
    """
    fitted, reasons = dict[str, float](), dict[str, str]()
    for name, logits in named.items():
        try:
            fitted[name] = fit_temperature(logits, label)
        except NoTemperatureError as error:
            fitted[name], reasons[name] = error.limit, str(error)
            continue
        if (logits.gather(1, label[:, None])[:, 0] < logits.max(1).values).sum() == 1:
            fitted[name] = 0.0
            right = f"{len(label) - 1:,} of {len(label):,} held-out videos"
            reasons[name] = f"{right} are right, and one error is no measure"
    return fitted, reasons


def unweighable(fitted: Mapping[str, float], reasons: Mapping[str, str]) -> str:
    """Return why streams cannot be weighed by 1 / T of `temperatures`; "" if they can."""
    if sure := [name for name, temperature in fitted.items() if temperature == 0]:
        return f"these held-out videos cannot weigh {sure[0]}: {reasons[sure[0]]}"
    if all(temperature == inf for temperature in fitted.values()):
        return "no stream is better than a guess on the held-out videos, so there are no weights"
    return ""


def unlike(held_out: Scores, test: Tested | Scores) -> list[str]:
    """Describe differences in how the two were scored, where both state it: a fit may then not carry over."""
    fitted, tested = (scores.about.get("options", {}) for scores in (held_out, test))
    return [
        f"{name} {show(stated)} of the held-out scores, {show(tested_on)} of the test: the fit may not carry over"
        for name, stated, tested_on in differences(fitted, tested, PROTOCOL)
        if NOT_STATED not in (stated, tested_on)
    ]
