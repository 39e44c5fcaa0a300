"""OpenCV's dense flow solvers behind one callable."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .pairs import CPU, solve

# Our parameter name -> the name in OpenCV's getter and setter.
TVL1 = {
    "tau": "Tau",
    "lambda_": "Lambda",
    "theta": "Theta",
    "scales": "ScalesNumber",
    "scale_step": "ScaleStep",
    "warps": "WarpingsNumber",
    "epsilon": "Epsilon",
    "inner_iterations": "InnerIterations",
    "outer_iterations": "OuterIterations",
    "gamma": "Gamma",
    "median_filtering": "MedianFiltering",
}
DIS = {
    "finest_scale": "FinestScale",
    "coarsest_scale": "CoarsestScale",
    "patch_size": "PatchSize",
    "patch_stride": "PatchStride",
    "iterations": "GradientDescentIterations",
    "refinement_iterations": "VariationalRefinementIterations",
    "refinement_alpha": "VariationalRefinementAlpha",
    "refinement_delta": "VariationalRefinementDelta",
    "refinement_gamma": "VariationalRefinementGamma",
    "refinement_epsilon": "VariationalRefinementEpsilon",
    "mean_normalization": "UseMeanNormalization",
    "spatial_propagation": "UseSpatialPropagation",
}
FARNEBACK = {
    "scales": "NumLevels",
    "scale_step": "PyrScale",
    "window": "WinSize",
    "iterations": "NumIters",
    "poly_n": "PolyN",
    "poly_sigma": "PolySigma",
    "fast_pyramids": "FastPyramids",
    "flags": "Flags",
}


def missing() -> str:
    """Return why this OpenCV has no TV-L1 and how to get it; "" if it has."""
    if hasattr(cv2, "optflow"):
        return ""
    return "this OpenCV has no TV-L1: uninstall opencv-python, then install opencv-contrib-python-headless"


def tvl1(**parameters: float) -> "OpenCVFlow":
    """Build duality-based TV-L1 (Zach et al., DAGM 2007), the flow of the published two-stream networks."""
    if reason := missing():
        raise ValueError(reason)
    return OpenCVFlow("tvl1", cv2.optflow.DualTVL1OpticalFlow.create(), TVL1, parameters)


def dis(**parameters: float) -> "OpenCVFlow":
    """Build dense inverse search (Kroeger et al., ECCV 2016), medium preset: fast, but not what TV-L1 networks saw."""
    return OpenCVFlow("dis", cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), DIS, parameters)


def farneback(**parameters: float) -> "OpenCVFlow":
    """Build polynomial expansion (Farneback, SCIA 2003)."""
    return OpenCVFlow("farneback", cv2.FarnebackOpticalFlow.create(), FARNEBACK, parameters)


class OpenCVFlow:
    """A solver of OpenCV as `(previous, following) -> flow`; see `build_flow` for shapes and units.

    `solver` is the `cv2` object, whose results do not depend on earlier pairs or on the number of threads; `properties`
    has OpenCV's names of our parameters, `parameters` those that differ from the solver's defaults.
    """

    def __init__(self, algorithm: str, solver: Any, properties: dict[str, str], parameters: dict[str, float]) -> None:
        for name, value in parameters.items():
            if name not in properties:
                raise ValueError(f"{algorithm} has no parameter {name!r}; it has {', '.join(properties)}")
            try:
                getattr(solver, f"set{properties[name]}")(value)
            except (TypeError, OverflowError, cv2.error) as error:
                raise ValueError(f"{algorithm} does not take {name}={value!r}") from error
        self.solver = solver
        self.description = {
            "algorithm": algorithm,
            "parameters": {name: getattr(solver, f"get{cv_name}")() for name, cv_name in properties.items()},
            "library": f"opencv {cv2.__version__}",
        }

    def __call__(self, previous: ArrayLike, following: ArrayLike) -> Any:
        return solve(previous, following, CPU, self.find)

    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W)."""
        images = (x.cpu().contiguous().numpy() for x in (previous, following))
        flow = np.empty((*previous.shape, 2), np.float32)
        for i, (first, second) in enumerate(zip(*images, strict=True)):
            try:
                flow[i] = self.solver.calc(first, second, None)
            except cv2.error as error:
                size = f"{first.shape[1]}x{first.shape[0]}"
                raise ValueError(f"{self.description['algorithm']} refuses images of {size}: {error.err}") from error
        return torch.from_numpy(flow)
