"""The project's own source files, each read and parsed once."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "datasets", "engine", "flow", "models", "opts", "sts_common", "utils1", "workflows")


@cache
def sources() -> tuple[Path, ...]:
    """Python files of the packages, and the scripts of the root."""
    return (*(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")), *ROOT.glob("*.py"))


@cache
def text(file: Path) -> str:
    return file.read_text("utf-8")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(text(file))


@cache
def walk(node: ast.AST) -> tuple[ast.AST, ...]:
    """`ast.walk`, once for each node that is asked for."""
    return tuple(ast.walk(node))


def nodes(file: Path) -> tuple[ast.AST, ...]:
    return walk(tree(file))
