"""Code blocks and commands of README.md and the pages of docs."""

import re

from source_files import ROOT, text

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def code(page: str, kind: str = "python") -> list[str]:
    """Blocks of a kind, the word after the fence, of a page by its path."""
    return [block for of_kind, block in FENCE.findall(text(ROOT / page)) if of_kind == kind]


def commands(page: str, kind: str = "") -> list[str]:
    """Commands of such blocks, each on one line, without comments."""
    lines = re.sub(r"\\\n\s*", "", "".join(code(page, kind))).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def paths(word: str) -> set[str]:
    """Paths of a word with braces, one by one."""
    before, inner, after = re.fullmatch(r"([^{]*)(?:\{([^}]*)\})?(.*)", word).groups()
    return {f"{before}{part}{after}" for part in (inner or "").split(",")}
