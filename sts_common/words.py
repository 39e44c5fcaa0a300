"""Numbers and choices in messages."""

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Format a number of things of a noun in the singular, like "1 video", "1,200 training videos" or "2 classes"."""
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def size_in_words(size: float) -> str:
    """Format a number of bytes, like "12.3 GB"."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices of an option.

    Raises ValueError, which names the option, the value and the choices.
    """
    if value not in (allowed := tuple(choices)):
        raise ValueError(f"{option} {value}: is none of {', '.join(allowed)}")
