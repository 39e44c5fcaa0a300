"""Outputs of the test scripts: whether they can be written, asked before any work, and what they are called."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine import is_main
from engine.command.naming import MAX_LENGTH, checked_name
from sts_common.files import check_writable

DIGEST = 8  # characters that tell shortened names apart


def check_outputs(folder: Path | None, scores_path: str) -> None:
    """Refuse, before hours of scoring, results of a test that could not be written; raises as `check_output`.

    The folder is that of the result file, None if there is to be none; so is "" for `--scores_path`.
    """
    if not is_main():  # the others write nothing
        return
    if folder:
        check_writable("--result_path", folder)
    if scores_path:
        check_output("--scores_path", Path(scores_path))


def check_output(option: str, path: Path) -> None:
    """Refuse a file that could not be written; makes nothing.

    Raises:
        OSError: If the file is a folder, or its folder can be neither written to nor made; names the option.
    """
    check_writable(option, path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder, where a file is to go; use another {option}")


def run_name_of(states: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what results of checkpoints are called: the `--run_name` of their trainings, joined by "+".

    Those that have none are not named; None if none has. Raises ValueError if one is no name of a run.
    """
    stated = [state.get("options", {}).get("run_name") for state in states]
    names = [checked_name(name) for name in stated if name is not None]
    joined = "+".join(names).encode()
    if len(joined) > MAX_LENGTH:
        head = joined[: MAX_LENGTH - DIGEST - 1].decode(errors="ignore")
        return f"{head}+{sha256(joined).hexdigest()[:DIGEST]}"
    return joined.decode() or None
