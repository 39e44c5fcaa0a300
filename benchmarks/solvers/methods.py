"""Flow solvers under comparison: every backend and preset, each code path of the native kernel apart."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.report import holds
from benchmarks.synthetic.scenes import end_point_error, grey_difference
from flow import build_flow
from flow.tvl1.native import NativeTVL1
from flow.tvl1.parameters import build_parameters
from sts_common.timing import cpu_seconds

Solver = Any
Flow = NDArray[np.float32]
Errors = Callable[[Flow, Any, Any], dict[str, float]]
Builders = dict[str, Callable[[], Solver]]

REFERENCE = "cv2 tvl1"
DISTINCT = ("opencv", "fast")  # the presets; "fixed" is "opencv"
ISAS = ("baseline", "avx2", "avx512")

log = logging.getLogger(__name__)


def native(preset: str, isa: str = "auto", threads: int = 1) -> NativeTVL1:
    """Build the native kernel with a certain code path and number of threads."""
    return NativeTVL1(build_parameters(preset, {}), isa, threads)


def native_thirty_iterations() -> NativeTVL1:
    """Build the former "fixed" schedule: 30 iterations in each warp, without a stop criterion."""
    schedule = {"epsilon": 0.0, "outer_iterations": 1, "median_filtering": 1}
    return NativeTVL1(build_parameters("fixed", schedule), threads=1)


CPU: Builders = {
    REFERENCE: partial(build_flow, "tvl1", "opencv"),
    "cv2 tvl1 fast": partial(build_flow, "tvl1", "opencv", "fast"),
    "cv2 farneback": partial(build_flow, "farneback"),
    "cv2 dis": partial(build_flow, "dis"),
    **{f"native {preset} {isa}": partial(native, preset, isa) for preset in DISTINCT for isa in ISAS},
    "native 30 per warp": native_thirty_iterations,
    **{f"torch {preset} eager": partial(build_flow, "tvl1", "torch", preset) for preset in DISTINCT},
}
GPU: Builders = {
    f"{backend} {preset}": partial(build_flow, "tvl1", backend, preset)
    for preset in DISTINCT
    for backend in ("torch", "cuda")
}


def workable(builders: Builders, wanted: Sequence[str], *images: Any) -> tuple[dict[str, Solver], dict[str, str]]:
    """Return the solvers whose name holds one of `wanted` (all without), each called once with `images` to warm up.

    The first of `builders` is always among them if it is `REFERENCE`. Also, by name, why others do not work here.
    """
    solvers: dict[str, Solver] = {}
    missing: dict[str, str] = {}
    for name, build in builders.items():
        if wanted and name != REFERENCE and not holds(name, wanted):
            continue
        try:
            solver = build()
            solver(*images)
        except ValueError as error:
            missing[name] = str(error)
            log.info("left out: %s: %s", name, error)
        else:
            solvers[name] = solver
    return solvers, missing


def measure(
    pairs: Sequence[Any], wanted: Sequence[str], errors: Errors, *, gpu: bool = False
) -> tuple[dict[str, Any], Sequence[Flow | None]]:
    """Measure CPU time and errors of each solver of `CPU` whose name holds one of `wanted`, pair by pair.

    A pair has the grey images (H, W) `previous` and `following`, and what `errors` wants to know; that takes a flow,
    `REFERENCE`'s and the pair. With `gpu`, solvers of a GPU are measured afterwards, which can do without `REFERENCE`.
    Returns rows by solver in "cpu", why others were left out in "missing", and `REFERENCE`'s flow of each pair, None
    where it does not work here and only solvers of a GPU are wanted. Raises ValueError if it is needed and missing.
    """
    solvers, missing = workable(CPU, wanted, pairs[0].previous, pairs[0].following)
    if REFERENCE in missing:
        if gpu and wanted and not any(holds(name, wanted) for name in CPU):
            return {"cpu": {}, "missing": missing}, [None] * len(pairs)
        raise ValueError(missing[REFERENCE])
    rows: dict[str, Any] = {name: {"description": solver.description, "pairs": []} for name, solver in solvers.items()}
    references = []
    for number, pair in enumerate(pairs, 1):
        timed = {name: cpu_seconds(partial(solver, pair.previous, pair.following)) for name, solver in solvers.items()}
        seconds, reference = timed[REFERENCE]
        for name, (spent, flow) in timed.items():
            row = {"cpu_s": spent, "ratio": seconds / spent, **errors(flow, reference, pair)}
            rows[name]["pairs"].append(row)
        references.append(reference)
        log.info("%d of %d pairs", number, len(pairs))
    return {"cpu": rows, "missing": missing}, references


def distance(flow: Flow, reference: Flow) -> dict[str, float]:
    """Compute the distance of two flows in pixels and in stored grey levels."""
    levels, within = grey_difference(flow, reference)
    return {"px": end_point_error(flow, reference), "levels": levels, "within_1": within}
