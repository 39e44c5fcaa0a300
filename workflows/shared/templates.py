"""Reports as text: templates of Jinja beside the code that fills them, and numbers in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sts_common import counted

WHITESPACE: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True}  # tags leave no lines of their own


def html_environment(folder: Path, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Return the environment of pages in a folder: all values are escaped, whatever they contain, after `finalize`."""
    loader = FileSystemLoader(folder)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=finalize, **WHITESPACE)
    pages.filters["percent"] = percent
    return pages


def load_template(path: Path, **filters: Callable[..., Any]) -> Template:
    """Load a template of plain text, with filters of its own."""
    texts = Environment(loader=FileSystemLoader(path.parent), undefined=StrictUndefined, **WHITESPACE)
    texts.filters |= {"percent": percent, "cell": cell, "form": format, "thousands": "{:,}".format, "counted": counted}
    texts.filters |= filters
    return texts.get_template(path.name)


def percent(value: float, digits: int = 1) -> str:
    """Format a fraction as a percentage without its sign."""
    return f"{100 * value:.{digits}f}"


def cell(text: object) -> str:
    """Format text for a cell of a Markdown table: on one line, with its bars escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")
