"""Records of finished stages: what was run, on what, and what it left."""

import json
from pathlib import Path
from typing import Any

from sts_common.files import sha256, write_text
from sts_common.json_text import as_json

from .stages import Stage


def record_of(stage: Stage) -> dict[str, Any]:
    """Return what the results of a stage depend on: its command, and the content of what it reads."""
    return {
        "command": stage.command,
        "words": stage.settings,
        "reads": {str(path): sha256(path) for path in stage.reads},
    }


def note_done(stage: Stage, folder: Path) -> None:
    """Write the record of a finished stage."""
    sizes = {str(path): path.stat().st_size for path in stage.leaves}
    write_text(folder / f"{stage.name}.json", as_json(record_of(stage) | {"leaves": sizes}, indent=1) + "\n")


def is_done(stage: Stage, folder: Path) -> bool:
    """Return whether the results of a stage are there, made by these options from these files.

    Raises:
        ValueError: If those of a dear stage were made otherwise.
    """
    path = folder / f"{stage.name}.json"
    if not path.is_file():
        return False
    before = json.loads(path.read_text("utf-8"))
    there = all(Path(name).is_file() and Path(name).stat().st_size == size for name, size in before["leaves"].items())
    if not there or set(before["leaves"]) != {str(path) for path in stage.leaves}:
        return False
    now = record_of(stage)
    if changes := differences(before, now):
        if stage.dear:
            raise ValueError(
                f"{stage.name}: its network was trained otherwise ({'; '.join(changes)}): give another --out, or "
                f"delete {path} to train it again"
            )
        return False
    return True


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Describe in what two records differ."""
    old, new = settings(before["words"]), settings(now["words"])
    changes = [
        f"{name} {' '.join(old.get(name, ['not given']))} -> {' '.join(new.get(name, ['not given']))}".strip()
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    files = [
        path for path in {**before["reads"], **now["reads"]} if before["reads"].get(path) != now["reads"].get(path)
    ]
    return changes + [f"{path} has changed" for path in files]


def settings(words: list[str]) -> dict[str, list[str]]:
    """Return the values of each option among words; what stands before the first has the name ""."""
    files: dict[str, list[str]] = {"": []}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word
            files.setdefault(name, [])
        else:
            files[name].append(word)
    return files
