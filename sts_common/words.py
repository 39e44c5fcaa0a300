"""Numbers and choices in messages."""

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Format a number of things of a noun in the singular, like "1 video", "1,200 training videos" or "2 classes"."""
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def with_prefix(value: float) -> str:
    """Format a number with a metric prefix, like "47.6 M", "50.8 G" or "512"."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f}"


def size_in_words(size: float) -> str:
    """Format a number of bytes, like "12.3 GB"."""
    return f"{with_prefix(size)}B" if size >= 1000 else f"{size:.0f} bytes"


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices of an option.

    Raises ValueError, which names the option, the value and the choices.
    """
    if value not in (allowed := tuple(choices)):
        raise ValueError(f"{option} {value}: is none of {', '.join(allowed)}")
