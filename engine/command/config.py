"""Options from a YAML file below those of the command line, and the names of the options that were set at all.

`parser.set_defaults` would take a misspelt name and any type, and jsonargparse would not tell `given`, which networks
and resumed runs are held against; so the words of the file go through the parser of the command line.
"""

import argparse
import math
from argparse import Action, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sts_common.files import write_text

from .cli import ArgumentParser, ElsewhereOption, did_you_mean

BOOLEANS = {"true": True, "false": False}
NOT_OPTIONS = ("given", "config")  # in the namespace of a run, but none of its settings
MAX_FILE_BYTES = 1 << 20  # bytes of a file of options; more is something else


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Parse `words`; the options of a `--config` file hold where the words do not set them.

    Returns the options, and `given`, the names of those that were set in either place, also to their default. Raises
    FileNotFoundError if there is no such file; ValueError if the file is no mapping of options, names one that does not
    exist, or gives it a wrong value.
    """
    opt = parser.parse_args(words)
    given = given_options(parser, words)
    from_file = read_options(parser, Path(opt.config)) if opt.config else {}
    opt = parser.parse_args(words, Namespace(**{name: value for name, value in from_file.items() if name not in given}))
    opt.given = sorted({*given, *from_file})
    return opt


def given_options(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the names of the options that `words` set, also where they set the default value."""
    unset: list[str] = []  # a list, which repeatable options copy
    marks = {action.dest: unset for action in parser.settable().values() if action.default is not None}
    marked = vars(parser.parse_args(words, Namespace(**marks)))
    parsed = {action.dest for action in parser._actions}  # not the defaults of what other scripts read
    return sorted(name for name, value in marked.items() if name in parsed and value is not unset and value is not None)


def read_options(parser: ArgumentParser, path: Path) -> dict[str, Any]:
    """Read the options that a YAML file sets.

    A value is read as the word that it would be on the command line, so `off` and `1e-5` need no quotes; flags take
    true and false. An empty value and null leave an option that has no default as it is. Options of other scripts are
    passed over: a file may serve a training and its test. Raises FileNotFoundError if there is no such file;
    ValueError, which names file, line and option.
    """
    options: dict[str, Any] = {}
    for key, node in entries(path):
        place, name = f"{path}:{key.start_mark.line + 1}", str(key.value)
        action = parser._option_string_actions.get(f"--{name}")
        if action is None or isinstance(action, argparse._HelpAction) or name in NOT_OPTIONS:
            suggestion = did_you_mean(name, [option.removeprefix("--") for option in parser.settable()])
            raise ValueError(f"{place}: unknown option {name!r}{suggestion}")
        if isinstance(action, ElsewhereOption):
            continue
        if action.dest in options:
            raise ValueError(f"{place}: {name} is set twice")
        try:
            value = value_of(parser, action, name, node)
        except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
            raise ValueError(f"{place}: {name}: {error}") from None
        if value is not None:
            options[action.dest] = value
    return options


def entries(path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of the mapping in a YAML file, unread."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of options")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path}: too large for a file of options")
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply for a file of options") from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ValueError(f"{path}: expected lines 'option: value'")
    return root.value


def value_of(parser: ArgumentParser, action: Action, name: str, node: yaml.Node) -> Any:
    """Return the value that a node gives an option, None for none.

    Raises ValueError if it is none that the option can have.
    """
    if action.default == argparse.SUPPRESS:  # refused: the action says why
        action(parser, Namespace(), None, f"--{name}")
    if action.default is None and is_null(node):
        return None
    if action.nargs == 0:
        return flag_value(parser, action, name, node)
    several = action.nargs not in (None, "?") or isinstance(action, argparse._AppendAction)
    nodes = node.value if several and isinstance(node, yaml.SequenceNode) else [node]
    values = [item_value(action, item) for item in nodes]
    if isinstance(action.nargs, int) and len(values) != action.nargs:
        raise ValueError(f"expected {action.nargs} values, got {len(values)}")
    if action.nargs == "+" and not values:
        raise ValueError("expected at least one value")
    return values if several else values[0]


def is_null(node: yaml.Node) -> bool:
    """Return whether a node is empty or null, and not the quoted text of it."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null")


def flag_value(parser: ArgumentParser, action: Action, name: str, node: yaml.Node) -> Any:
    """Return what a flag sets if it is true, its default if it is false."""
    on = BOOLEANS.get(node.value.lower()) if isinstance(node, yaml.ScalarNode) else None
    if on is None:
        raise ValueError(f"expected true or false, got {describe_node(node)}")
    if isinstance(action, argparse.BooleanOptionalAction):
        return on != name.startswith("no-")
    if not on:
        return action.default if isinstance(action.default, bool) else None
    result = Namespace()
    action(parser, result, [], f"--{name}")
    return getattr(result, action.dest)


def item_value(action: Action, node: yaml.Node) -> Any:
    """Parse one value, as the command line would read it."""
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"expected one value, got {describe_node(node)}")
    if node.value == str(action.default):
        return action.default  # a whole number may be the default of an option that reads others as fractions
    kind = action.type if callable(action.type) else str
    try:
        value = kind(node.value)
    except ValueError:
        expected = "a whole number" if kind is int else "a number" if kind is float else "another value"
        raise ValueError(f"expected {expected}, got {describe_node(node)}") from None
    if action.choices is not None and value not in action.choices:
        suggestion = did_you_mean(str(value), map(str, action.choices))
        raise ValueError(f"{describe_node(node)} is none of {', '.join(map(str, action.choices))}{suggestion}")
    return value


def describe_node(node: yaml.Node) -> str:
    """Format a node for a message."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if len(node.value) < 80 else "a long text"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def write_options(path: Path, options: Mapping[str, Any]) -> None:
    """Write `vars(opt)` of a run as YAML that `--config` reads, whole or not at all; what was not set is left out."""
    settings = {name: plain(value) for name, value in options.items() if name not in NOT_OPTIONS and value is not None}
    text = yaml.safe_dump(settings, allow_unicode=True, width=1000)
    write_text(path, text)


def plain(value: Any) -> Any:
    """Return a value as YAML that reads back as a word of the command line."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
