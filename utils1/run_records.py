"""What runs wrote down, and what tells one from another."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.logs import read_rows

SUBSETS = ("train", "val")  # how names of metrics begin
PLACES = ("result_path", "frame_dir", "annotation_path", "resume_path1", "SFS_resume_path", "given", "config")

Curve = tuple[list[int], list[float]]  # epochs, values


@dataclass(frozen=True)
class Record:
    """What is known of a run.

    Attributes:
        folder: Where its metrics.jsonl is.
        options: As in its options.yaml.
        metrics: Metric -> "train", "val" or "" -> its values by epoch.
    """

    folder: Path
    options: dict[str, Any]
    metrics: dict[str, dict[str, Curve]]


def run_folders(root: Path) -> list[Path]:
    """Folders of the runs at or below a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    folders = sorted(path.parent.resolve() for path in root.rglob("metrics.jsonl"))
    if not folders:
        raise FileNotFoundError(f"{root}: no metrics.jsonl in or below it; give the folder of a run (--log 1)")
    return folders


def read_run(folder: Path) -> Record:
    """The record of a run.

    Raises:
        ValueError: If a file is damaged.
    """
    file = folder / "options.yaml"
    try:
        options = yaml.safe_load(file.read_text("utf-8")) if file.exists() else {}
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    metrics: dict[str, dict[str, Curve]] = {}
    for row in [*read_rows(folder / "metrics.jsonl"), *read_rows(folder / "speed.jsonl")]:
        for name, value in row.items():
            if name == "epoch" or not isinstance(value, int | float):
                continue
            subset, _, rest = name.partition("_")
            subset, metric = (subset, rest) if subset in SUBSETS else ("", name)
            epochs, values = metrics.setdefault(metric, {}).setdefault(subset, ([], []))
            epochs.append(row["epoch"])
            values.append(float(value))
    return Record(folder, options or {}, metrics)


def labels(runs: Sequence[Record]) -> list[str]:
    """What tells each run from the others: the options that differ, else the folders."""
    names = sorted({name for run in runs for name in run.options})
    differing = [n for n in names if n not in PLACES and len({str(run.options.get(n)) for run in runs}) > 1]
    texts = [", ".join(f"{name}={shown(run.options.get(name))}" for name in differing) for run in runs]
    if len(set(texts)) == len(runs) and all(texts):
        return texts
    shared = Path(os.path.commonpath([run.folder.parent for run in runs]))
    folders = [str(run.folder.relative_to(shared)) for run in runs]
    return [f"{folder}  {text}".strip() for folder, text in zip(folders, texts, strict=True)]


def shown(value: Any) -> str:
    """A value of an option, briefly."""
    text = " ".join(map(str, value)) if isinstance(value, list) else "-" if value in (None, "") else str(value)
    return Path(text).name if "/" in text else text
