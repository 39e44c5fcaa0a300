"""Records of finished stages: what was run, on what, and what it left."""

import hashlib
import json
from pathlib import Path
from typing import Any

from datasets.records.manifest import MANIFEST
from sts_common import counted
from sts_common.files import sha256, write_text
from sts_common.json_text import as_json

from .stages import Stage

TYPES = {"words": list, "reads": dict, "leaves": dict}  # of the entries that are compared
MOST_NAMED = 3  # changed files in a message


def record_of(stage: Stage) -> dict[str, Any]:
    """Return what the results of a stage depend on: its command, and the content of what it reads that is there."""
    return {
        "command": stage.command,
        "words": stage.settings,
        "reads": {str(path): content_of(path) for path in stage.reads if path.is_file()},
    }


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a manifest without its first line, which tells when the audit was run."""
    if path.name != MANIFEST:
        return sha256(path)
    with path.open("rb") as file:
        file.readline()
        return hashlib.file_digest(file, "sha256").hexdigest()


def note_done(stage: Stage, folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a finished stage, as `record_of` returned it before it ran."""
    sizes = {str(path): path.stat().st_size for path in stage.leaves}
    write_text(folder / f"{stage.name}.json", as_json(record | {"leaves": sizes}, indent=1) + "\n")


def is_done(stage: Stage, folder: Path) -> bool:
    """Return whether the results of a stage are there, made by these options from these files.

    Raises ValueError if those of a costly stage were made otherwise, or the record is damaged.
    """
    path = folder / f"{stage.name}.json"
    if not path.is_file():
        return False
    before = read_record(path)
    there = all(Path(name).is_file() and Path(name).stat().st_size == size for name, size in before["leaves"].items())
    if not there or set(before["leaves"]) != {str(path) for path in stage.leaves}:
        return False
    now = record_of(stage)
    if changes := differences(before, now):
        if stage.costly:
            raise ValueError(
                f"{stage.name}: its network was trained otherwise ({'; '.join(changes)}): give another --out, or "
                f"delete {path} and the checkpoints {checkpoints_of(stage)} to train it again"
            )
        return False
    return True


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a stage; raises ValueError if it is cut short or no record."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in TYPES.items()):
        raise ValueError(
            f"{path}: damaged, no record of a stage; delete it, and the stage is run again from where it was"
        )
    return record


def checkpoints_of(stage: Stage) -> str:
    """Return a pattern of the checkpoints of a training, from which it would else go on."""
    return ", ".join(str(path.with_name(path.name.replace("_best", "_*"))) for path in stage.leaves)


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Describe in what two records differ."""
    old, new = settings(before["words"]), settings(now["words"])
    changes = [
        f"{name} {' '.join(old.get(name, ['not given']))} -> {' '.join(new.get(name, ['not given']))}".strip()
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return changes + changed_files(before["reads"], now["reads"])


def changed_files(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Describe which files differ; of many, as those of an annotation are, the first ones and their number."""
    files = [path for path in {**before, **now} if before.get(path) != now.get(path)]
    texts = [
        f"{path} {'was not read' if path not in before else 'is gone' if path not in now else 'has changed'}"
        for path in files[:MOST_NAMED]
    ]
    return [*texts, *([f"{counted(len(files) - MOST_NAMED, 'more file')}, too"] if len(files) > MOST_NAMED else [])]


def settings(words: list[str]) -> dict[str, list[str]]:
    """Return the values of each option among words; what stands before the first has the name ""."""
    values: dict[str, list[str]] = {"": []}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word
            values.setdefault(name, [])
        else:
            values[name].append(word)
    return values
