"""Arguments of the networks: which there are, from which options they come, and what a checkpoint keeps of them."""

import inspect
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

from sts_common.typed import check_types

from .consensus import CONSENSUS
from .contract import ModelSpec
from .layout import COLOUR_ORDERS, FLOW_ORDERS, ChannelLayout, Segments

# Argument -> option; all others are given by `--model_args`.
OPTIONS = {
    "depth": "model_depth",
    "shortcut": "resnet_shortcut",
    "cardinality": "resnext_cardinality",
    "width": "width",
    "conv1_t_size": "conv1_t_size",
    "conv1_t_stride": "conv1_t_stride",
    "no_max_pool": "no_max_pool",
    "segments": "segments",
    "consensus": "consensus",
}
DATA_ARGUMENTS = ("in_channels", "num_classes")  # given by the stream and the labels
CHOICES = {"flow_order": FLOW_ORDERS, "colour_order": COLOUR_ORDERS, "consensus": CONSENSUS}
BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
REQUIRED = inspect.Parameter.empty


def arguments_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments of a network and their defaults, `REQUIRED` for none.

    They are those of its constructor, the fields of its layout and those of its segments.
    """
    parameters = inspect.signature(spec.build).parameters
    taken = {name: parameter.default for name, parameter in parameters.items() if name not in DATA_ARGUMENTS}
    return taken | spec.input_spec.layout._asdict() | Segments()._asdict()


def check_arguments(name: str, spec: ModelSpec, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a network has not got, and such as miss.

    Raises:
        ValueError: Names the argument as it is given, and those that there are.
    """
    taken = arguments_of(spec)
    if unknown := [argument for argument in arguments if argument not in taken]:
        raise ValueError(f"{option_of(unknown[0])}: --model {name} takes {in_words(taken)}")
    if missing := [
        argument for argument, default in taken.items() if default is REQUIRED and argument not in arguments
    ]:
        raise ValueError(f"--model {name}: needs {in_words(missing)}")
    build = spec.build.__init__ if isinstance(spec.build, type) else spec.build
    check_types(
        f"--model {name}", get_type_hints(build) | get_type_hints(ChannelLayout) | get_type_hints(Segments), arguments
    )
    for argument, value in arguments.items():
        if value not in CHOICES.get(argument, (value,)):
            stated = option_of(argument).replace("=VALUE", f"={value}")
            raise ValueError(f"{stated}: choose one of {', '.join(CHOICES[argument])}")
    check_stacks(spec.input_spec.layout._replace(**{k: v for k, v in arguments.items() if k in ChannelLayout._fields}))


def check_stacks(layout: ChannelLayout) -> None:
    """Refuse stacks of nothing, and such of which nobody could tell which stream they are of; raises ValueError."""
    if layout.flow_stack < 1:
        raise ValueError(f"--model_args flow_stack={layout.flow_stack}: a stack has at least one pair")
    if layout.frame_stack < 1:
        raise ValueError(f"--model_args frame_stack={layout.frame_stack}: a stack has at least one frame")
    if 2 * layout.flow_stack == 3 * layout.frame_stack:
        raise ValueError(
            f"--model_args flow_stack={layout.flow_stack} frame_stack={layout.frame_stack}: both have "
            f"{2 * layout.flow_stack} channels; leave out that of the other stream"
        )


def in_words(arguments: Iterable[str]) -> str:
    """Return how arguments are given on the command line."""
    return ", ".join(map(option_of, arguments)) or "no arguments"


def option_of(argument: str) -> str:
    """Return how an argument is given on the command line."""
    return f"--{OPTIONS[argument]}" if argument in OPTIONS else f"--model_args {argument}=VALUE"


def parse_arguments(name: str, spec: ModelSpec, words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments in the words of `--model_args`, each of the type of its default.

    Raises:
        ValueError: If a word is not KEY=VALUE, the network has no such argument, an option of its own gives it, or the
            value is of another type.
    """
    taken = arguments_of(spec)
    rare, arguments = {key: value for key, value in taken.items() if key not in OPTIONS}, {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator:
            raise ValueError(f"--model_args {word}: expected KEY=VALUE")
        if key in OPTIONS:
            raise ValueError(f"--model_args {word}: has an option of its own, --{OPTIONS[key]}")
        if key not in rare:
            raise ValueError(f"--model_args {word}: of these --model {name} takes {', '.join(rare) or 'none'}")
        arguments[key] = value_of(word, text, taken[key])
    return arguments


def value_of(word: str, text: str, default: Any, option: str = "--model_args") -> Any:
    """Return a text as a value of the type of `default`, tuples with commas; raises as `parse_arguments`."""
    if isinstance(default, tuple):
        return tuple(value_of(word, part, default[0], option) for part in text.split(","))
    try:
        if isinstance(default, bool):
            return BOOLEANS[text.lower()]
        return type(default)(text) if isinstance(default, int | float) else text
    except (KeyError, ValueError):
        raise ValueError(f"{option} {word}: expected a value like {default}") from None


def arguments_from(opt: Namespace, spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments that the options give; raises as `parse_arguments`.

    A checkpoint from before one of these options was made with its default.
    """
    values = {option: getattr(opt, option) for _, option in OPTIONS.items() if hasattr(opt, option)}
    return arguments_by(values, opt.model, spec, getattr(opt, "model_args", ()))


def arguments_by(values: Mapping[str, Any], name: str, spec: ModelSpec, words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that options, by name, and the words of `--model_args` give; raises as `parse_arguments`."""
    taken = arguments_of(spec)
    given = {argument: values[option] for argument, option in OPTIONS.items() if argument in taken and option in values}
    return given | parse_arguments(name, spec, words)


def scaled_channels(channels: Iterable[int], width: float) -> list[int]:
    """Return numbers of channels times a factor, rounded down.

    Raises:
        ValueError: If it leaves none of the first one.
    """
    first, *others = channels
    if int(first * width) < 1:
        raise ValueError(f"--width {width} leaves no channel: use at least {1 / first}")
    return [int(n * width) for n in (first, *others)]


def split_layout(spec: ModelSpec, arguments: Mapping[str, Any]) -> tuple[ChannelLayout, dict[str, Any]]:
    """Return the layout that a network reads with some arguments, and the other arguments."""
    fields = {name: value for name, value in arguments.items() if name in ChannelLayout._fields}
    return spec.input_spec.layout._replace(**fields), {n: v for n, v in arguments.items() if n not in fields}


def split_segments(arguments: Mapping[str, Any]) -> tuple[Segments, dict[str, Any]]:
    """Return the segments that a network sees with some arguments, and the other arguments."""
    fields = {name: value for name, value in arguments.items() if name in Segments._fields}
    return Segments(**fields), {n: v for n, v in arguments.items() if n not in fields}
