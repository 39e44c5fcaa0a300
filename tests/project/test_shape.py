"""The shape of the tree: arrows between folders run one way, commands are thin, folders are small."""

import ast
from collections import defaultdict
from fnmatch import fnmatch
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from source_files import ROOT, imported_files, sources, text, tree

from sts_common.commands import COMMANDS

ISLANDS = ("models", "datasets", "flow", "engine")
SCRIPTS = [command.script for command in COMMANDS.values()]
# Where adapters from the options to values may be, beside commands; all else takes values.
ADAPTERS = (
    *("opts/*", "datasets/builders.py", "engine/command/*", "engine/training/creation.py"),
    *("models/backbones/__init__.py", "models/backbones/arguments.py", "models/distill/__init__.py"),
    *("models/starting.py", "workflows/testing/evaluation.py", "workflows/testing/inputs.py"),
    *("workflows/training/chosen_teachers.py", "workflows/training/session.py", "workflows/verifying/subject.py"),
    "workflows/retrieving/features.py",
)
COMMAND_FILES = ("*.py", "utils1/*.py", "engine/checkpoint/__main__.py")
MOST_ADAPTERS = 34
STORY = "demo.py"  # a script that tells a story, and no thin door
LEVELS = {"sts_common": 0, **dict.fromkeys(ISLANDS, 1), "opts": 2, "workflows": 3, "utils1": 4, "benchmarks": 4}
MOST_FILES, MOST_LINES = 16, 260
CROWDED = {"utils1", "benchmarks", "sts_common", "models/backbones"}  # a file a command, a thing, a family of networks


@cache
def imports() -> dict[Path, set[Path]]:
    return {path: imported_files(path) for path in sources()}


def room(path: Path) -> str:
    """The folder of a file; a file in the root of an island is a room of its own, a workflow with all below it."""
    parts = path.relative_to(ROOT).parts
    if len(parts) == 2 and parts[0] in ISLANDS:
        return "/".join(parts)
    return "/".join(parts[:2] if parts[0] == "workflows" else parts[:-1]) or parts[0]


def test_arrows_between_folders_run_one_way():
    arrows = defaultdict(set)
    for path, files in imports().items():
        arrows[room(path)] |= {room(file) for file in files} - {room(path)}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f"folders import each other: {' <- '.join(error.args[1])}")


def test_no_folder_imports_one_above_it():
    def level(path: Path) -> int:
        return LEVELS.get(path.relative_to(ROOT).parts[0], 4)  # a script of the root

    arrows = ((path, file) for path, files in imports().items() for file in files)
    upwards = [(str(path), str(file)) for path, file in arrows if level(file) > level(path)]
    assert upwards == []


def test_commands_are_not_imported():
    commands = {ROOT / script for script in SCRIPTS}
    users = {path: files & commands for path, files in imports().items() if files & commands}
    assert {str(path) for path in users if not path.is_relative_to(ROOT / "benchmarks")} == set()  # which time commands


def test_benchmarks_are_imported_by_benchmarks_alone():
    for path, files in imports().items():
        if path.relative_to(ROOT).parts[0] != "benchmarks":
            assert not [file for file in files if file.is_relative_to(ROOT / "benchmarks")], path


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != STORY])
def test_commands_are_thin(script):
    assert len(text(ROOT / script).splitlines()) < 80


def takers_of_options(outer: ast.AST) -> list[str]:
    """The functions that take the options of a command line, whatever the argument is called."""
    found = []
    for node in ast.walk(outer):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
        annotations = [ast.unparse(argument.annotation) for argument in arguments if argument.annotation]
        if any(argument.arg == "opt" for argument in arguments) or any("Namespace" in text for text in annotations):
            found.append(node.name)
    return found


@cache
def of_options() -> dict[str, list[str]]:
    """Functions that take options, by the file they are in."""
    found = {path.relative_to(ROOT): takers_of_options(tree(path)) for path in sources()}
    return {path.as_posix(): names for path, names in found.items() if names and path.parts[0] != "benchmarks"}


def is_one_of(path: str, patterns: tuple[str, ...]) -> bool:
    return any(path.count("/") == pattern.count("/") and fnmatch(path, pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("arguments", "takes"),
    [
        ("opt", True),
        ("seed, *, opt", True),
        ("settings: Namespace", True),
        ("first: argparse.Namespace | None = None, /", True),
        ("*runs: Namespace", True),
        ("main: Callable[[Namespace], None]", True),
        ("options: Mapping[str, Any], given: Collection[str] = ()", False),
        ("", False),
    ],
)
def test_a_function_that_takes_options_is_seen(arguments, takes):
    inner = f"class A:\n    def a(self):\n        def b({arguments}): ...\n"
    assert takers_of_options(ast.parse(inner)) == (["b"] if takes else [])


def test_options_end_at_commands_and_adapters():
    elsewhere = {
        path: names for path, names in of_options().items() if not is_one_of(path, (*ADAPTERS, *COMMAND_FILES))
    }
    assert elsewhere == {}


def test_few_functions_take_options():
    found = of_options()
    assert len(found) > len(SCRIPTS)  # they are seen at all
    count = sum(len(names) for path, names in found.items() if not is_one_of(path, COMMAND_FILES))
    assert count <= MOST_ADAPTERS, f"{count} functions beside commands take options: let those of values take values"


def test_every_place_of_adapters_has_one():
    found = of_options()
    assert [pattern for pattern in ADAPTERS if not any(is_one_of(path, (pattern,)) for path in found)] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_of_a_command_main_alone_takes_options(script):
    assert [name for name in of_options().get(script, []) if name != "main"] == []


def test_folders_hold_about_a_dozen_files():
    counts = defaultdict(int)
    for path in sources():
        counts[path.parent] += 1
    crowded = {folder.relative_to(ROOT).as_posix() for folder, count in counts.items() if count > MOST_FILES}
    assert crowded - {".", *CROWDED} == set()


def test_files_are_short():
    assert [str(path) for path in sources() if len(text(path).splitlines()) > MOST_LINES] == []


def test_every_folder_says_what_it_holds():
    packages = [path for path in sources() if path.name == "__init__.py"]
    assert [str(path) for path in packages if not ast.get_docstring(tree(path))] == []
    folders = {path.parent for path in sources() if path.parent != ROOT}
    assert folders == {path.parent for path in packages}
