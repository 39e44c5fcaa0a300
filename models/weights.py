"""Weights from a checkpoint into a network, with errors a user can act on.

`checkpoint` is the content of a file and `source` its name, which stands in errors and may say what the network is.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sts_common import counted

from .backbones import MODELS, Backbone, arch_in, fitting, network_named, options_in, spec_of, stated_options
from .backbones.arguments import OPTIONS, arguments_by, in_words, split_layout
from .backbones.contract import ModelSpec, Weights
from .backbones.layout import FLOW_CHANNELS

RGB_CHANNELS = 3
WRAPPERS = {"module", "_orig_mod"}  # what DataParallel and torch.compile put into names


def strip_prefix(weights: Weights) -> dict[str, Tensor]:
    """Drop the "module." of DataParallel and the "_orig_mod." of torch.compile, wherever they stand."""
    return {".".join(part for part in name.split(".") if part not in WRAPPERS): x for name, x in weights.items()}


def check_finite(weights: Weights, source: str) -> None:
    """Refuse weights and running statistics that are not finite.

    Raises:
        ValueError: Names the first tensor that holds NaN or infinity.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            value = "NaN" if tensor.isnan().any() else "infinity"
            raise ValueError(f"{source}: {name} holds {value}: its training diverged; take a checkpoint of before")


def weights_of(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the network's weights: the "state_dict" of a checkpoint, or the mapping itself if it is a bare one.

    Raises:
        ValueError: If there are none, or two of one name.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError(f"{source}: holds no network weights (no 'state_dict' of tensors)")
    stripped = strip_prefix(weights)
    if len(stripped) < len(weights):
        raise ValueError(f"{source}: holds weights of two networks under one name, one of them wrapped")
    return stripped


def shown_by(checkpoint: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """Return the options that a checkpoint states of its network, or else its weights and its name show.

    The width is none of the latter. A name of IBM's study or of TSM's files shows the clips as well.
    """
    if stated := stated_options(checkpoint):
        return stated
    arguments, named = arguments_in(checkpoint, source=source), network_named(arch_in(checkpoint, source))
    shown = {OPTIONS[name]: value for name, value in arguments.items() if name in OPTIONS and name != "width"}
    if words := [f"{name}={value}" for name, value in arguments.items() if name not in OPTIONS]:
        shown["model_args"] = words
    plain = plain_weights(checkpoint)
    spec = fitting(checkpoint, plain, source)
    if spec is not None and (named or spec.build.kernel_dims == 2 or spec.build.marks or is_unambiguous(spec, plain)):
        shown["model"] = next(name for name, known in MODELS.items() if known is spec)
    if spec is None or not named:
        return shown
    return shown | {
        "sample_duration": named["frames"] * arguments.get("flow_stack", 1),
        "sample_size": spec.input_spec.size,
        "test_sampling": spec.input_spec.sampling,
        **named.get("clips", {}),
    }


def is_unambiguous(spec: ModelSpec, weights: Weights) -> bool:
    """Return whether weights can be of no other network: 3D ResNets and ResNeXts have names in common."""
    return [known for known in MODELS.values() if known.build.may_be(weights)] == [spec]


def plain_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what may be weights in a checkpoint, by plain names."""
    weights = checkpoint.get("state_dict", checkpoint)
    named = weights.items() if isinstance(weights, Mapping) else ()
    return strip_prefix({str(name): x for name, x in named if isinstance(x, Tensor)})


def arguments_in(checkpoint: Mapping[str, Any], width: float = 1.0, source: str = "") -> dict[str, Any]:
    """Return the arguments that the weights of a checkpoint and its name show; `width` as of `Backbone.shown_by`."""
    plain = plain_weights(checkpoint)
    if (spec := fitting(checkpoint, plain, source)) is None:
        return {}
    dialect, renamed = spec.build.read_dialect(plain)
    first = (renamed or plain).get(f"{spec.build.first_conv}.weight")
    if first is None:
        return {}
    shown = spec.build.shown_by(renamed or plain, width)
    of_dialect = dict(spec.build.dialect_arguments.get(dialect, {}))
    if spec.build.kernel_dims == 2 and first.shape[1] in (FLOW_CHANNELS, RGB_CHANNELS):
        of_dialect.pop("flow_order", None)  # of stacks
    elif spec.build.kernel_dims == 2 and first.shape[1] % FLOW_CHANNELS == 0:  # whoever reads images reads stacks
        shown["flow_stack"] = first.shape[1] // FLOW_CHANNELS
    if spec.build.kernel_dims in (2, 3):
        shown |= of_dialect
    return shown | network_named(arch_in(checkpoint, source)).get("args", {})


def origin_of(checkpoint: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """Return {"name", "args"} of a checkpoint's network, as it states, or else as its options and its weights show.

    Raises:
        ValueError: If it states a network or an argument that there is not.
    """
    options = checkpoint.get("options")
    values = {"model": next(iter(MODELS)), **options_in(arch_in(checkpoint, source))}
    if isinstance(options, Mapping):
        values |= options
    elif "width" in (shown := arguments_in(checkpoint, source=source)):
        values["width"] = shown["width"]
    values |= shown_by(checkpoint, source)
    name, spec = values["model"], spec_of(values["model"])
    return {"name": name, "args": arguments_by(values, name, spec, values.get("model_args") or ())}


def shape_of(weights: Weights, source: str, network: type[Backbone]) -> tuple[int, int]:
    """Return the channels of the first convolution and the number of classes that the weights were made for.

    Raises:
        ValueError: If they are not those of this network.
    """
    names = f"{network.first_conv}.weight", f"{network.classifier}.weight"
    renamed = network.in_dialect(weights)
    if renamed is None or any(renamed[name].dim() < 2 for name in names):
        parts = f"{network.first_conv} and {network.classifier}"
        raise ValueError(f"{source}: no {parts} weights, so not a network of this project")
    return renamed[names[0]].shape[1], renamed[names[1]].shape[0]


def stream_channels(checkpoint: Mapping[str, Any], weights: Weights, source: str) -> int:
    """Return the channels of a frame of the stream that a checkpoint's network reads; raises as `shape_of`."""
    spec = fitting(checkpoint, weights, source) or next(iter(MODELS.values()))
    channels, _ = shape_of(weights, source, spec.build)
    network = checkpoint.get("network")
    stated = network.get("args") if isinstance(network, Mapping) else None
    layout, _ = split_layout(spec, stated if isinstance(stated, Mapping) else arguments_in(checkpoint, source=source))
    return spec.build.channels_of_stream(layout, channels)


def load_weights(model: Backbone, weights: Weights, source: str) -> None:
    """Load `weights` into `model`, strictly.

    Only `num_batches_tracked`, which old files lack, may be absent: it plays no part in the result.

    Raises:
        ValueError: If names or shapes differ, or values are not finite; says which, and what to do.
    """
    expected = model.state_dict()
    plain = strip_prefix(weights)
    loaded = model.in_dialect(plain) or plain
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            loaded.setdefault(name, torch.zeros_like(tensor))
    missing, unexpected = expected.keys() - loaded.keys(), loaded.keys() - expected.keys()
    if missing or unexpected:
        example = next(name for name in (*expected, *loaded) if name in missing | unexpected)
        raise ValueError(
            f"{source}: weights of another network ({len(missing)} names missing, {len(unexpected)} unexpected, "
            f"e.g. {example}): check --model, {in_words(model.origin.get('args', {}))}"
        )
    for name, tensor in expected.items():
        if loaded[name].shape != tensor.shape:
            raise ValueError(f"{source}: {explain_shape(model, name, tuple(loaded[name].shape), tuple(tensor.shape))}")
    check_finite(loaded, source)
    model.load_state_dict(loaded)


def explain_shape(model: Backbone, name: str, stored: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Explain why a tensor of shape `stored` does not fit where `expected` is."""
    if name.startswith(f"{model.classifier}."):
        return f"weights for {counted(stored[0], 'class')}, the network has {expected[0]}: check --n_classes"
    first = name == f"{model.first_conv}.weight" and len(stored) == len(expected)
    if first and stored[1] != expected[1]:
        return (
            f"weights for {stored[1]} input channels, the network has {expected[1]}: check --modality (RGB 3, Flow 2)"
        )
    if first and len(stored) == 5 and stored[2] != expected[2]:
        frames = counted(stored[2], "frame")
        return f"a first convolution over {frames}, the network has {expected[2]}: leave out --conv1_t_size"
    arguments = in_words(model.origin.get("args", {}))
    return f"{name} has shape {stored}, the network's is {expected}: check {arguments}"
