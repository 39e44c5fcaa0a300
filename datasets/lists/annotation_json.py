"""Annotations in JSON: every error names the file, and the line where possible."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from .text_files import read_text


def read_json(path: Path) -> Any:
    """Read the value of a JSON file.

    Raises FileNotFoundError if there is no such file; ValueError if it is not JSON, has numbers that are none, or an
    object has a key twice.
    """
    return parse_json(path, read_text(path))


def parse_json(path: Path, text: str) -> Any:
    """Parse the text of a JSON file; raises as `read_json`."""
    try:
        value = json.loads(text, object_pairs_hook=without_repeats, parse_constant=refuse)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")  # bytes of a file name are allowed
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except UnicodeEncodeError:
        raise ValueError(f"{path}: holds half of a surrogate pair") from None
    except RecursionError:
        raise ValueError(f"{path}: too deeply nested") from None
    except ValueError as error:  # from the two functions below, or a number of thousands of digits
        raise ValueError(f"{path}: {error}") from None
    return value


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, whose keys must differ."""
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        repeat = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {repeat!r} comes twice in one object")
    return members


def refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinity, which are not JSON."""
    raise ValueError(f"{constant} is not a number")


def read_items(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON list with the places where they start, "FILE:LINE"; raises as `read_json`."""
    text = read_text(path)
    if not isinstance(parse_json(path, text), list):
        raise ValueError(f"{path}:1: expected a list of videos")
    decoder = json.JSONDecoder()
    position, line = text.index("[") + 1, text.count("\n", 0, text.index("[")) + 1
    while True:
        start = position
        while text[start] in " \t\r\n,":
            start += 1
        line += text.count("\n", position, start)
        if text[start] == "]":
            return
        item, position = decoder.raw_decode(text, start)
        if not isinstance(item, dict):
            raise ValueError(f"{path}:{line}: expected an object, got {text[start:position][:40]!r}")
        yield f"{path}:{line}", item
        line += text.count("\n", start, position)


def read_members(path: Path, key: str | None = None) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
    """Read a JSON object and its members, or those of the object under its `key`: place, name and value.

    Raises as `read_json`, and ValueError if it has no such object.
    """
    text = read_text(path)
    value = parse_json(path, text)
    inner = value.get(key) if key and isinstance(value, dict) else value
    if not isinstance(inner, dict):
        raise ValueError(f"{path}:1: expected an object" + (f" with an object {key!r}" if key else ""))
    members, line, position = [], 1, 0
    escaped = text.isascii()
    for name, item in inner.items():
        offset = text.find(json.dumps(name, ensure_ascii=escaped), position)
        if offset < 0:  # escaped in another way, as "\\/": this and what follows gets the last line known
            offset = position = len(text)
        line, position = line + text.count("\n", position, offset), offset
        members.append((f"{path}:{line}", name, item))
    return value, members


def text_of(item: Any, key: str) -> str:
    """Return the text, or a whole number as text (2 for 2.0), that an object must have under `key`, or ValueError."""
    value = item.get(key) if isinstance(item, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"lacks the text {key!r}")
    return str(value)
