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


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of the project."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def imports(file: Path) -> tuple[tuple[str, Path, str], ...]:
    """What a file imports from the project: its name there, a file, and a name in that; "" for the file itself."""
    names = []
    for node in nodes(file):
        module = ""
        if isinstance(node, ast.ImportFrom):
            above = file.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else []:
            if part := file_of(f"{module}.{alias.name}".lstrip(".")):
                names.append((alias.asname or alias.name, part, ""))
            elif module and (outer := file_of(module)):
                names.append((alias.asname or alias.name, outer, alias.name))
    return tuple(names)


@cache
def imported_names(file: Path) -> dict[str, tuple[Path, str]]:
    return {local: (path, name) for local, path, name in imports(file)}


def imported_files(file: Path) -> set[Path]:
    return {path for _, path, _ in imports(file)}
