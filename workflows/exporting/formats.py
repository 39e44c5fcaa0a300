"""FORMATS: writers of exported files, and readers of them as a user has them."""

import importlib
import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch.export.passes import move_to_device_pass

from datasets import STREAMS
from engine.checkpoint import tensor_file
from models import fuse
from sts_common.json_text import as_json

from ..testing.loading import network_in
from .plan import ABOUT, DTYPES, Clips, Export

OPSET = 18  # the oldest that torch's exporter writes without conversion, so that most runtimes read it
EXAMPLES = 2  # clips with which a network is traced; of one, torch would take the batch for fixed
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

Run = Callable[[Clips], Clips]


class Format(NamedTuple):
    """A file format, with its writer and reader.

    Attributes:
        write: Writes an export to an open file.
        read: A file on a device, as a function from inputs to results by name.
        dtypes: What weights may be in, keys of `DTYPES`.
        requires: Packages without which it can be neither written nor read.
        devices: Kinds of devices on which `read` can run it here.
        holds_weights_alone: Whether it is one network as it was trained, and no module.
    """

    write: Callable[[Export, BinaryIO], None]
    read: Callable[[Path, torch.device], Run]
    dtypes: Sequence[str] = tuple(DTYPES)
    requires: Sequence[str] = ()
    devices: Callable[[], Sequence[str]] = lambda: ("cpu", "cuda")
    holds_weights_alone: bool = False


def check_format(name: str, dtype: str, networks: int, fusion: str, softmax: bool) -> None:
    """Refuse combinations that a format cannot hold, before anything is loaded.

    Raises:
        ValueError: Names the option and the cure.
    """
    kind = FORMATS[name]
    if missing := [package for package in kind.requires if importlib.util.find_spec(package) is None]:
        raise ValueError(f"--format {name} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    if dtype not in kind.dtypes:
        raise ValueError(f"--dtype {dtype}: --format {name} takes {' or '.join(kind.dtypes)}")
    if kind.holds_weights_alone and (networks > 1 or softmax or fusion != "activno"):
        raise ValueError(
            f"--format {name} holds the weights of one network and nothing to fuse them with: export each checkpoint "
            "by itself, which predict.py and test_two_stream.py fuse, or use --format pt2 or onnx"
        )


def destination(out: str, name: str, checkpoints: Sequence[str]) -> Path:
    """Return the file to write: `out`, or where that is "" one beside the first checkpoint.

    Args:
        out: As given.
        name: A key of `FORMATS`.
        checkpoints: What is read.

    Raises:
        ValueError: If its name does not end as the format's do, or it is one of the checkpoints.
    """
    if not (out or checkpoints):
        raise ValueError("no file: name one, for there is no checkpoint beside which it could be")
    path = Path(out) if out else Path(checkpoints[0]).with_suffix(f".{name}")
    if path.suffix != f".{name}":
        raise ValueError(f"--out {path}: its name must end in .{name}")
    if any(path.resolve() == Path(source).resolve() for source in checkpoints):
        raise ValueError(f"--out {path}: this is the checkpoint itself: choose another name")
    return path


def write_safetensors(export: Export, file: BinaryIO) -> None:
    """Write the trained network; in half precision only its matrices are converted, for the rest is small."""
    state, dtype = export.states[0], DTYPES[export.dtype]
    if not state["options"]:
        raise ValueError(
            f"{export.paths[0]}: the file would not say which network it is: give the checkpoint, or its content with "
            "the network"
        )
    weights = export.models[0].network.state_dict()
    if dtype != torch.float32:
        weights = {name: weight.to(dtype) if weight.dim() > 1 else weight for name, weight in weights.items()}
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


def traced(export: Export) -> torch.export.ExportedProgram:
    """Trace the deployed module for any number of clips."""
    clips = export.clips(EXAMPLES)
    with torch.no_grad():
        program = torch.export.export(export.deployed(), (clips,), dynamic_shapes=any_batch(clips))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def any_batch(clips: Clips) -> dict[str, Any]:
    """Declare the first axis of all inputs dynamic."""
    batch = torch.export.Dim("batch", min=1)
    return {"clips": {name: {0: batch} for name in clips}}


def write_pt2(export: Export, file: BinaryIO) -> None:
    """Write a program for `torch.export.load`."""
    torch.export.save(traced(export), file, extra_files={ABOUT: as_json(export.about())})


def read_pt2(path: Path, device: torch.device) -> Run:
    """Load the program on a device."""
    with path.open("rb") as file:
        program = torch.export.load(file)
    return (program if device.type == "cpu" else move_to_device_pass(program, device)).module()


def write_onnx(export: Export, file: BinaryIO) -> None:
    """Write a graph of the default domain, checked by onnx."""
    checker = importlib.import_module("onnx.checker")
    deployed, clips = export.deployed(channels_last=False), export.clips(EXAMPLES)
    for name in ("onnx_ir", "onnxscript"):  # they tell of each constant
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "# The axis name: batch will not be used", UserWarning
        )  # twice, of two inputs
        program = torch.onnx.export(
            deployed,
            kwargs={"clips": clips},  # a last positional dict would be taken for these
            dynamo=True,
            dynamic_shapes=any_batch(clips),
            input_names=list(clips),
            output_names=deployed.outputs,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # paths of this machine
    program.model.metadata_props[ABOUT] = as_json(export.about() | {"opset": OPSET})
    checker.check_model(program.model_proto, full_check=True)
    file.write(program.model_proto.SerializeToString())


def load_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry turned off, which is on by default."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def read_onnx(path: Path, device: torch.device) -> Run:
    """Open a session of onnxruntime, with as many threads as torch has."""
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=[PROVIDERS[device.type]])
    names = [result.name for result in session.get_outputs()]

    def run(clips: Clips) -> Clips:
        results = session.run(names, {name: x.cpu().numpy() for name, x in clips.items()})
        return {name: torch.from_numpy(x) for name, x in zip(names, results, strict=True)}

    return run


def onnx_devices() -> list[str]:
    """Return the kinds of devices that the installed onnxruntime was built for."""
    providers = load_onnxruntime().get_available_providers()
    return [kind for kind, provider in PROVIDERS.items() if provider in providers]


FORMATS = {
    "safetensors": Format(write_safetensors, read_safetensors, holds_weights_alone=True),
    "pt2": Format(write_pt2, read_pt2),
    # onnxruntime has no bfloat16 convolution on a CPU, so that the file could not be checked.
    "onnx": Format(write_onnx, read_onnx, ("float32", "float16"), ("onnx", "onnxscript", "onnxruntime"), onnx_devices),
}
