"""The table of flows, and building one by name, or as a `flow.json` or a checkpoint states that it was made."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sts_common import check_choice

from .encoding import encode
from .motionnet import motionnet
from .opencv import dis, farneback
from .pairs import FlowSolver
from .raft import raft
from .tvl1 import backends as solvers
from .tvl1.parameters import PRESETS

# Flow -> the backends that compute it, as functions of (preset, device, threads, parameters).
FLOWS: dict[str, dict[str, Callable[..., FlowSolver]]] = {
    "tvl1": {
        "native": solvers.native,
        "torch": solvers.torch_eager,
        "cuda": solvers.cuda,
        "opencv": solvers.opencv,
    },
    "dis": {"opencv": solvers.without_preset(dis)},
    "farneback": {"opencv": solvers.without_preset(farneback)},
    "motionnet": {"torch": solvers.without_preset(motionnet, takes_device=True)},
    "raft": {"torch": solvers.without_preset(raft, takes_device=True)},
}
LEARNED = {"motionnet": "MotionNet", "raft": "RAFT"}  # flows that need a file of weights
BACKENDS = ("auto", *FLOWS["tvl1"])

Record = Mapping[str, Any]


def build_flow(
    name: str,
    backend: str = "auto",
    preset: str = "opencv",
    *,
    device: str | None = None,
    threads: int | None = None,
    **parameters: Any,
) -> FlowSolver:
    """Build a flow from one grey image to the next; one object serves any number of pairs of any size.

    Args:
        name: A key of `FLOWS`.
        backend: What computes it. "auto" solves TV-L1 on the GPU for tensors that are there and otherwise natively,
            or by torch, with a warning, where the native kernel cannot be compiled.
        preset: A key of `PRESETS`, for TV-L1: whose default parameters.
        device: Where "torch" and "cuda" compute arrays, e.g. "cuda:1"; tensors on a GPU are computed where they are.
        threads: Pairs of a batch that "native" solves at a time; None takes all cores.
        parameters: Solver parameters that replace the preset's, by the names in `.description["parameters"]`.

    Returns:
        A callable `(previous, following) -> flow`: uint8 (H, W) or (N, H, W), arrays or tensors on any device, in;
        float32 (..., H, W, 2) of the same kind and on the same device out, pixels per frame, x first:
        `following[y + flow_y, x + flow_x]` is what `previous[y, x]` became.
        Its `.description` holds algorithm, parameters and library in plain types.

    Raises:
        ValueError: A name, backend, preset or parameter that does not exist, or a backend that this machine lacks;
            the message says how to get it.
    """
    check_choice("flow", name, FLOWS)
    check_choice("flow backend", backend, BACKENDS)
    check_choice("flow preset", preset, PRESETS)
    if backend == "auto":
        build = solvers.auto if name == "tvl1" else next(iter(FLOWS[name].values()))
    elif backend in FLOWS[name]:
        build = FLOWS[name][backend]
    else:
        raise ValueError(f"flow {name} has no backend {backend!r}; choose from auto, {', '.join(FLOWS[name])}")
    return build(preset, device, threads, parameters)


def available(name: str = "tvl1") -> dict[str, str]:
    """Return the backends of a flow here: "" where usable, else what is missing and how to get it."""
    return {backend: solvers.MISSING[backend]() for backend in FLOWS[name]}


def rebuild_flow(record: Record, *, device: str | None = None, threads: int | None = None) -> FlowSolver:
    """Build the solver of a record; what the record does not state is as in the published tools.

    It has the record's "parameters" wherever it computes, also those of a preset that has changed since; a GPU only if
    `suits_gpu`. Raises ValueError for a learned flow, whose weights a record does not hold, or what this machine cannot
    compute.
    """
    name, parameters = record.get("algorithm", "tvl1"), record.get("parameters", {})
    if name in LEARNED:
        raise ValueError(f"was made with {LEARNED[name]}'s flow, which needs weights that are not stored here")
    backend = "opencv" if parameters.get("gamma") else "auto"
    return build_flow(name, backend, device=device, threads=threads, **parameters)


def suits_gpu(record: Record) -> bool:
    """Return whether a GPU can compute the flow of a record."""
    return record.get("algorithm", "tvl1") == "tvl1" and not record.get("parameters", {}).get("gamma")


def recorded_encoding(record: Record) -> dict[str, Any]:
    """Return the arguments of `encode` that a record states; others are as in the published tools."""
    return {"bound": record.get("bound", 20.0), "quantisation": record.get("quantisation", "truncate")}


def solved_levels(
    solver: FlowSolver,
    previous: NDArray[np.uint8],
    following: NDArray[np.uint8],
    device: str,
    bound: float,
    quantisation: str,
) -> NDArray[np.uint8]:
    """Compute the flow of grey images (N, H, W) on a device, as grey levels (N, H, W, 2) of `encode`.

    They are encoded where they are: an eighth of the bytes of the flow come back.
    """
    images = (torch.from_numpy(x).to(device) for x in (previous, following))
    levels: torch.Tensor = encode(solver(*images), bound, quantisation)
    return levels.cpu().numpy()
