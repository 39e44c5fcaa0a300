"""Networks with random weights, as the options --model, --depth and --width of a benchmark say."""

from argparse import ArgumentParser, Namespace
from typing import Any

from models import MODELS


def add_network_options(parser: ArgumentParser) -> None:
    """Add the options of a network."""
    parser.add_argument("--model", default="resnext", choices=MODELS, help="network")
    parser.add_argument("--depth", default=101, type=int, help="of the network")
    parser.add_argument("--width", default=1.0, type=float, help="factor on its channels")


def network_options(opt: Namespace) -> dict[str, Any]:
    """Return the options of `build_model`, in the words of the training commands."""
    names = {"model_depth": opt.depth, "resnet_shortcut": "B", "resnext_cardinality": 32, "conv1_t_size": 7}
    return {"model": opt.model, "width": opt.width, **names}
