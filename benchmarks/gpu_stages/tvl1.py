"""Stage of TV-L1: distances between solvers, pairs per second by batch, shapes of the kernel, and a CUDA graph."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common.report import Record
from benchmarks.synthetic.scenes import make_scene
from flow.tvl1.native import NativeTVL1, missing
from flow.tvl1.parameters import build_parameters
from flow.tvl1.torch_solver import TorchTVL1

from .session import Session

PRESETS = ("fixed", "fast")
BATCHES = {"triton": (1, 8, 16, 33, 34, 66, 128), "torch": (1, 33)}
BATCH = 33  # pairs of 340 x 256 that fill whole waves of 132 processors
SHAPES = (  # tile, halo, warps
    *((64, 5, warps) for warps in (16, 32, 8)),
    *((64, 6, warps) for warps in (16, 32)),
    *((64, 3, 32), (32, 3, 8), (32, 5, 8), (32, 3, 4)),
)

Solve = Callable[[Tensor, Tensor], Tensor]
Build = Callable[[str], Any]


def measure_tvl1(session: Session, rows: Record) -> None:
    """Compare the solvers, then time them; on a GPU also every shape of the kernel, and a graph of all launches."""
    height, width = (40, 50) if session.dry else (256, 340)
    scenes = [make_scene(seed, height, width, 3.0, "noise") for seed in (0, 1)]
    pairs = [np.stack([getattr(scene, name) for scene in scenes]) for name in ("previous", "following")]
    builds = solvers(session)
    rows["difference_px"] = distances(session, builds, pairs)
    rows["pairs_per_s"], rows["host_ms"] = {}, {}
    first, second = (torch.from_numpy(images).to(session.device) for images in pairs)
    for preset in PRESETS:
        for name, build in builds.items():
            solver = build(preset)
            for count in (1, 2) if session.dry else BATCHES[name]:
                time_batch(session, rows, f"{preset}, {name}, {count}", solver, repeated(first, second, count))
    if session.gpu:
        batch = repeated(first, second, BATCH)
        rows["shapes"] = kernel_shapes(session, builds["triton"], batch)
        rows["graph_pairs_per_s"] = {}
        for count in (1, 8, 16, BATCH):
            measure = lambda n=count: graphed(session, builds["triton"]("fixed"), repeated(first, second, n))  # noqa: E731
            session.row(rows["graph_pairs_per_s"], str(count), measure)


def solvers(session: Session) -> dict[str, Build]:
    """Return builders of the solvers of the device, by name; they take the name of a preset."""
    device = str(session.device)
    builds: dict[str, Build] = {"torch": lambda preset: TorchTVL1(build_parameters(preset, {}), device=device)}
    if session.gpu:
        from flow.tvl1.triton_solver import TritonTVL1

        builds = {"triton": lambda preset: TritonTVL1(build_parameters(preset, {}))} | builds
    return builds


def repeated(first: Tensor, second: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return a batch of the first pair, so many times."""
    return first[:1].expand(count, -1, -1).contiguous(), second[:1].expand(count, -1, -1).contiguous()


def time_batch(session: Session, rows: Record, key: str, solver: Solve, batch: tuple[Tensor, Tensor]) -> None:
    """Measure pairs per second, and what the host alone needs."""
    session.row(rows["pairs_per_s"], key, lambda: len(batch[0]) / session.seconds(lambda: solver(*batch)))
    session.row(rows["host_ms"], key, lambda: 1000 * session.host_seconds(lambda: solver(*batch)))


def distances(session: Session, builds: Mapping[str, Build], pairs: list[NDArray[np.uint8]]) -> dict[str, list[float]]:
    """Compute mean, median and largest distance in pixels of the flow of each solver from that of torch."""
    on_device, apart = [torch.from_numpy(images).to(session.device) for images in pairs], {}
    for preset in PRESETS:
        flows = {name: build(preset)(*on_device).cpu().numpy() for name, build in builds.items()}
        if not missing():
            flows["native"] = NativeTVL1(build_parameters(preset, {}))(*pairs)
        for name in flows.keys() - {"torch"}:
            error = np.linalg.norm(flows[name] - flows["torch"], axis=-1)
            apart[f"{preset}: {name} - torch"] = [float(f(error)) for f in (np.mean, np.median, np.max)]
    return apart


@contextmanager
def shaped(kernels: ModuleType, tile: int, halo: int, warps: int) -> Iterator[None]:
    """Give the kernel another shape within the block."""
    original = kernels.TILE, kernels.HALO, kernels.WARPS
    kernels.TILE, kernels.HALO, kernels.WARPS = tile, halo, warps  # type: ignore[attr-defined]
    try:
        yield
    finally:
        kernels.TILE, kernels.HALO, kernels.WARPS = original  # type: ignore[attr-defined]


def kernel_shapes(session: Session, build: Build, batch: tuple[Tensor, Tensor]) -> Record:
    """Measure pairs per second in each shape, and the distance of the flow from that of the default shape."""
    from flow.tvl1 import triton_kernels as kernels

    reference, rows = build("fixed")(*batch)[0], Record()
    for shape in SHAPES:

        def measure(shape: tuple[int, int, int] = shape) -> dict[str, float]:
            with shaped(kernels, *shape):
                solver = build("fixed")
                distance = (solver(*batch)[0] - reference).norm(dim=-1).mean().item()
                return {"pairs_per_s": len(batch[0]) / session.seconds(lambda: solver(*batch)), "px": distance}

        session.row(rows, "tile {}, halo {}, warps {}".format(*shape), measure)
    return rows


def graphed(session: Session, solver: Any, batch: tuple[Tensor, Tensor]) -> float:
    """Measure pairs per second of a CUDA graph of all launches."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        solver.find(*batch)  # what is compiled at the first call is done
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        solver.find(*batch)
    return len(batch[0]) / session.seconds(graph.replay)
