"""Options from a YAML file below those of the command line, and which of them were set at all."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from .cli import ArgumentParser


def parse(parser: ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse `words`; a `--config` file is read as if its options stood before them.

    Returns:
        The options, and `given`, the names of those that were set in either place, also to their default.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no mapping of options, or names one that does not exist.
    """
    if config := parser.parse_known_args(words)[0].config:
        words = [*config_words(parser, Path(config)), *words]
    opt = parser.parse_args(words)
    opt.given = given_options(parser, words)
    return opt


def given_options(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Names of the options that `words` set, also where they set the default value."""
    unset = object()
    defaults = vars(parser.parse_args([]))
    parser.set_defaults(**{name: unset for name, value in defaults.items() if value is not None})
    marked = vars(parser.parse_args(words))
    parser.set_defaults(**defaults)
    return sorted(name for name, value in marked.items() if value is not unset and value is not None)


def config_words(parser: ArgumentParser, path: Path) -> list[str]:
    """The options of a YAML file as command-line words."""
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected lines 'option: value'")
    known = {word.lstrip("-"): action for word, action in parser._option_string_actions.items()}
    words: list[str] = []
    for name, value in config.items():
        if name not in known:
            raise ValueError(f"{path}: unknown option {name!r}")
        words += option_words(f"--{name}", value, known[name])
    return words


def option_words(option: str, value: Any, action: argparse.Action) -> list[str]:
    """One option of a config file as command-line words."""
    if action.nargs == 0:  # a flag
        return [option] if value else []
    values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    if action.nargs is None and len(values) > 1:  # repeatable
        return [word for item in values for word in (option, item)]
    return [option, *values]
