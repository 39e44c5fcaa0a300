"""Names of losses: of their terms in logs, and in the options that weigh them by schedules and shares."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from ..streams import StreamNetwork
from .distiller import Distiller
from .schedule import NUMBER, Schedule, parse_schedule

CROSS_ENTROPY = "ce"


def by_name(
    teachers: StreamNetwork | Mapping[str, StreamNetwork],
    losses: Iterable[Distiller] | Mapping[str, Iterable[Distiller]],
) -> tuple[Mapping[str, StreamNetwork], Mapping[str, Iterable[Distiller]]]:
    """Return teachers and their losses by name, which is "" for a single one.

    Raises:
        ValueError: If the names differ.
    """
    if not isinstance(teachers, Mapping) and not isinstance(losses, Mapping):
        return {"": teachers}, {"": losses}
    names = [sorted(given) if isinstance(given, Mapping) else ["(no names)"] for given in (teachers, losses)]
    if not isinstance(teachers, Mapping) or not isinstance(losses, Mapping) or names[0] != names[1] or "" in teachers:
        raise ValueError(f"teachers and losses have other names: {', '.join(names[0])} and {', '.join(names[1])}")
    return teachers, losses


def prefix(teacher: str) -> str:
    """Return what the names of a teacher's terms begin with."""
    return f"{teacher}_" if teacher else ""


def loss_label(teacher: str, loss: str) -> str:
    """Return what the options that weigh losses call one: "LOSS", or "TEACHER.LOSS" where teachers have names."""
    return f"{teacher}.{loss}" if teacher else loss


def labels_of(losses: Mapping[str, Sequence[str]], ce_weight: float) -> list[str]:
    """Return the labels of the losses of teachers by name, and of the cross-entropy unless it weighs nothing."""
    taught = [loss_label(teacher, loss) for teacher, chosen in losses.items() for loss in chosen]
    return [CROSS_ENTROPY, *taught] if ce_weight > 0 else taught


def by_label(option: str, words: Sequence[str], labels: Collection[str]) -> dict[str, str]:
    """Return the texts behind "=" in words of an option, by label.

    A loss without its teacher's name is that of all teachers, but for those that have a word of their own. The order is
    that of the words.

    Args:
        option: Its name.
        words: Like "mse=0.5" or "flow.mse=0.5".
        labels: Of the losses in use; `CROSS_ENTROPY` may be one.

    Raises:
        ValueError: If a word is none of these, there is no such loss, or it comes twice.
    """
    given: dict[str, str] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or not text:
            named = ", or TEACHER.LOSS=VALUE" if any("." in label for label in labels) else ""
            raise ValueError(f"{option} {word}: expected LOSS=VALUE{named}")
        if name not in labels and not matching(name, labels):
            raise ValueError(f"{option} {word}: no such loss is in use, choose among {', '.join(labels)}")
        if name in given:
            raise ValueError(f"{option} {word}: {name} has a value already")
        given[name] = text
    matched = {wanted: text for name, text in given.items() for wanted in matching(name, labels) or [name]}
    return matched | {name: text for name, text in given.items() if name in labels}


def matching(loss: str, labels: Collection[str]) -> list[str]:
    """Return the labels of a loss of teachers that have names."""
    return [known for known in labels if "." in known and known.partition(".")[2] == loss]


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
