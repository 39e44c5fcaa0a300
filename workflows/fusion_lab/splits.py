"""The mean over the splits of a data set, from a score file of each."""

import itertools
from collections.abc import Iterator, Sequence

from torch import Tensor

from engine import Scores, video_metrics
from engine.evaluation.scores import load
from engine.evaluation.statistics import mean_and_deviation
from models import FUSIONS, fuse

from .systems import Row

SUBSETS_UP_TO = 4  # streams; more have too many combinations to print


def load_splits(paths: Sequence[str], use: Sequence[str] | None) -> list[Scores]:
    """Load a score file per split, in the order of splits, with the streams to `use` or all of them.

    Raises FileNotFoundError if a file is missing; ValueError if a file does not say its split, splits repeat, or the
    files are not of the same kind.
    """
    if len(paths) < 2:
        raise ValueError("--splits: give a score file of each split, two at least")
    by_split: dict[int, tuple[str, Scores]] = {}
    for path in paths:
        scores = load(path)
        split = scores.about.get("split")
        if not isinstance(split, int):
            raise ValueError(f"{path}: does not say of which split it is; score it again with test_two_stream.py")
        if split in by_split:
            raise ValueError(
                f"{path}: of split {split}, as {by_split[split][0]} is; put the streams of a split into one file with "
                "test_two_stream.py --scores a.npz b.npz --scores_path both.npz"
            )
        by_split[split] = (path, scores.only(use) if use else scores)
    (source, first), *others = (by_split[split] for split in sorted(by_split))
    for path, scores in others:
        if problem := differs(scores, first):
            raise ValueError(f"{path}: {problem} than {source}: there is no mean over them")
    return [first, *(scores.only(first.streams) for _, scores in others)]


def differs(scores: Scores, first: Scores) -> str:
    """Describe a difference in kind between two files; "" if there is none."""
    if scores.class_names != first.class_names:
        return "other classes"
    if set(scores.streams) != set(first.streams):
        return f"other streams ({', '.join(scores.streams)})"
    for name in ("dataset", "subset"):
        if scores.about.get(name) != first.about.get(name):
            return f"another {name} ({scores.about.get(name)})"
    return ""


def systems_of(scores: Scores) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and scores (N, K) of every combination of streams by ActivNo, then of all by other fusions."""
    streams = scores.streams
    sizes = range(1, len(streams) + 1) if len(streams) <= SUBSETS_UP_TO else (1, len(streams))
    for names in itertools.chain.from_iterable(itertools.combinations(streams, size) for size in sizes):
        yield "+".join(names), fuse(scores.only(names).logits)
    if len(streams) > 1:
        for method in FUSIONS:
            if method != "activno":
                yield f"{'+'.join(streams)}@{method}", fuse(scores.logits, method)


def over_splits(files: Sequence[Scores]) -> list[Row]:
    """Return each system's "top1", "top5" and "mean_class": {"splits": one per file, "mean", "sd"}."""
    measured = [{name: video_metrics(fused, scores.label) for name, fused in systems_of(scores)} for scores in files]
    rows = []
    for system in measured[0]:
        row: Row = {"system": system}
        for metric in ("top1", "top5", "mean_class"):
            values = [of_split[system][metric] for of_split in measured]
            mean, deviation = mean_and_deviation(values)
            row[metric] = {"splits": values, "mean": mean, "sd": deviation}
        rows.append(row)
    return rows
