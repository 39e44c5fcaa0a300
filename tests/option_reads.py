"""Finds in the source which options are declared, and which are read from a parsed command line."""

import ast
from collections.abc import Iterator

from source_files import walk

MAKERS = {"Namespace", "adopt", "parse", "parse_args", "parse_known_args", "parse_opts"}


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def declared(tree: ast.AST) -> set[str]:
    """Names of the options and arguments that a file adds to a parser."""
    names = set()
    for call in walk(tree):
        if isinstance(call, ast.Call) and (called(call) == "add_argument" or getattr(call.func, "id", "") == "add"):
            words = [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            named = [k.value.value for k in call.keywords if k.arg == "dest" and isinstance(k.value, ast.Constant)]
            long = [word for word in words if word.startswith("--")] or words[:1]
            names |= {(named or long)[0].lstrip("-").replace("-", "_")} if words else set()
    return names


def namespaces(tree: ast.AST) -> set[str]:
    """Names that hold a parsed command line: parameters annotated as `Namespace`, and what a parser returns."""
    names = set()
    for node in walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None and ast.unparse(node.annotation) == "Namespace":
            names.add(node.arg)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and called(node.value) in MAKERS:
            names |= {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def tables(tree: ast.AST) -> dict[str, set[str]]:
    """Values, by name, of the dicts in capitals that translate arguments into options."""
    named = {}
    for node in walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name):
            values = [value.value for value in node.value.values if isinstance(value, ast.Constant)]
            named[node.targets[0].id] = {value for value in values if isinstance(value, str)}
    return named


def translated(tree: ast.AST, held: set[str]) -> Iterator[set[str]]:
    """Options read as in `{argument: getattr(opt, option) for argument, option in TABLE.items()}`."""
    known = tables(tree)
    for node in walk(tree):
        if isinstance(node, ast.DictComp) and isinstance(node.value, ast.Call) and called(node.value) == "getattr":
            (loop, *_), (of, name, *_) = node.generators, node.value.args
            pair = isinstance(loop.target, ast.Tuple) and ast.unparse(loop.target.elts[-1]) == ast.unparse(name)
            table = ast.unparse(loop.iter).removesuffix(".items()")
            if pair and ast.unparse(of) in held and table in known:
                yield known[table]


def read(tree: ast.AST) -> set[str]:
    """Names that a file reads from a parsed command line.

    These are `opt.name`, `getattr(opt, "name")`, `vars(opt)["name"]` and `translated` tables, where `opt` is one of
    `namespaces` or an attribute of one.
    """
    held, names = namespaces(tree), set()

    def holds(node: ast.AST) -> bool:
        return (isinstance(node, ast.Name) and node.id in held) or (
            isinstance(node, ast.Attribute) and holds(node.value)
        )

    for node in walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and holds(node.value):
            names.add(node.attr)
        if isinstance(node, ast.Call) and called(node) == "getattr" and holds(node.args[0]):
            names |= {node.args[1].value} if isinstance(node.args[1], ast.Constant) else set()
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call) and called(node.value) == "vars":
            constant = isinstance(node.slice, ast.Constant) and holds(node.value.args[0])
            names |= {node.slice.value} if constant else set()
    return names.union(*translated(tree, held))
