"""How the frames and flow images below a root were made: two small JSON files that the extraction writes."""

import json
import os
from pathlib import Path
from typing import Any

FRAMES_FILE = "frames.json"  # fps, short_side, quality, decoder
FLOW_FILE = "flow.json"  # algorithm, parameters, library, bound, quantisation, fps, short_side, quality

# What a network sees; another version of a library moves few grey levels, so it is recorded but not compared.
COMPARED = ("algorithm", "parameters", "bound", "quantisation", "fps", "short_side")


def read_provenance(root: Path) -> dict[str, Any]:
    """The records of both files in one dict, {} where there are none; flow.json wins where both have a key.

    Raises:
        ValueError: A file that does not hold a JSON object.
    """
    return read_record(root / FRAMES_FILE) | read_record(root / FLOW_FILE)


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, {} if there is no such file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error}); restore it or extract into another folder") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path}: holds no JSON object; restore it or extract into another folder")
    return record


def claim(root: Path, file_name: str, record: dict[str, Any]) -> None:
    """State that everything below `root` is made as `record` says.

    Args:
        root: Existing folder.
        file_name: `FRAMES_FILE` or `FLOW_FILE`, written atomically if it is not there yet.
        record: Plain JSON values.

    Raises:
        ValueError: The file is there and says something else.
    """
    path = root / file_name
    if path.exists():
        there = read_record(path)
        wanted = json.loads(json.dumps(record))  # tuples become lists, as in the file
        changes = [
            f"{key} {show(there.get(key))} there, {show(wanted.get(key))} now"
            for key in sorted(there.keys() | wanted.keys())
            if there.get(key) != wanted.get(key)
        ]
        if changes:
            raise ValueError(f"{path}: {'; '.join(changes)}; use another output folder or the same options")
        return
    temporary = root / f".{file_name}.{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flow_mismatch(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Differences of two records that change what a network sees, as "bound 20.0 here, 15.0 in the checkpoint".

    Args:
        a: The record of the data.
        b: The record in the checkpoint. Only what both state is compared, parameters one by one.
    """
    differences = []
    for key in COMPARED:
        if key in a and key in b:
            if isinstance(a[key], dict) and isinstance(b[key], dict):
                pairs = [(f"{key} {name}", a[key][name], b[key][name]) for name in a[key] if name in b[key]]
            else:
                pairs = [(key, a[key], b[key])]
            differences += [f"{name} {show(x)} here, {show(y)} in the checkpoint" for name, x, y in pairs if x != y]
    return differences


def show(value: Any) -> str:
    """A value in a message; None stands for the video's own rate or size."""
    return "native" if value is None else str(value)
