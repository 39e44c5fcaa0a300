"""Errors of bf16 weight gradients of convolutions on this CPU: as torch computes them, and as this project does.

Every convolution of every network is given numbers of the shape that it sees in clips of so many frames. With --rounds
those whose gradients are computed another way here are timed: so, left to torch, and so in float32, in turn.
"""

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, environment, markdown, publish
from engine.command import cli
from models import MODELS, create_model
from models.layers.conv_gradients import left_to_torch, too_few_frames
from models.layers.gradient_errors import errors_by_torch, weight_error
from sts_common.processors import single_threaded_libraries
from sts_common.timing import alternated

NETWORKS = ("resnext-101", "resnext-50 x 0.5", "resnet-34", "resnet-18", "resnet-10 x 0.5")
Triple = tuple[int, int, int]

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": torch.float32}
WRONG = {"bf16": 0.02, "fp16": 3e-3, "off": 1e-4}  # relative errors that no rounding makes


class Layer(NamedTuple):
    """A convolution and the shape of its input."""

    channels: tuple[int, int]
    kernel: Triple
    stride: Triple
    padding: Triple
    groups: int
    shape: tuple[int, ...]

    def build(self) -> tuple[nn.Conv3d, Tensor]:
        """Return the convolution with random weights, and a random input, channels last."""
        convolution = nn.Conv3d(*self.channels, self.kernel, self.stride, self.padding, 1, self.groups, bias=False)
        last = torch.channels_last_3d
        return convolution.to(memory_format=last), torch.randn(self.shape).contiguous(memory_format=last)

    def too_few_frames(self) -> bool:
        """Whether its gradients are computed by this project."""
        return too_few_frames(self.shape[2], self.kernel[0], self.stride[0], self.padding[0])

    def __str__(self) -> str:
        sizes = ("x".join(map(str, sides)) for sides in (self.kernel, self.shape))
        return f"{self.channels[0]} to {self.channels[1]}, {next(sizes)}, {self.groups} groups, of {next(sizes)}"


def layers_of(name: str, clips: Sequence[int]) -> Counter[Layer]:
    """Count the distinct convolutions of a network, such as "resnet-10 x 0.5"."""
    arch, _, width = name.partition(" x ")
    model, _, depth = arch.rpartition("-")
    network = create_model(model, clips[1], 2, depth=int(depth), width=float(width or 1)).to("meta")
    seen: Counter[Layer] = Counter()

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kernel, stride, padding = (tuple(values) for values in (module.kernel_size, module.stride, module.padding))
        channels = module.in_channels, module.out_channels
        seen[Layer(channels, kernel, stride, padding, module.groups, tuple(inputs[0].shape))] += 1

    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(note)
    with torch.no_grad():
        network(torch.empty(tuple(clips), device="meta"))
    if not seen:
        raise ValueError(f"--networks {name}: has no 3D convolutions; choose another")
    return seen


def errors(layers: Iterable[Layer], dtype: torch.dtype) -> dict[Layer, tuple[float, float]]:
    """Compute relative errors of weight gradients: as torch computes them, and as this project does."""
    layers = list(dict.fromkeys(layers))

    def trials() -> Iterator[tuple[nn.Conv3d, Tensor, torch.dtype]]:
        for layer in layers:
            torch.manual_seed(1)
            yield *layer.build(), dtype

    here = (weight_error(*trial) for trial in trials())
    return dict(zip(layers, zip(errors_by_torch(trials()), here, strict=True), strict=True))


def ways(layer: Layer, dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """Return calls that compute the weight gradient of a convolution in `dtype` from numbers in `dtype`."""
    convolution, x = layer.build()

    def gradient(kind: torch.dtype) -> Callable[[], Any]:
        held, weight = x.to(dtype), convolution.weight.detach().to(dtype).requires_grad_()
        out = torch.conv3d(held, weight, None, layer.stride, layer.padding, 1, layer.groups)
        grad = torch.randn_like(out)
        shapes = (None, layer.stride, layer.padding, (1, 1, 1), False, (0, 0, 0), layer.groups, (False, True, False))
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(grad.to(kind), held.to(kind), weight.detach().to(kind), *shapes)

    def native(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            with left_to_torch():
                call()

        return run

    return {
        "left to torch": native(gradient(dtype)),
        "by frames": gradient(dtype),
        "by float32": native(gradient(torch.float32)),
    }


def scan(opt: Namespace) -> list[dict[str, Any]]:
    """Compute the errors of each convolution for each network and number of frames."""
    seen = {
        (name, frames): layers_of(name, (opt.batch, 3, frames, opt.size, opt.size))
        for name in opt.networks
        for frames in opt.frames
    }
    rows = errors((layer for layers in seen.values() for layer in layers), DTYPES[opt.amp])
    return [
        {
            "network": name,
            "frames": frames,
            "layers": [{"layer": str(layer), "count": count, "errors": rows[layer]} for layer, count in layers.items()],
        }
        for (name, frames), layers in seen.items()
    ]


def summary(rows: Sequence[dict[str, Any]], limit: float) -> str:
    """Count wrong convolutions and find the largest error, before and after."""
    cells = []
    for row in rows:
        layers = row["layers"]
        cells.append([row["network"], str(row["frames"]), str(sum(layer["count"] for layer in layers))])
        for way in (0, 1):
            wrong = sum(layer["count"] for layer in layers if layer["errors"][way] > limit)
            cells[-1] += [str(wrong), f"{max(layer['errors'][way] for layer in layers):.1e}"]
    worst = ["wrong by torch", "largest error", "wrong here", "largest error here"]
    return markdown(["network", "frames", "convolutions", *worst], cells)


def timing(opt: Namespace) -> dict[str, list[dict[str, float]]]:
    """Measure CPU seconds of every way in every round, for each convolution with a gradient of our own."""
    shapes = [(name, (opt.batch, 3, n, opt.size, opt.size)) for name in opt.networks for n in opt.frames]
    layers = {layer for name, clips in shapes for layer in layers_of(name, clips) if layer.too_few_frames()}
    times = {}
    with single_threaded_libraries():
        for layer in sorted(layers):
            calls = ways(layer, DTYPES[opt.amp])
            for call in calls.values():
                call()
            times[str(layer)] = [{n: t.cpu for n, t in row.items()} for row in alternated(calls, opt.rounds)]
    return times


def times_table(times: dict[str, list[dict[str, float]]]) -> str:
    """Tabulate medians over rounds of ratios within a round."""
    cells = []
    for layer, rounds in times.items():
        pairs = (("by float32", "by frames"), ("by frames", "left to torch"))
        cells.append([layer, *(f"{median(row[a] / row[b] for row in rounds):.2f}" for a, b in pairs)])
    return markdown(["convolution", "float32 takes so many times by frames", "by frames so many times torch"], cells)


def main(opt: Namespace) -> Record:
    """Measure, print the tables, write the JSON."""
    check_least(opt, frames=1, size=1, batch=1)
    for name in opt.networks:
        if name.partition(" x ")[0].rpartition("-")[0] not in MODELS:
            raise ValueError(f"--networks {name!r}: write {' or '.join(repr(known) for known in NETWORKS)}")
    record: Record = {"environment": environment(), "clips": [opt.batch, opt.size], "amp": opt.amp}
    record["networks"] = scan(opt)
    capability = torch.backends.cpu.get_cpu_capability()
    title = f"{record['environment']['cpu']} ({capability}), torch {torch.__version__}, {opt.amp}\n"
    tables = [title, summary(record["networks"], WRONG[opt.amp])]
    if opt.rounds:
        record["seconds"] = timing(opt)
        tables.append(times_table(record["seconds"]))
    return publish(opt.out, record, *tables)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("conv_gradients", __doc__, rounds=0)
    add = parser.add_argument
    add("--networks", nargs="+", default=NETWORKS, metavar="NAME", help="model-depth, or model-depth x width")
    add("--frames", nargs="+", type=int, default=[8, 16, 32, 64], help="of the clips")
    add("--size", type=int, default=32, help="of a frame, pixels; only times depend on it")
    add("--batch", type=int, default=2, help="clips")
    add("--amp", default="bf16", choices=DTYPES, help="number format")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
