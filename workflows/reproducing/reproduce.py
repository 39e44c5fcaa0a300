"""An experiment from its recipe to its table, from where it was interrupted."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sts_common import commands
from sts_common.files import write_text
from sts_common.json_text import as_json

from .recipe import FILES, STREAMS, Recipe
from .records import is_done, note_done, record_of
from .stages import Stage, as_command, plan, scores_of
from .table import as_markdown, table_of

log = logging.getLogger(__name__)

BAD_INPUT = 2
Runner = Callable[[Stage], int]  # runs a stage; returns its exit code


def reproduce(recipe: Recipe, out: Path, run: Runner) -> dict[str, Any]:
    """Run the stages of a recipe that are not done, and write the table of all splits, as utils1/reproduce.py does.

    A stage is done when its results are there by the same options from the same files; what was interrupted goes on.
    Networks, scores, records, the report and the table are below `out`. Returns the table.

    Raises:
        FileNotFoundError: If data or weights are missing; names all of them.
        ValueError: If a network was trained with other options or files, a record is damaged, or an option is wrong.
        SystemExit: If a stage ends with an exit code other than 0, with that code.
    """
    check_inputs(recipe)
    stages = plan(recipe, out)
    for position, stage in enumerate(stages, 1):
        if is_done(stage, out / "stages"):
            log.info("stage %d of %d, %s: done before", position, len(stages), stage.name)
            continue
        log.info("stage %d of %d, %s: %s", position, len(stages), stage.name, as_command(stage))
        record = record_of(stage)  # now: what is changed while it runs is not what it has read
        run_to_end(stage, run, recipe.path)
        note_done(stage, out / "stages", record)
    table = table_of([scores_of(out, split) for split in recipe.splits], recipe.papers)
    write_text(out / "table.json", as_json(table, indent=1) + "\n")
    write_text(out / "table.md", as_markdown(table))
    return table


def run_to_end(stage: Stage, run: Runner, recipe: Path) -> None:
    """Run a stage of a recipe's file; raises SystemExit with its exit code if it failed, ValueError without results."""
    code = run(stage)
    missing = [str(path) for path in stage.leaves if not path.is_file()]
    if code and not (stage.may_fail and code == BAD_INPUT and not missing):
        where = f" (its options: {recipe}: {', '.join(stage.sections)})" if stage.sections else ""
        log.error("stage %s%s ended with exit code %d; the same command goes on from here", stage.name, where, code)
        raise SystemExit(code)
    if missing:
        raise ValueError(f"stage {stage.name} left no {', '.join(missing)}")


def check_inputs(recipe: Recipe) -> None:
    """Raise FileNotFoundError, naming everything that has to be there before the first stage and is not."""
    frames = Path(str(recipe.options["frame_dir"]))
    needed = {"videos": recipe.videos} if recipe.videos else {"frame_dir": frames}
    needed["annotation_path"] = Path(str(recipe.options["annotation_path"]))
    for stream in STREAMS:
        for option in FILES:
            if value := {**recipe.options, **recipe.streams[stream]}.get(option):
                needed[f"{option} of {stream}"] = Path(str(value))
    if missing := [f"{path} ({name})" for name, path in needed.items() if not path.exists()]:
        raise FileNotFoundError(
            f"{recipe.path}: not there: {', '.join(missing)}; docs/reproduce.md says where it is had"
        )


def build_runner(launch: Sequence[str] = ()) -> Runner:
    """Build a runner of each stage in a process of its own; `launch`, such as torchrun, starts trainings and tests."""

    def run(stage: Stage) -> int:
        start = launch if launch and stage.command in ("train", "distill", "fuse") else [sys.executable]
        return wait_for([*start, "-m", "sts_common.commands", stage.command, *stage.words])

    return run


def wait_for(words: Sequence[str]) -> int:
    """Run a program to its end and pass on SIGINT and SIGTERM; return its exit code, as shells give it."""
    path = os.pathsep.join(filter(None, [str(commands.HERE), os.environ.get("PYTHONPATH")]))  # for `python -m`
    child = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)
    before = {
        number: signal.signal(number, lambda received, _: child.send_signal(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def as_script(recipe: Recipe, out: Path) -> str:
    """Return the commands of all stages, for a shell in the folder of the sources."""
    return "\n".join(f"# {stage.name}\n{as_command(stage)}" for stage in plan(recipe, out))
