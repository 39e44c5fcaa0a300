"""Finds in the source what a command can reach: definitions at the top of files, by the names that they use."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from source_files import imported_names, tree, walk


class Definition(NamedTuple):
    """A function, class or value at the top of a file."""

    file: Path
    name: str


def defined(statement: ast.stmt) -> list[str]:
    """Names that a statement at the top of a file defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


@cache
def definitions(file: Path) -> dict[str, list[ast.stmt]]:
    """The statements at the top of a file by the names that they define."""
    statements = dict[str, list[ast.stmt]]()
    for statement in tree(file).body:
        for name in defined(statement):
            statements.setdefault(name, []).append(statement)
    return statements


@cache
def resolved(place: Definition) -> Definition | None:
    """Where a name that may be imported from file to file is defined; None for a file."""
    while place.name not in definitions(place.file):
        if not place.name or place.name not in imported_names(place.file):
            return None
        place = Definition(*imported_names(place.file)[place.name])
    return place


@cache
def uses(definition: Definition) -> frozenset[Definition]:
    """Definitions that one names."""
    return frozenset(place for place in map(resolved, named(definition)) if place)


def named(definition: Definition) -> Iterator[Definition]:
    """Meanings of the names in a definition."""
    for statement in definitions(definition.file)[definition.name]:
        for node in walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                file, name = imported_names(definition.file).get(node.value.id, (None, ""))
                if file and not name:
                    yield Definition(file, node.attr)
            if isinstance(node, ast.Name):
                yield Definition(definition.file, node.id)


def reachable(*roots: Definition) -> set[Definition]:
    """All definitions that these name, directly or through others."""
    found, left = set[Definition](), {place for root in roots if (place := resolved(root))}
    while left:
        found |= left
        left = {place for definition in left for place in uses(definition)} - found
    return found
