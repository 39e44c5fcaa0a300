"""Words of the options that weigh losses: schedules over the epochs, and shares that they are balanced by."""

import re
from collections.abc import Collection, Sequence
from math import inf

from .names import by_label, loss_label
from .schedule import NUMBER, Schedule, parse_schedule


def schedule_of(words: Sequence[str], teacher: str, loss: str) -> str:
    """Return the text of a loss's schedule in words of `--loss_schedule` that `parse_schedules` takes; "" for none."""
    given = {name: text for name, _, text in (word.partition("=") for word in words)}
    return given.get(loss_label(teacher, loss), given.get(loss, ""))


def parse_schedules(
    words: Sequence[str], labels: Collection[str], option: str = "--loss_schedule"
) -> dict[str, Schedule]:
    """Return the schedules in words of an option, by label; raises as `by_label` and `parse_schedule`."""
    return {
        name: parse_schedule(text, f"{option} {name}={text}") for name, text in by_label(option, words, labels).items()
    }


def parse_shares(words: Sequence[str], labels: Collection[str]) -> dict[str, float]:
    """Return the shares in words of `--balance`, by label, in the order of the words.

    Raises:
        ValueError: As `by_label`, or if a share is not a number > 0, or there is one alone.
    """
    texts = by_label("--balance", words, labels)
    for name, text in texts.items():
        if not re.fullmatch(NUMBER, text) or not 0 < float(text) < inf:
            raise ValueError(f"--balance {name}={text}: a share must be a number > 0; a loss left out keeps its weight")
    if len(texts) == 1:
        raise ValueError(f"--balance {words[0]}: one loss alone is in balance: name two or more")
    return {name: float(text) for name, text in texts.items()}
