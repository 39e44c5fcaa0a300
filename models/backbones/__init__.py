"""The table of networks. A new one is one file plus one line here."""

import inspect
from argparse import Namespace

from torch import nn

from .resnet import ResNet, Stem
from .resnext import ResNeXt

MODELS: dict[str, type[nn.Module]] = {"resnext": ResNeXt, "resnet": ResNet}

# Constructor argument -> option. A network takes those that its constructor names.
OPTIONS = {
    "depth": "model_depth",
    "shortcut": "resnet_shortcut",
    "cardinality": "resnext_cardinality",
    "width": "width",
}
STEM = {"t_size": "conv1_t_size", "t_stride": "conv1_t_stride", "no_max_pool": "no_max_pool"}


def build_model(opt: Namespace, in_channels: int, num_classes: int) -> nn.Module:
    """Build the network that the options describe, randomly initialised, on the CPU.

    Raises:
        ValueError: If there is no such network, or not in the depth or width asked for.
    """
    if opt.model not in MODELS:
        raise ValueError(f"--model {opt.model}: choose one of {', '.join(MODELS)}")
    parameters = inspect.signature(MODELS[opt.model]).parameters
    arguments = {name: getattr(opt, option) for name, option in OPTIONS.items() if name in parameters}
    # A checkpoint from before one of these options was made with its default.
    stem = Stem(in_channels, **{name: getattr(opt, option) for name, option in STEM.items() if hasattr(opt, option)})
    return MODELS[opt.model](stem=stem, num_classes=num_classes, **arguments)
