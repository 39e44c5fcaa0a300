"""Checks of the types of arguments, by the annotations of what takes them."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Function = TypeVar("Function", bound=Callable[..., Any])

NUMBER_TYPES: dict[Any, type] = {int: Integral, float: Real}  # also numbers of NumPy
TYPE_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "True or False",
    NoneType: "None",
    Path: "a path",
    Callable: "a function",
}


def typed(function: Function) -> Function:
    """Return a function that refuses unknown arguments, and those of another type than its annotations.

    It raises ValueError, which names function, argument and value, and what it should be.
    """
    signature, name = inspect.signature(function), function.__qualname__.removesuffix(".__init__")
    further = {key for key, parameter in signature.parameters.items() if parameter.kind == parameter.VAR_KEYWORD}

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            values = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            names = ", ".join(key for key in signature.parameters if key != "self")
            raise ValueError(f"{name}: {error}; it takes {names}") from error
        check_types(name, get_type_hints(function), {key: x for key, x in values.items() if key not in further})
        return function(*args, **kwargs)

    return cast(Function, call)


def check_fields(values: Any) -> None:
    """Refuse a dataclass with values of another type than its fields have; raises as `check_types`."""
    kind = type(values)
    check_types(kind.__name__, get_type_hints(kind), {x.name: getattr(values, x.name) for x in fields(values)})


def check_types(name: str, hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse values of another type than the hints of their names say.

    Raises ValueError, which names what takes them, the argument and the value, and what it should be.
    """
    for key, value in values.items():
        hint = hints.get(key, Any)
        if not fits(value, hint):
            text = " ".join(repr(value).split())
            short = text if len(text) <= 80 else f"{text[:80]}..."
            raise ValueError(f"{name}: {key}={short}: must be {describe_type(hint)}")


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type. What cannot be seen without calling or consuming it is taken to be so."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, choice) for choice in get_args(hint))
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Any or not isinstance(kind, type):
        return True
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name in {**vars(kind), **get_type_hints(kind)} if not name.startswith("_"))
    if kind in NUMBER_TYPES:
        return isinstance(value, NUMBER_TYPES[kind]) and not isinstance(value, bool)
    return holds(value, kind, inner) if inner else isinstance(value, kind)


def holds(value: Any, kind: type, inner: Sequence[Any]) -> bool:
    """Return whether a value is a container of a kind, with items of these types."""
    items: Any = value.tolist() if kind is Sequence and hasattr(value, "tolist") else value  # of arrays and tensors
    if isinstance(items, str) or not isinstance(items, kind):  # a string is no list of its letters
        return False
    items = cast(Any, items)
    if kind in (Sequence, list):
        return all(fits(item, inner[0]) for item in items)
    if kind is Mapping:
        return all(fits(key, inner[0]) and fits(item, inner[1]) for key, item in items.items())
    return True


def describe_type(hint: Any) -> str:
    """Describe a type in words, like "a list of a string or None"."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(describe_type, get_args(hint))))
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Sequence, Iterable, list) and inner:
        return f"a list, each item {describe_type(inner[0])}"
    if kind is Mapping and inner:
        return "a mapping by name" + ("" if inner[1] is Any else f", each value {describe_type(inner[1])}")
    return TYPE_NAMES.get(kind, getattr(kind, "__name__", str(kind)))
