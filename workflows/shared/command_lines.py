"""Command lines as text: a recommended command must run as it is printed."""

import argparse
import os
import shlex
from argparse import Action
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from opts.table import build_parser
from sts_common.commands import typed_as
from sts_common.files import encoded

ROOT = Path(__file__).resolve().parents[2]


def command(script: str, words: Iterable[object]) -> str:
    """Return the line that runs a script of the project from the current folder, in the form of the running command."""
    name = typed_as(script) or f"python {quoted(os.path.relpath(ROOT / script))}"
    return " ".join([name, *map(quoted, words)])


def quoted(word: object) -> str:
    """Quote a word for a shell; one with bytes that are no UTF-8 in the form of bash, for it must be shown."""
    text = str(word)
    if encoded(text).decode() == text:
        return shlex.quote(text)
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(plain)}'"


def words_of(
    values: Mapping[str, Any], script: str | None = None, defaults: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """Return the command-line words that set options to values, by name, without those at their default or None.

    Only the options that a script takes, None for those of all scripts. `defaults` are in place of the options' own,
    as a `--config` file sets them.
    """
    words: list[str] = []
    for action in actions(script):
        value = values.get(action.dest)
        if value is not None and value != defaults.get(action.dest, action.default):
            words += words_for(action, value)
    return words


@cache
def actions(script: str | None) -> tuple[Action, ...]:
    """Return the options of the training and test scripts that take a value or are flags, once each."""
    settable = build_parser(script).settable().values()
    return tuple({a.dest: a for a in settable if type(a) is not argparse._StoreConstAction}.values())  # no second names


def words_for(action: Action, value: Any) -> list[str]:
    """Return the words that set an option to a value."""
    option = action.option_strings[0]
    if action.nargs == 0:
        return [option]
    if isinstance(action, argparse._AppendAction):
        return [word for item in value for word in (option, str(item))]
    if isinstance(value, list | tuple):
        return [option, *map(str, value)]
    return [f"{option}={value}"] if str(value).startswith("-") else [option, str(value)]
