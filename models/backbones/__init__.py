"""The table of networks, and networks from their names and arguments. A new one is one file plus one line here."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .arguments import (
    OPTIONS,
    arguments_from,
    arguments_of,
    check_arguments,
    parse_arguments,
    split_layout,
    split_segments,
)
from .c3d import C3D
from .contract import Backbone, ModelSpec, Weights
from .googlenet import GoogLeNet
from .hidden_two_stream import HiddenTwoStream
from .i3d import I3D
from .i3d_resnet import I3DResNet
from .images import HALF, HALF_MOTION, IMAGENET, input_of_images
from .inflated_networks import INFLATED, inflated_spec
from .resnet import ResNet
from .resnet2d import ResNet2d
from .resnet2p1d import ResNet2Plus1D
from .resnext import ResNeXt
from .s3d import S3D
from .s3d_resnet import S3DResNet
from .study_names import network_named, tsm_named
from .timm_networks import PREFIX as TIMM
from .timm_networks import timm_spec
from .torchvision_kinds import PREFIX as TORCHVISION
from .torchvision_networks import torchvision_spec
from .vgg import VGG

# What the 3D networks of IBM's Action Recognition Study want to see: a frame of each of 16 segments.
RESNETS = input_of_images(*IMAGENET, frames=16)
INCEPTIONS = input_of_images(*HALF, frames=16, of_motion=HALF_MOTION)


LIBRARIES = {TIMM: timm_spec, TORCHVISION: torchvision_spec, INFLATED: inflated_spec}


class Models(dict[str, ModelSpec]):
    """Entries by name, and beyond those that are listed networks of libraries by theirs, as "timm:NAME"."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name.startswith(tuple(LIBRARIES)))

    def __missing__(self, name: str) -> ModelSpec:
        if prefix := next((prefix for prefix in LIBRARIES if name.startswith(prefix)), None):
            return LIBRARIES[prefix](name)
        raise KeyError(name)


MODELS = Models(
    {
        "resnext": ModelSpec(ResNeXt, smallest={"depth": 50, "width": 0.25}),
        "resnet": ModelSpec(ResNet, smallest={"depth": 10, "width": 0.125}),
        "resnet2p1d": ModelSpec(ResNet2Plus1D, smallest={"depth": 10, "width": 0.125}),
        "c3d": ModelSpec(C3D, smallest={"width": 0.125}),
        "resnet2d": ModelSpec(ResNet2d, smallest={"depth": 18, "width": 0.125}, input_spec=input_of_images(*IMAGENET)),
        "vgg": ModelSpec(VGG, smallest={"depth": 13, "width": 0.0625}, input_spec=input_of_images(*IMAGENET)),
        "googlenet": ModelSpec(GoogLeNet, smallest={"width": 0.0625}, input_spec=input_of_images(*HALF)),
        "i3d": ModelSpec(I3D, smallest={"width": 0.0625}, input_spec=INCEPTIONS),
        "s3d": ModelSpec(S3D, smallest={"width": 0.0625}, input_spec=INCEPTIONS),
        "i3d_resnet": ModelSpec(I3DResNet, smallest={"depth": 18, "width": 0.125}, input_spec=RESNETS),
        "s3d_resnet": ModelSpec(S3DResNet, smallest={"depth": 18, "width": 0.125}, input_spec=RESNETS),
        "hidden_two_stream": ModelSpec(
            HiddenTwoStream,
            smallest={"frames": 3, "motion_width": 1 / 64, "temporal": "resnet2d", "depth": 18, "width": 0.125},
            input_spec=replace(input_of_images(*IMAGENET), frames=11, sampling="dense"),
        ),
    }
)

__all__ = [
    *("INFLATED", "TIMM", "TORCHVISION"),
    *("MODELS", "Backbone", "ModelSpec", "arch_in", "arch_of", "build_model", "clip_shape", "create_model", "fitting"),
    *("check_options", "network_named", "options_in", "spec_of", "stated_options"),
]


def spec_of(model: str) -> ModelSpec:
    """Return an entry of `MODELS`.

    Raises:
        ValueError: If there is none of this name.
    """
    if model not in MODELS:
        others = " or ".join(f"{prefix}NAME" for prefix in (TIMM, TORCHVISION, INFLATED + TIMM))
        raise ValueError(f"--model {model}: choose one of {', '.join(MODELS)}, or {others}")
    return MODELS[model]


def create_model(name: str, in_channels: int, num_classes: int, **arguments: Any) -> Backbone:
    """Build a network, randomly initialised, on the CPU.

    Args:
        name: A key of `MODELS`.
        in_channels: Channels of a frame of the stream: 3 for RGB, 2 for flow.
        num_classes: Width of the classifier.
        arguments: Those of its constructor and of its layout.

    Raises:
        ValueError: If there is no such network, argument or value.
    """
    spec = spec_of(name)
    check_arguments(name, spec, arguments)
    layout, others = split_layout(spec, arguments)
    segments, constructed = split_segments(others)
    network = spec.build(in_channels=layout.channels(in_channels), num_classes=num_classes, **constructed)
    network.layout, network.origin = layout, {"name": name, "args": arguments_of(spec) | arguments}
    network.set_segments(segments)
    return network


def build_model(opt: Namespace, in_channels: int, num_classes: int) -> Backbone:
    """Build the network that the options describe; arguments and errors as `create_model`."""
    return create_model(opt.model, in_channels, num_classes, **arguments_from(opt, spec_of(opt.model)))


def check_options(model: str, given: Mapping[str, Any], words: Sequence[str] = ()) -> None:
    """Refuse options that the network has no argument for, unless they are as they would be without.

    Of the options in `given`, by name, those of no argument are passed over; `words` are those of `--model_args`.

    Raises:
        ValueError: Names the option and those that there are.
    """
    spec = spec_of(model)
    taken, all_taken = arguments_of(spec), [arguments_of(other) for other in MODELS.values()]
    for name, option in OPTIONS.items():
        defaults = [0 if name == "depth" else arguments[name] for arguments in all_taken if name in arguments]
        if name not in taken and option in given and given[option] not in defaults:
            check_arguments(model, spec, {name: given[option]})
    parse_arguments(model, spec, words)


def clip_shape(network: Backbone) -> tuple[int, int, int, int]:
    """Return the shape (C, T, H, W) of a clip as a network wants to see it, outside the table as its first entry."""
    name = network.origin.get("name", "")
    spec = MODELS[name if name in MODELS else next(iter(MODELS))]
    seen = replace(spec.input_spec, layout=network.layout, frames=spec.input_spec.frames * network.segments)
    return replace(spec, input_spec=seen).clip_shape(network.in_channels)


def arch_of(model: str, depth: int | None) -> str:
    """Return the name of a network with its depth, if it has one, like "resnext-101"; raises as `spec_of`."""
    return f"{model}-{depth}" if "depth" in arguments_of(spec_of(model)) else model


def options_in(arch: str) -> dict[str, Any]:
    """Return the options that a name such as "resnext-101" stands for; {} if it is of no entry of `MODELS`.

    It may be one of IBM's study, see `network_named`, of which `arguments_named` has the rest.
    """
    model, _, depth = arch.rpartition("-")
    if model in MODELS and depth.isdecimal():
        return {"model": model, "model_depth": int(depth)}
    if arch in MODELS:
        return {"model": arch}
    named = network_named(arch)
    depths = {"model_depth": named["args"]["depth"]} if named and "depth" in named["args"] else {}
    return {"model": named["name"], **depths} if named else {}


def arch_in(checkpoint: Mapping[str, Any], source: str = "") -> str:
    """Return the name of the network that a checkpoint states, else that its file has if it is one of `network_named`.

    Files of TSM's say more by their names than by their content. `source` is the name of the file.
    """
    name = Path(source).name
    if "arch" in checkpoint and not tsm_named(name):
        return str(checkpoint["arch"])
    return name if network_named(name) else ""


def stated_options(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the {"name", "args"} that a checkpoint states of its network; {} if it does not."""
    network = checkpoint.get("network")
    name, args = (network.get("name"), network.get("args")) if isinstance(network, Mapping) else (None, None)
    if not isinstance(name, str) or not isinstance(args, Mapping):
        return {}
    if name not in MODELS:
        return {"model": name}
    defaults = arguments_of(spec_of(name))
    words = [f"{key}={value}" for key, value in args.items() if key not in OPTIONS and value != defaults.get(key)]
    return {"model": name, "model_args": words} | {OPTIONS[key]: value for key, value in args.items() if key in OPTIONS}


def fitting(checkpoint: Mapping[str, Any], weights: Weights, source: str = "") -> ModelSpec | None:
    """Return the entry of `MODELS` whose weights, given by plain names, a checkpoint holds; None if nothing tells.

    That is the one that it names, else of those whose first convolution and classifier have these names and these
    dimensions the first with most of the marks that networks have.
    """
    options = checkpoint.get("options")
    named = {**options_in(arch_in(checkpoint, source)), **(options if isinstance(options, Mapping) else {})}
    named |= stated_options(checkpoint)
    if isinstance(model := named.get("model"), str) and model in MODELS:
        return MODELS[model]
    fitted = [spec for spec in MODELS.values() if spec.build.may_be(weights)]
    return max(fitted, key=lambda spec: len(spec.build.marks), default=None)
