"""FORMATS: writers of exported files, and readers of them as a user has them."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch.export.passes import move_to_device_pass

from datasets import STREAMS
from engine.checkpoint import tensor_file
from models import fuse
from models.inference.runtimes import (
    ABOUT,
    ENGINES,
    WEIGHTS,
    Run,
    check_packages,
    onnxruntime_devices,
    open_onnxruntime,
    open_openvino,
)
from sts_common.json_text import as_json

from ..testing.loading import network_in
from .onnx_file import describe_onnx, write_onnx
from .openvino_file import describe_openvino, write_openvino
from .plan import DTYPES, INT8, Export
from .tracing import trace


class Format(NamedTuple):
    """A file format, with its writer and reader."""

    write: Callable[[Export, BinaryIO], None]  # to an open file
    read: Callable[[Path, torch.device], Run]  # a file on a device, as a function from inputs to results by name
    suffix: str  # of the file
    dtypes: Sequence[str] = tuple(DTYPES)  # of weights
    requires: Sequence[str] = ()  # packages without which it can be neither written nor read
    devices: Callable[[], Sequence[str]] = lambda: ("cpu", "cuda")  # kinds of devices on which `read` can run it here
    holds_weights_alone: bool = False  # whether it is one network as it was trained, and no module
    weights: str = ""  # suffix of a second file beside it, with the weights; "" if it holds them
    # Adds metadata to a file in place; None if none of it is known only after writing.
    describe: Callable[[Path, Mapping[str, Any]], None] | None = None
    quantiser: Sequence[str] = ()  # packages without which it cannot be in int8


def check_format(name: str, dtype: str, networks: int, fusion: str, softmax: bool) -> None:
    """Raise ValueError for a combination that a format cannot hold, before anything is loaded."""
    kind = FORMATS[name]
    check_packages(f"--format {name}", [*kind.requires, *(kind.quantiser if dtype == INT8 else ())])
    if dtype not in kind.dtypes:
        raise ValueError(f"--dtype {dtype}: --format {name} takes {' or '.join(kind.dtypes)}")
    if kind.holds_weights_alone and (networks > 1 or softmax or fusion != "activno"):
        raise ValueError(
            f"--format {name} holds the weights of one network and nothing to fuse them with: export each checkpoint "
            "by itself, which predict.py and test_two_stream.py fuse, or use --format pt2 or onnx"
        )


def destination(out: str, name: str, checkpoints: Sequence[str]) -> Path:
    """Return the file to write in the format `name`: `out`, or where that is "" one beside the first checkpoint.

    Raises ValueError if its name does not end as the format's do, or it is one of the checkpoints.
    """
    if not (out or checkpoints):
        raise ValueError("no file: name one, for there is no checkpoint beside which it could be")
    suffix = FORMATS[name].suffix
    path = Path(out) if out else Path(checkpoints[0]).with_suffix(suffix)
    if path.suffix != suffix:
        raise ValueError(f"--out {path}: its name must end in {suffix}")
    if any(path.resolve() == Path(source).resolve() for source in checkpoints):
        raise ValueError(f"--out {path}: this is the checkpoint itself: choose another name")
    return path


def write_safetensors(export: Export, file: BinaryIO) -> None:
    """Write the trained network; in half precision only its matrices are converted, for the rest is small or counts."""
    state, dtype = export.states[0], DTYPES[export.dtype]
    if not state["options"]:
        raise ValueError(
            f"{export.paths[0]}: the file would not say which network it is: give the checkpoint, or its content with "
            "the network"
        )
    weights = export.models[0].network.state_dict()
    if dtype != torch.float32:
        halved = {name for name, weight in weights.items() if weight.dim() > 1 and weight.is_floating_point()}
        weights = {name: weight.to(dtype) if name in halved else weight for name, weight in weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{tensor_file.SUFFIX}"
        named = {**state, "state_dict": weights, "checkpoints": export.checkpoints()}
        tensor_file.write(path, named, export.paths[0])
        file.write(path.read_bytes())


def read_safetensors(path: Path, device: torch.device) -> Run:
    """Build the network from the file, as the scripts do."""
    state = tensor_file.read(path)
    model = network_in(state, str(path), STREAMS[state["stream"]]).to(device)
    return lambda clips: {"logits": fuse(model(clips).logits[None])}


def write_pt2(export: Export, file: BinaryIO) -> None:
    """Write a program for `torch.export.load`."""
    torch.export.save(trace(export), file, extra_files={ABOUT: as_json(export.about())})


def read_pt2(path: Path, device: torch.device) -> Run:
    """Load the program on a device."""
    with path.open("rb") as file:
        program = torch.export.load(file)
    return (program if device.type == "cpu" else move_to_device_pass(program, device)).module()


FORMATS = {
    "safetensors": Format(write_safetensors, read_safetensors, ".safetensors", holds_weights_alone=True),
    "pt2": Format(write_pt2, read_pt2, ".pt2"),
    # onnxruntime has no bfloat16 convolution on a CPU, so that the file could not be checked.
    "onnx": Format(
        write_onnx,
        lambda path, device: open_onnxruntime(path, device.type).run,
        ".onnx",
        ("float32", "float16", INT8),
        ("onnx", "onnxscript", "onnxruntime"),
        onnxruntime_devices,
        describe=describe_onnx,
    ),
    "openvino": Format(
        write_openvino,
        lambda path, device: open_openvino(path, device.type).run,
        ".xml",
        ("float32", "bfloat16", INT8),
        ("openvino",),
        ENGINES["openvino"].devices,
        weights=WEIGHTS,
        describe=describe_openvino,
        quantiser=("nncf",),
    ),
}
