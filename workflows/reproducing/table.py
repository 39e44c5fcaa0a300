"""Table of an experiment: every stream and fusion over its splits, with what papers report beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import Scores, video_metrics
from engine.evaluation.scores import load

from ..fusion_lab.splits import load_splits, over_splits, systems_of
from ..shared.templates import cell, percent
from .recipe import STREAMS


def table_of(files: Sequence[Path], papers: Mapping[str, float]) -> dict[str, Any]:
    """Return the accuracies of every stream and of their means of logits over the splits.

    Args:
        files: Score file of each split.
        papers: Top-1 in percent by system, as reported elsewhere.

    Returns:
        Plain values: "dataset", "splits", "videos" of each, "chance", and "systems": each with "top1", "top5" and
        "mean_class" (values of the "splits", "mean", "sd") in [0, 1], and "papers", in percent or None.
    """
    paths = [str(path) for path in files]
    splits = load_splits(paths, STREAMS) if len(paths) > 1 else [load(paths[0]).only(STREAMS)]
    rows = over_splits(splits) if len(splits) > 1 else of_one_split(splits[0])
    return {
        "dataset": splits[0].about["dataset"],
        "splits": [scores.about["split"] for scores in splits],
        "videos": [len(scores.video) for scores in splits],
        "chance": 1 / len(splits[0].class_names),
        "systems": [row | {"papers": papers.get(row["system"])} for row in rows if "@" not in row["system"]],
    }


def of_one_split(scores: Scores) -> list[dict[str, Any]]:
    """Return the rows of a data set that has one split, without deviations."""
    rows = []
    for system, fused in systems_of(scores):
        values = video_metrics(fused, scores.label)
        rows.append({"system": system} | {name: {"splits": [v], "mean": v, "sd": None} for name, v in values.items()})
    return rows


def as_markdown(table: Mapping[str, Any]) -> str:
    """Format a table: top-1 of each split, means, and the papers' numbers, marked as such."""
    splits = table["splits"]
    videos = ", ".join(f"{count:,}" for count in table["videos"])
    heads = ["top-1, %", *(f"split {split}" for split in splits), "mean ± sd", "mean class", "papers"]
    lines = [
        f"{table['dataset']}: top-1 over test videos ({videos} of the splits), chance {percent(table['chance'])} %. "
        "± is the sample standard deviation over splits. Papers: as they report it, **not measured here**.",
        "",
        f"| {' | '.join(heads)} |",
        f"| --- |{' --: |' * (len(heads) - 1)}",
    ]
    for row in table["systems"]:
        values = [percent(value, 2) for value in row["top1"]["splits"]]
        means = [with_deviation(row["top1"]), with_deviation(row["mean_class"])]
        reported = "" if row["papers"] is None else f"{row['papers']:g}"
        lines.append(f"| {' | '.join([cell(row['system']), *values, *means, reported])} |")
    return "\n".join(lines) + "\n"


def with_deviation(values: Mapping[str, Any]) -> str:
    """Format a mean, with its standard deviation if there are several values."""
    mean = percent(values["mean"], 2)
    return f"{mean} ± {percent(values['sd'], 2)}" if len(values["splits"]) > 1 else mean
