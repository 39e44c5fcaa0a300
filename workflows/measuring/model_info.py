"""Costs of networks: parameters, multiply-adds, activations and memory, counted; clips per second, measured."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from datasets import STREAMS
from models import StreamNetwork, create_model, estimate
from models.backbones import clip_shape, spec_of
from models.backbones.arguments import REQUIRED, arguments_of, value_of
from models.inference.speed import inference_ready
from models.normalisation import wanted_by
from sts_common.processors import single_threaded_libraries
from sts_common.timing import cpu_seconds

from ..exporting.plan import INT8
from ..shared.tables import aligned
from .exported_networks import exported_run, missing_packages

FORMATS = ("float32", "bf16", INT8)
ENGINE = "openvino"  # that runs int8
GIGA, MEGA, BYTES = 1e9, 1e6, 2**20
COLUMNS = {
    "network": "network",
    "input": "input",
    "parameters_m": "parameters, M",
    "multiply_adds_g": "multiply-adds, G",
    "convolutions_g": "of convolutions, G",
    "activations_m": "activations, M",
    "weights_mb": "weights, MB",
    "training_mb": "training, MB per clip",
}
Row = dict[str, Any]


def parse_network(words: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments in words such as "resnet,depth=18,no_max_pool=on".

    Raises ValueError if there is no such network or argument, or a value is of another type.
    """
    name, *pairs = words.split(",")
    known, arguments = arguments_of(spec_of(name)), dict[str, Any]()
    for pair in pairs:
        key, _, text = pair.partition("=")
        if key not in known:
            raise ValueError(f"{words}: {name} takes {', '.join(known)}, not {key}")
        default = 0 if known[key] is REQUIRED else known[key]
        arguments[key] = value_of(pair, text, default, words)
    return name, arguments


def model_info(
    words: str,
    *,
    stream: str = "rgb",
    num_classes: int = 400,
    frames: int | None = None,
    size: int | None = None,
    measure: Sequence[str] = (),
    seconds: float = 2.0,
) -> Row:
    """Count and measure the costs of a network for one clip.

    Args:
        words: Its name and arguments, see `parse_network`.
        stream: What it reads, a key of `STREAMS`.
        num_classes: Of its classifier.
        frames: Of the clip; None for as many as the network wants to see.
        size: Side, pixels; likewise.
        measure: Number formats, of `FORMATS`, in which clips per second of CPU time on one thread are measured here,
            one by one and ready for inference: "int8" as a file of OpenVINO that is quantised by noise.
        seconds: Of each measurement.

    Returns:
        Plain values: "network", "input" (C, T, H, W), "parameters", "multiply_adds" and what of them are convolutions,
        "activations" that layers give, bytes of "weights" in float32 and what is kept of a clip in "training" beside
        them, and "clips_per_second" by format.

    Raises:
        ValueError: As `parse_network`, or if the network cannot see the clip, or a package is missing.
    """
    name, arguments = parse_network(words)
    with torch.device("meta"):
        network = create_model(name, STREAMS[stream].channels, num_classes, **arguments)
    channels, length, side, _ = clip_shape(network)
    shape = (channels, frames or length, size or side, size or side)
    costs = estimate(network, shape)
    row = {
        "network": words,
        "input": list(shape),
        "parameters": costs.parameters,
        "multiply_adds": (costs.flops_forward + costs.flops_products) // 2,
        "convolutions": costs.flops_convolutions // 2,
        "activations": costs.activations,
        "weights": 4 * costs.parameters,
        "training": costs.activation_bytes,
        "clips_per_second": {},
    }
    if measure:
        real = create_model(name, STREAMS[stream].channels, num_classes, **arguments)
        model = StreamNetwork(real, STREAMS[stream], wanted_by(name, STREAMS[stream])).eval()
        with single_threaded_libraries():
            row["clips_per_second"] = {kind: speed(call_in(kind, model, shape), seconds) for kind in measure}
    return row


def call_in(kind: str, model: StreamNetwork, shape: Sequence[int]) -> Callable[[], object]:
    """Return the call that scores one clip in a number format.

    Raises ValueError if a package is missing, or there is no such format.
    """
    if kind not in FORMATS:
        raise ValueError(f"--measure {kind}: choose one of {', '.join(FORMATS)}")
    clips = torch.randint(0, 256, (1, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch: dict[str, Tensor] = {model.view: clips}
    if kind == INT8:
        if missing := missing_packages(ENGINE, INT8):
            raise ValueError(f"--measure {INT8} needs {', '.join(missing)}: pip install {' '.join(missing)}")
        run = exported_run(model, shape, ENGINE, INT8)
        return lambda: run(batch)
    ready = inference_ready(model, {"float32": torch.float32, "bf16": torch.bfloat16}[kind])

    def score() -> object:
        with torch.inference_mode():
            return ready(batch)

    return score


def speed(call: Callable[[], object], seconds: float) -> float:
    """Return calls per second of CPU time: the median of a few for about so many seconds, after a first one.

    A call that takes longer by itself is measured once, the first one.
    """
    times = [cpu_seconds(call)[0]]
    while sum(times) < seconds:
        times.append(cpu_seconds(call)[0])
    return 1 / median(times[1:] or times)


def cells(row: Row) -> dict[str, str]:
    """Return the columns of a row as text, by the keys of `COLUMNS`, and speeds by format."""
    return {
        "network": row["network"],
        "input": " x ".join(map(str, row["input"])),
        "parameters_m": f"{row['parameters'] / MEGA:.3f}",
        "multiply_adds_g": f"{row['multiply_adds'] / GIGA:.3f}",
        "convolutions_g": f"{row['convolutions'] / GIGA:.3f}",
        "activations_m": f"{row['activations'] / MEGA:.2f}",
        "weights_mb": f"{row['weights'] / BYTES:.0f}",
        "training_mb": f"{row['training'] / BYTES:.0f}",
        **{kind: f"{value:.3g}" for kind, value in row["clips_per_second"].items()},
    }


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the headings of the columns that rows have, and the cells of each row."""
    kinds = dict.fromkeys(kind for row in rows for kind in row["clips_per_second"])
    columns = COLUMNS | {kind: f"clips/s of a core, {kind}" for kind in kinds}
    return [[*columns.values()], *([cells(row).get(key, "") for key in columns] for row in rows)]


def as_text(rows: Sequence[Row]) -> str:
    """Format rows as a table for a terminal."""
    return "\n".join(aligned(table(rows), text=2))


def as_markdown(rows: Sequence[Row]) -> str:
    """Format rows as a table in Markdown."""
    heads, *lines = table(rows)
    return markdown_table(heads, lines, text=2)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: int) -> str:
    """Format cells as a table in Markdown, the first columns of which are text and the others numbers."""
    rule = ["---" if i < text else "---:" for i in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))
