"""Options that a message recommends are there in every command that can print it, or in the one that it names."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from reachable import Definition, definitions, reachable
from source_files import ROOT, walk

from engine.command.cli import ArgumentParser
from opts import parse_opts
from sts_common.commands import COMMANDS

OPTION = re.compile(r"(?<![\w-])--([A-Za-z]\w*)(?!\w*\{)")
SCRIPT = re.compile(r"[\w.]+\.py\b|engine\.checkpoint")
SCRIPTS = {Path(command.script).name: command.script for command in COMMANDS.values()}
SCRIPTS["engine.checkpoint"] = "utils1/checkpoint.py"
OTHERS = {"help", "nproc_per_node", "upgrade"}  # of every command, of torchrun and of pip
# Files whose messages reach a command by name that never prints them, and why not.
ELSEWHERE = {
    "engine/command/cli.py": "translations of torch's own messages, which come from where the options are",
    "models/dialects.py": "weights without a recipe, which the commands without these options refuse",
    "models/starting.py": "weights without options of their own, which the commands without these options refuse",
    "models/weights.py": "weights without options of their own, which the commands without these options refuse",
    "datasets/corpora/": "make_lists.py replaces the cure, the report shows no error of a list",
    "datasets/lists/": "make_lists.py replaces the cure, init_dataset.py reads a file that is there",
    "datasets/records/manifest.py": "the report reads the videos of a test, which was refused before",
    "datasets/stores/detect.py": "which videos are listed is known to commands without --layout",
    "datasets/stores/video_files.py": "commands without --modality ask no video file for flow",
    "datasets/opening.py": "export.py has refused a folder of --calibrate that is not there",
    "datasets/records/lookup.py": "likewise; and it reads the streams of its networks, beside its --only_RGB",
    "datasets/records/clip_recipe.py": "export.py calibrates on flow as in training alone, which is the other cure",
    "datasets/stores/cache.py": "export.py keeps no decoded frames",
    "workflows/shared/score_facts.py": "export.py measures on what --test_subset val of a test scores",
    "workflows/predicting/exported.py": "checkpoint.py goes by the name of the file, which its program then reads",
    "datasets/loading/failures.py": "videos that are left out, which training alone does",
    "sts_common/cluster.py": "options of Dask's own commands",
    "opts/": "checks of options that were given, and refusals with the reason",
    "workflows/testing/fusing.py": "checkpoints named twice, where verify.py has one",
    "workflows/listing/list_writers.py": "of a form that init_dataset.py does not write",
}


class ParserMadeError(Exception):
    """Ends a script when its parser is there."""


@cache
def options_of(script: str) -> frozenset[str]:
    """Names of the options of a command, those that it refuses with a reason included."""
    made: list[ArgumentParser] = []

    def stop(parser: ArgumentParser, *_: object) -> None:
        made.append(parser)
        raise ParserMadeError

    file = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArgumentParser, "parse_args", stop)
        patch.setattr(sys, "argv", [script])
        with pytest.raises(ParserMadeError):
            vars(file).get("parse_args", parse_opts)()
    return frozenset(option.lstrip("-") for option in made[0].settable())


@cache
def reached(script: str) -> frozenset[Definition]:
    return frozenset(reachable(*(Definition(ROOT / script, name) for name in ("main", "script", "parse_args"))))


@cache
def texts(definition: Definition) -> tuple[str, ...]:
    return tuple(messages(definition))


def messages(definition: Definition) -> Iterator[str]:
    """Find messages in a definition: strings of several words that are neither docstrings nor help, {} for values."""
    for statement in definitions(definition.file)[definition.name]:
        silent = set[int]().union(*map(silenced, walk(statement)))
        for node in walk(statement):
            text = "" if id(node) in silent else text_of(node)
            if " " in text:
                yield text


def silenced(node: ast.AST) -> set[int]:
    """Parts of a node that are no messages by themselves."""
    if isinstance(node, ast.JoinedStr):
        return {id(part) for part in node.values}
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr):
        return {id(node.body[0].value)}
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("add", "add_argument")):
        return {id(part) for part in ast.walk(node)}
    return set()


def text_of(node: ast.AST) -> str:
    """The text of a string; of one that is made of parts, with {} for values."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def absent(text: str, script: str) -> set[str]:
    """Options of a message that a command which prints it lacks, and the commands that it names too.

    A message that begins with an option is about its value: commands without it never print the message.
    """
    text = text.removeprefix("{}: ")
    names = OPTION.findall(text)
    if not names:
        return set()
    named = [SCRIPTS[word] for word in SCRIPT.findall(text) if word in SCRIPTS]
    there = OTHERS.union(*map(options_of, [script, *named]))
    about = names[0] if text.startswith("--") and names else None
    return set() if about and about not in options_of(script) and not named else set(names) - there


@cache
def wrong() -> dict[str, set[str]]:
    """Messages with options that a command which prints them lacks, by file."""
    found = dict[str, set[str]]()
    for script in SCRIPTS.values():
        for definition in reached(script):
            place = definition.file.relative_to(ROOT).as_posix()
            lines = {f"{script} has no {option}: {t}" for t in texts(definition) for option in absent(t, script)}
            if lines:
                found.setdefault(place, set()).update(lines)
    return found


def test_recommended_options_exist_where_a_message_is_printed():
    assert {place: lines for place, lines in wrong().items() if not place.startswith(tuple(ELSEWHERE))} == {}


def test_exemptions_are_needed():
    assert [place for place in ELSEWHERE if not any(file.startswith(place) for file in wrong())] == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("no such folder: use --frame_dir", {"frame_dir"}),
        ("{}: use --verify, or --frame_dir", {"frame_dir"}),
        ("extract it with extract_frames.py --fps source", set()),
        ("use train.py --fps source", {"fps"}),
        ("--frame_dir {}: is no folder", set()),
        ("{}: use fewer --workers", set()),
        ("--resume_path{} is missing", set()),
    ],
)
def test_options_that_a_command_lacks_are_found(text, missing):
    assert absent(text, "utils1/pack.py") == missing


def test_only_what_a_command_reaches_counts():
    reading = Definition(ROOT / "flow" / "learned.py", "read_weights")
    assert reading in reached("utils1/show_flow.py")
    assert reading not in reached("utils1/report.py")
    assert any("--flow_weights PATH" in text for text in texts(reading))
