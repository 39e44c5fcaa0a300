"""Small networks with their streams, batches and outputs, of which tests of training tasks are made."""

import torch
from helpers import small
from torch import Tensor, nn

from models import Output, StreamNetwork, output_shapes
from models.distill import OutputShapes


class Stream:
    def __init__(self, name: str = "rgb", channels: int = 3) -> None:
        self.name, self.channels, self.mean, self.std = name, channels, (127.5,) * channels, (50.0,) * channels


RGB, FLOW = Stream(), Stream("flow", 2)


def make_batch(*without: str, clips: int = 4, frames: int = 8) -> dict[str, Tensor]:
    """Return noise of both streams and a label for each clip, without some of the entries."""
    batch = {
        stream.name: torch.randint(0, 256, (clips, stream.channels, frames, 32, 32), dtype=torch.uint8)
        for stream in (RGB, FLOW)
    } | {"label": torch.arange(clips)}
    return {name: value for name, value in batch.items() if name not in without}


def shapes(*networks: nn.Module) -> list[OutputShapes]:
    return [output_shapes(network, (network.in_channels, 8, 32, 32)) for network in networks]


def random_output(known: OutputShapes, seed: int, scale: float = 1.0) -> Output:
    generator = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(4, *shape, generator=generator) * scale for name, shape in known.features.items()}
    return Output(torch.randn(4, 5, generator=generator) * scale, features)


def with_statistics(model: str, stream: Stream = RGB, **changes) -> StreamNetwork:
    """Return a network with statistics and weights of batch norms that folding must get right."""
    network = small(model, stream.channels, **changes)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm3d)):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return StreamNetwork(network, stream)


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())
