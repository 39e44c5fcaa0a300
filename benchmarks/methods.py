"""Flow solvers under comparison: every backend and preset, each code path of the native kernel apart."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flow import build_flow
from flow.tvl1.native import NativeTVL1
from flow.tvl1.parameters import build_parameters

Solver = Any
Builders = dict[str, Callable[[], Solver]]

REFERENCE = "cv2 tvl1"
DISTINCT = ("opencv", "fast")  # the presets; "fixed" is "opencv"
ISAS = ("baseline", "avx2", "avx512")

log = logging.getLogger(__name__)


def native(preset: str, isa: str = "auto", threads: int = 1) -> NativeTVL1:
    """Build the native kernel with a certain code path and number of threads."""
    return NativeTVL1(build_parameters(preset, {}), isa, threads)


def thirty(*, threads: int = 1) -> NativeTVL1:
    """Build the former "fixed" schedule: 30 iterations in each warp, whatever moves."""
    schedule = {"epsilon": 0.0, "outer_iterations": 1, "median_filtering": 1}
    return NativeTVL1(build_parameters("fixed", schedule), threads=threads)


CPU: Builders = {
    REFERENCE: partial(build_flow, "tvl1", "opencv"),
    "cv2 tvl1 fast": partial(build_flow, "tvl1", "opencv", "fast"),
    "cv2 farneback": partial(build_flow, "farneback"),
    "cv2 dis": partial(build_flow, "dis"),
    **{f"native {preset} {isa}": partial(native, preset, isa) for preset in DISTINCT for isa in ISAS},
    "native 30 per warp": thirty,
    **{f"torch {preset} eager": partial(build_flow, "tvl1", "torch", preset) for preset in DISTINCT},
}
GPU: Builders = {
    f"{backend} {preset}": partial(build_flow, "tvl1", backend, preset)
    for preset in DISTINCT
    for backend in ("torch", "cuda")
}


def check(wanted: Sequence[str]) -> None:
    """Raise ValueError unless some solver's name holds one of `wanted`, or none is."""
    if wanted and not any(text in name for text in wanted for name in (*CPU, *GPU)):
        raise ValueError(f"no solver's name holds {' or '.join(wanted)}; there are {', '.join((*CPU, *GPU))}")


def workable(builders: Builders, wanted: Sequence[str], *images: Any) -> tuple[dict[str, Solver], dict[str, str]]:
    """Return the solvers whose name holds one of `wanted` (all without), each called once with `images` to warm up.

    The first of `builders` is always among them if it is `REFERENCE`.

    Returns:
        Solvers by name, and why others do not work on this machine, by name.
    """
    solvers: dict[str, Solver] = {}
    missing: dict[str, str] = {}
    for name, build in builders.items():
        if wanted and name != REFERENCE and not any(text in name for text in wanted):
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
