"""Provenance of the frames and flow images below a root: two small JSON files that the extraction writes."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sts_common.files import encoded, write_atomically

FRAMES_FILE = "frames.json"  # fps, short_side, quality, decoder
FLOW_FILE = "flow.json"  # algorithm, parameters, library, bound, quantisation, fps, short_side, quality

# What a network sees; another version of a library moves few grey levels, so it is recorded but not compared.
COMPARED = ("algorithm", "parameters", "bound", "quantisation", "fps", "short_side")
NOT_STATED = object()
SOURCE = "source"  # in a file and on the command line: as the videos are; None in memory


def read_provenance(root: Path) -> dict[str, Any]:
    """Read the records of both files into one dict; flow.json wins where both have a key. Raises as `read_record`."""
    return read_record(root / FRAMES_FILE) | read_record(root / FLOW_FILE)


def read_record(path: Path) -> dict[str, Any]:
    """Read the JSON object in `path`, {} if there is no such file; raises ValueError if it holds something else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error}); restore it or extract into another folder") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path}: holds no JSON object; restore it or extract into another folder")
    return {name: None if value == SOURCE else value for name, value in record.items()}


def claim(root: Path, file_name: str, record: dict[str, Any]) -> None:
    """State in a file that everything below an existing folder is made as `record`, plain values, says.

    Any number of processes, also on several machines, may do so at the same time: the first one writes the file. Raises
    ValueError if it is there and says something else.
    """
    path = root / file_name
    stated = {name: SOURCE if value is None else value for name, value in record.items()}
    if path.exists() or not create(path, json.dumps(stated, indent=2, allow_nan=False) + "\n"):
        stored = read_record(path)
        expected = json.loads(json.dumps(record, allow_nan=False))  # tuples become lists, as in the file
        changes = [
            f"{name} {show(x)} there, {show(y)} now"
            for name, x, y in differences(stored, expected, sorted(stored.keys() | expected.keys()))
        ]
        if changes:
            raise ValueError(f"{path}: {'; '.join(changes)}; use another output folder or the same options")


def create(path: Path, text: str) -> bool:
    """Write a file in one step, unless it is there; return whether it was absent."""
    try:
        write_atomically(path, lambda file: file.write(encoded(text)), place=link)
    except FileExistsError:
        return False
    return True


def link(part: Path, path: Path) -> None:
    """Give a file its name, which a rename would take from another one; raises FileExistsError if there is one."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (exFAT, some network shares): of two at the same instant the last counts
        part.replace(path)


def flow_mismatch(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """List the differences of two records that a network sees, as "bound 20.0 here, 15.0 in the checkpoint".

    Only what both the data's record and the checkpoint's state is compared, parameters one by one.
    """
    return [
        f"{name} {show(x)} here, {show(y)} in the checkpoint"
        for name, x, y in differences(a, b, COMPARED)
        if NOT_STATED not in (x, y)
    ]


def differences(a: Mapping[str, Any], b: Mapping[str, Any], keys: Iterable[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, value in a, value in b) where records differ; what is in a dict is named "key name"."""
    for key in keys:
        x, y = a.get(key, NOT_STATED), b.get(key, NOT_STATED)
        if isinstance(x, dict) and isinstance(y, dict):
            yield from ((f"{key} {name}", u, v) for name, u, v in differences(x, y, x | y))
        elif x != y:
            yield key, x, y


def show(value: Any) -> str:
    """Format a value for a message; None stands for the rate or size of the videos themselves."""
    return "not stated" if value is NOT_STATED else SOURCE if value is None else str(value)


def frame_rate(text: str) -> float:
    """Parse frames per second on a command line; "source", which is 0, means those of each video itself."""
    try:
        return 0.0 if text == SOURCE else float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a number of frames per second nor {SOURCE}") from None
