"""Recorded test result of a checkpoint, so that whoever has the file can verify it."""

from pathlib import Path
from typing import Any

from engine import checkpoint
from engine.checkpoint import tensor_file
from opts import TESTED

from .measure import Measurement
from .subject import System


def record(system: System, measured: Measurement) -> dict[str, Any]:
    """Write a test's measured result into its checkpoint as "tested", whole or not at all.

    A file of bare weights becomes one with a "state_dict".

    Returns:
        The entry: metrics, "clips" scored, "data", see `describe_videos`, and "options", what was scored and how.

    Raises:
        ValueError: If the file holds what a checkpoint may not.
    """
    options = {name: getattr(system.test_opt, name) for name in TESTED}
    entry = {**measured.metrics, "clips": measured.clips, "data": measured.data, "options": options}
    state = dict(system.state) if "state_dict" in system.state else {"state_dict": dict(system.state)}
    path = Path(system.file)
    if path.suffix == tensor_file.SUFFIX:
        tensor_file.write(path, state | {"tested": entry}, system.file)
        return entry
    try:
        checkpoint.save(path, state | {"tested": entry})
    except TypeError as error:
        raise ValueError(f"{path}: cannot be rewritten ({error}): export it first, see docs/verify.md") from None
    return entry
