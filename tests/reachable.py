"""Finds in the source what a command can reach: definitions at the top of files, by the names that they use."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import source_files
from source_files import ROOT, walk


class Definition(NamedTuple):
    """A function, class or value at the top of a file."""

    file: Path
    name: str


class Module(NamedTuple):
    """Definitions of a file, and what its names stand for.

    Attributes:
        definitions: By name, the statements that define it.
        names: Files or definitions, by the name under which the file imports them.
    """

    definitions: dict[str, list[ast.stmt]]
    names: dict[str, Path | Definition]


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of the project."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported(file: Path, tree: ast.AST) -> Iterator[tuple[str, Path | Definition]]:
    """Names that a file imports from the project, wherever it does, and what they stand for."""
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = file.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            places = [(alias, part_of(module, alias.name)) for alias in node.names]
        elif isinstance(node, ast.Import):
            places = [(alias, file_of(alias.name)) for alias in node.names]
        else:
            continue
        yield from ((alias.asname or alias.name, place) for alias, place in places if place)


def part_of(module: str, name: str) -> Path | Definition | None:
    """A file below a package of the project, or a definition in a file of it."""
    outer = file_of(module)
    return file_of(f"{module}.{name}") or (Definition(outer, name) if outer else None)


def defined(statement: ast.stmt) -> list[str]:
    """Names that a statement at the top of a file defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


@cache
def module(file: Path) -> Module:
    """Read a file."""
    tree = source_files.tree(file)
    definitions = dict[str, list[ast.stmt]]()
    for statement in tree.body:
        for name in defined(statement):
            definitions.setdefault(name, []).append(statement)
    return Module(definitions, dict(imported(file, tree)))


@cache
def resolved(place: Path | Definition | None) -> Definition | None:
    """Where a name that may be imported from file to file is defined."""
    while isinstance(place, Definition) and place.name not in module(place.file).definitions:
        place = module(place.file).names.get(place.name)
    return place if isinstance(place, Definition) else None


@cache
def uses(definition: Definition) -> frozenset[Definition]:
    """Definitions that one names."""
    return frozenset(place for place in map(resolved, named(definition)) if place)


def named(definition: Definition) -> Iterator[Path | Definition | None]:
    """Meanings of the names in a definition."""
    here = module(definition.file)
    for statement in here.definitions[definition.name]:
        for node in walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                base = here.names.get(node.value.id)
                yield Definition(base, node.attr) if isinstance(base, Path) else None
            if isinstance(node, ast.Name):
                local = node.id in here.definitions
                yield Definition(definition.file, node.id) if local else here.names.get(node.id)


def reachable(*roots: Definition) -> set[Definition]:
    """All definitions that these name, directly or through others."""
    found, left = set[Definition](), {place for root in roots if (place := resolved(root))}
    while left:
        found |= left
        left = {place for definition in left for place in uses(definition)} - found
    return found
