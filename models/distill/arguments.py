"""Entries of `DISTILLERS`, and the words of the command line that choose losses and give their arguments."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, get_type_hints

from sts_common.typed import check_types

from ..backbones.arguments import REQUIRED, value_of
from .distiller import Distiller
from .own_optimizer import OptimizerSettings

NETWORK_ARGUMENTS = ("student", "teacher")  # given by the two networks
OPTIMIZER_PREFIX = "optimizer."  # begins the keys of the settings of a loss's own optimiser
Chosen = list[tuple[str, float]]  # names of losses, and factors on all terms of each


@dataclass(frozen=True)
class LossSpec:
    """An entry of `DISTILLERS`.

    Attributes:
        build: The class; called with keyword arguments.
        options: Arguments of its constructor -> options that give them; all others are given by `--loss_args`.
    """

    build: type[Distiller]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor and their defaults, `REQUIRED` for none."""
        parameters = inspect.signature(self.build).parameters
        return {name: parameter.default for name, parameter in parameters.items() if name not in NETWORK_ARGUMENTS}

    @property
    def given(self) -> tuple[str, ...]:
        """Return which of `NETWORK_ARGUMENTS` the constructor takes."""
        return tuple(name for name in NETWORK_ARGUMENTS if name in inspect.signature(self.build).parameters)

    @property
    def extra_arguments(self) -> dict[str, Any]:
        """Return the keys of `--loss_args` and their defaults, with those of its own optimiser."""
        optimizer = self.build.optimizer
        settings = {
            f"{OPTIMIZER_PREFIX}{entry.name}": getattr(optimizer, entry.name)
            for entry in fields(OptimizerSettings)
            if optimizer
        }
        return {name: value for name, value in self.arguments.items() if name not in self.options} | settings


def check_arguments(name: str, spec: LossSpec, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a loss has not got, and such as miss.

    Raises:
        ValueError: Names the argument and those that there are.
    """
    taken = spec.arguments
    if unknown := [argument for argument in arguments if argument not in taken]:
        raise ValueError(f"{name}: has no argument {unknown[0]}; it takes {', '.join(taken) or 'none'}")
    if missing := [key for key, default in taken.items() if default is REQUIRED and key not in arguments]:
        raise ValueError(f"--distill {name}: needs --loss_args {name}.{missing[0]}=VALUE")
    check_types(name, get_type_hints(spec.build.__init__), arguments)


def parse_loss_args(words: Sequence[str], table: Mapping[str, LossSpec]) -> dict[str, dict[str, Any]]:
    """Return the arguments of losses in the words of `--loss_args`, each of the type of its default.

    Args:
        words: Like "kd.key=value" or "gan.optimizer.lr=0.01".
        table: Losses that are in use.

    Returns:
        Arguments by loss; settings of its own optimiser as a mapping "optimizer".

    Raises:
        ValueError: If a word is none of these, no such loss is in use, it has no such argument, an option of its own
            gives it, or the value is of another type.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for word in words:
        place, separator, text = word.partition("=")
        name, dot, key = place.partition(".")
        if not separator or not dot:
            raise ValueError(f"--loss_args {word}: expected LOSS.KEY=VALUE")
        if name not in table:
            raise ValueError(f"--loss_args {word}: no such loss is in use, there are {', '.join(table)}")
        spec = table[name]
        if key in spec.options:
            raise ValueError(f"--loss_args {word}: has an option of its own, --{spec.options[key]}")
        if key not in spec.extra_arguments:
            raise ValueError(f"--loss_args {word}: of these {name} takes {', '.join(spec.extra_arguments) or 'none'}")
        value, arguments = value_of(word, text, spec.extra_arguments[key], "--loss_args"), parsed.setdefault(name, {})
        if key.startswith(OPTIMIZER_PREFIX):
            arguments.setdefault("optimizer", {})[key.removeprefix(OPTIMIZER_PREFIX)] = value
        else:
            arguments[key] = value
    return parsed


def parse_teacher_losses(words: Sequence[str], table: Mapping[str, LossSpec]) -> dict[str, Chosen]:
    """Return the losses of each teacher in words like "flow=mse,dkd*0.5".

    Raises:
        ValueError: If a word is none of these, a teacher comes twice, there is no such loss, or a factor is negative.
    """
    chosen: dict[str, Chosen] = {}
    for word in words:
        name, separator, losses = word.partition("=")
        if not separator or not losses:
            raise ValueError(f"--teacher_losses {word}: expected TEACHER=LOSS,LOSS*FACTOR")
        if name in chosen:
            raise ValueError(f"--teacher_losses {word}: {name} has losses already")
        pairs = [parse_loss(word, loss, table) for loss in losses.split(",")]
        if len({loss for loss, _ in pairs}) < len(pairs):
            raise ValueError(f"--teacher_losses {word}: names a loss twice")
        chosen[name] = pairs
    return chosen


def parse_loss(word: str, text: str, table: Mapping[str, LossSpec]) -> tuple[str, float]:
    """Return the loss and the factor in a text like "dkd*0.5"; raises as `parse_teacher_losses`."""
    loss, times, number = text.partition("*")
    if loss not in table:
        raise ValueError(f"--teacher_losses {word}: {loss or '(none)'} is no loss, choose among {', '.join(table)}")
    factor = value_of(word, number, 1.0, "--teacher_losses") if times else 1.0
    if not isfinite(factor) or factor < 0:
        raise ValueError(f"--teacher_losses {word}: a factor must be >= 0, got {number}")
    return loss, factor


def losses_for(teacher: str, losses: Sequence[str], special: Mapping[str, Chosen]) -> Chosen:
    """Return the losses of a teacher: its own in `special`, else `losses`, each once and with factor 1."""
    return special.get(teacher) or [(name, 1.0) for name in dict.fromkeys(losses)]
