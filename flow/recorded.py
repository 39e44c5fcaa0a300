"""Flow as a `flow.json` or a checkpoint states that it was made."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .encoding import encode
from .flows import LEARNED, build_flow
from .pairs import FlowSolver

Record = Mapping[str, Any]


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
