"""Names of losses: of their terms in logs, and in the options that weigh them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..streams import StreamNetwork
from .distiller import Distiller

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
