"""Runtimes that run exported files without torch's networks: OpenVINO and onnxruntime."""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sts_common.files import sha256

ABOUT = "sts_net"  # the entry of a file that says in JSON what is in it, as in safetensors files
WEIGHTS = ".bin"  # ending of the weights that lie beside an OpenVINO file
CHECKSUM = "weights_sha256"  # entry of its description that binds it to them
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

Clips = dict[str, Tensor]
Run = Callable[[Clips], Clips]


class ExportedModel(NamedTuple):
    """An exported file that is ready to run.

    Attributes:
        run: From inputs to results by name, tensors on the CPU; several threads may call it at a time.
        about: What the file says of itself.
    """

    run: Run
    about: dict[str, Any]


class Runtime(NamedTuple):
    """A program that runs exported files.

    Attributes:
        open: Opens a file on a device, for so many threads in all and calls at a time.
        suffixes: Of the files that it reads; the first is the one that it is chosen for.
        requires: Packages without which it is not there.
        devices: Kinds of devices it can run on here.
    """

    open: Callable[[Path, str, int, int], ExportedModel]
    suffixes: Sequence[str]
    requires: Sequence[str]
    devices: Callable[[], Sequence[str]]


def check_packages(option: str, packages: Sequence[str]) -> None:
    """Refuse what packages are missing for.

    Raises:
        ValueError: Names the option and the cure.
    """
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise ValueError(f"{option} needs {', '.join(missing)}: pip install {' '.join(missing)}")


def load_openvino(name: str = "openvino") -> Any:
    """Import OpenVINO, or NNCF, without their telemetry, which is on by default."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # both go on without it
    return importlib.import_module(name)


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread its stack for signals back at the end of a block that compiles for OpenVINO's CPU plugin.

    The plugin puts a stack of its own in its place, and frees it when the last network is gone. Where that happens in
    another thread, the next signal would be handled on freed memory, which ends the process (OpenVINO 2026.4).
    """
    if os.name != "posix":
        yield
        return
    libc, kept = ctypes.CDLL(None), ctypes.create_string_buffer(64)  # bytes of a stack_t, whatever its fields
    libc.sigaltstack(None, kept)
    try:
        yield
    finally:
        libc.sigaltstack(kept, None)


def load_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry turned off, which is on by default."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def open_openvino(path: Path, device: str = "cpu", threads: int = 0, calls: int = 1) -> ExportedModel:
    """Compile an OpenVINO file, or an ONNX file, for the CPU.

    Args:
        path: Ends in .xml, with its weights beside it, or in .onnx.
        device: "cpu".
        threads: In all; 0 for as many as torch has.
        calls: That run at a time, each with its part of the threads.

    Raises:
        FileNotFoundError: If the file or its weights are missing.
        ValueError: If it is damaged, or none of export.py.
    """
    assert device == "cpu"
    openvino, weights = load_openvino(), path.with_suffix(WEIGHTS)
    core, is_onnx = openvino.Core(), path.suffix == ".onnx"
    for file in [path] if is_onnx else [path, weights]:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file")
    try:
        model = core.read_model(path) if is_onnx else core.read_model(path, weights)
        entry = ["framework", ABOUT] if is_onnx else [ABOUT]
        stated = model.get_rt_info(entry).astype(str) if model.has_rt_info(entry) else None
    except RuntimeError as error:
        raise ValueError(f"{path}: is no file of OpenVINO or damaged ({one_line(error)})") from error
    about = read_about(stated, path)
    if not is_onnx and sha256(weights) != about[CHECKSUM]:
        raise ValueError(f"{weights}: are not the weights that {path.name} was written with: copy or export both again")
    settings = {
        # Where it is left out, processors with bfloat16 compute in it.
        "INFERENCE_PRECISION_HINT": "bf16" if about["dtype"] == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "NUM_STREAMS": calls,
        "ENABLE_CPU_PINNING": False,  # to cores that other programs may use
    }
    with kept_signal_stack():
        compiled = core.compile_model(model, "CPU", settings)
    names = [result.any_name for result in compiled.outputs]
    local = threading.local()  # a request is one call at a time

    def run(clips: Clips) -> Clips:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        results = local.request.infer({name: clips[name].cpu().numpy() for name in about["inputs"]})
        return {name: torch.from_numpy(results[i].copy()) for i, name in enumerate(names)}  # a request keeps its own

    return ExportedModel(run, about)


def open_onnxruntime(path: Path, device: str = "cpu", threads: int = 0, calls: int = 1) -> ExportedModel:
    """Open a session of onnxruntime; arguments and errors as `open_openvino`, for a file that ends in .onnx."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = max(1, (threads or torch.get_num_threads()) // calls)
    try:
        session = runtime.InferenceSession(str(path), options, providers=[provider(torch.device(device))])
    except Exception as error:
        raise ValueError(f"{path}: is no file of ONNX or damaged ({one_line(error)})") from error
    stated = session.get_modelmeta().custom_metadata_map.get(ABOUT)
    about = read_about(stated, path)
    names = [result.name for result in session.get_outputs()]

    def run(clips: Clips) -> Clips:
        results = session.run(names, {name: clips[name].cpu().numpy() for name in about["inputs"]})
        return {name: torch.from_numpy(x) for name, x in zip(names, results, strict=True)}

    return ExportedModel(run, about)


def provider(device: torch.device) -> tuple[str, dict[str, int]]:
    """Return onnxruntime's name of a device, and its settings; by itself it takes the first GPU, and rounds to TF32."""
    settings = {"device_id": device.index or 0, "use_tf32": 0} if device.type == "cuda" else {}
    return PROVIDERS[device.type], settings


def onnxruntime_devices() -> list[str]:
    """Return the kinds of devices that the installed onnxruntime was built for."""
    providers = load_onnxruntime().get_available_providers()
    return [kind for kind, provider in PROVIDERS.items() if provider in providers]


def read_about(stated: str | None, path: Path) -> dict[str, Any]:
    """Return what a file says of itself.

    Raises:
        ValueError: If it says nothing.
    """
    if not stated:
        raise ValueError(f"{path}: does not say how to use it, as files of export.py do: export the checkpoint")
    about: dict[str, Any] = json.loads(stated)
    return about


def one_line(error: BaseException) -> str:
    """Return the last line of a message that says something; runtimes print the places in their source before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


ENGINES = {
    "openvino": Runtime(open_openvino, (".xml", ".onnx"), ("openvino",), lambda: ("cpu",)),
    "onnxruntime": Runtime(open_onnxruntime, (".onnx",), ("onnxruntime",), onnxruntime_devices),
}
