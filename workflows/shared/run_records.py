"""Records of runs, and the options in which runs differ."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.monitor.logs import epoch_of, read_rows, whole_lines
from opts import DATA_FOLDERS

SUBSETS = ("train", "val")  # how names of metrics begin
# Options that say where a run was, and nothing of how it learnt.
LOCATION_OPTIONS = ("result_path", *DATA_FOLDERS, "resume_path1", "teacher", "SFS_resume_path", "given", "config")
PART = re.compile(r"_(train|val)(?=[_.])")  # of the name of a log, in the published form and in ours
# Column of a published log -> metric; "loss" is the total.
COLUMNS = {"loss_MSE": "loss_mse", "loss_SFS": "loss_ce", "loss_MERS": "loss_ce"}

Curve = tuple[list[int], list[float]]  # epochs, values


@dataclass(frozen=True)
class Record:
    """Record of a run."""

    folder: Path  # where its metrics.jsonl is; the training log of a run that has none
    options: dict[str, Any]  # as in its options.yaml
    metrics: dict[str, dict[str, Curve]]  # metric -> "train", "val" or "" -> its values by epoch


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Find the runs of folders, at or below them, and of files beside them: a log stands for its run; each once.

    Other files, like checkpoints, may be among them. Raises FileNotFoundError if a folder holds no run, or there is
    none.
    """
    runs = dict.fromkeys(run for path in paths for run in (runs_of_file(path) if path.is_file() else run_folders(path)))
    if not runs:
        raise FileNotFoundError(f"{paths[0]}: neither the folder nor a log of a run")
    return list(runs)


def run_folders(root: Path) -> list[Path]:
    """Find folders of the runs at or below a folder; raises FileNotFoundError if there is none."""
    folders = sorted(path.parent.resolve() for path in root.rglob("metrics.jsonl"))
    if not folders:
        raise FileNotFoundError(
            f"{root}: no metrics.jsonl in or below it; give the folder of a run, which train.py writes unless --log 0"
        )
    return folders


def runs_of_file(path: Path) -> list[Path]:
    """Return the run of a file beside its folder; for a log without a folder, as published, the training log."""
    for name in folder_names(path.stem):
        if (path.parent / name / "metrics.jsonl").exists():
            return [(path.parent / name).resolve()]
    if path.suffix != ".log":
        return []
    train = path.with_name(PART.sub("_train", path.name, count=1))
    return [(train if train.exists() else path).resolve()]


def folder_names(stem: str) -> Iterator[str]:
    """Return possible names of a run's folder, given the name of a file of it, but for its extension."""
    for name in (stem, stem.removeprefix("PreKin_")):
        yield name
        yield PART.sub("_train", name, count=1)
        yield re.sub(r"_(train|val)$", "", name)
        yield re.sub(r"_?(best|\d+(_step\d+)?)$", "", name)


def read_run(folder: Path) -> Record:
    """Read the record of a run, by its folder or its training log; raises ValueError if a file is damaged."""
    if folder.is_file():
        return Record(folder, {}, read_logs(folder))
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
            add(metrics, metric, subset, row["epoch"], float(value))
    return Record(folder, options or {}, metrics)


def add(metrics: dict[str, dict[str, Curve]], metric: str, subset: str, epoch: int, value: float) -> None:
    """Add a point to a curve."""
    epochs, values = metrics.setdefault(metric, {}).setdefault(subset, ([], []))
    epochs.append(epoch)
    values.append(value)


def read_logs(path: Path) -> dict[str, dict[str, Curve]]:
    """Read metrics of a tab-separated log in the published form, and of its run's other one.

    Raises ValueError if a line is none of it.
    """
    metrics: dict[str, dict[str, Curve]] = {}
    part = PART.search(path.name)
    others = {path.with_name(PART.sub("_val", path.name, count=1)): "val"} if part else {}
    for log, subset in ({path: part[1] if part else "train"} | others).items():
        header, *rows = [line.rstrip("\r").split("\t") for line in whole_lines(log)] or [[]]
        for number, row in enumerate(rows, 2):
            epoch = epoch_of(row[0], log, number)
            for column, text in zip(header[1:], row[1:], strict=False):
                metric = COLUMNS.get(column, column)
                add(metrics, metric, "" if metric == "lr" else subset, epoch, number_in(text, log, number))
    return metrics


def number_in(text: str, path: Path, line: int) -> float:
    """Parse a value of a log; raises ValueError if it is no number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {text!r} is no number; delete that line") from None


def curves_of(run: Record, metric: str) -> dict[str, Curve]:
    """Return curves of a metric by subset; the total loss of a distillation is known in training alone.

    Validation knows its cross-entropy, and without distillation the loss is the cross-entropy.
    """
    curves, loss = run.metrics.get(metric, {}), run.metrics.get("loss", {})
    if metric == "loss" and "loss_ce" in run.metrics:
        return {subset: curve for subset, curve in curves.items() if subset != "val"}
    if metric == "loss_ce":
        return {subset: curve for subset, curve in loss.items() if subset == "val" or not curves} | curves
    return curves


def labels(runs: Sequence[Record]) -> list[str]:
    """Label each run by the options that differ, else by its folder."""
    names = sorted({name for run in runs for name in run.options})
    differing = [n for n in names if n not in LOCATION_OPTIONS and len({str(run.options.get(n)) for run in runs}) > 1]
    texts = [", ".join(f"{name}={shown(run.options.get(name))}" for name in differing) for run in runs]
    if len(set(texts)) == len(runs) and all(texts):
        return texts
    shared = Path(os.path.commonpath([run.folder.parent for run in runs]))
    folders = [str(run.folder.relative_to(shared)) for run in runs]
    return [f"{folder}  {text}".strip() for folder, text in zip(folders, texts, strict=True)]


def shown(value: Any) -> str:
    """Format a value of an option, briefly."""
    text = " ".join(map(str, value)) if isinstance(value, list) else "-" if value in (None, "") else str(value)
    return Path(text).name if "/" in text else text
