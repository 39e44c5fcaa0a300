"""TV-L1 optical flow as all its solvers share it: the problem, its parameters and their presets.

    min_u  sum |grad u1| + |grad u2| + lambda |I1(x + u) - I0(x)|

solved by duality on a pyramid (Zach, Pock, Bischof, DAGM 2007; Sanchez, Meinhardt-Llopis, Facciolo, IPOL 2013).
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

LIBRARY = "sts_net 0.1"  # the same for all our solvers: by the same parameters they find the same flow

PRESETS: dict[str, dict[str, float]] = {
    # OpenCV's CPU class: iterates until the flow changes less than epsilon per iteration.
    "opencv": {},
    # Once 5 warps of 30 iterations, for GPUs, which lost fast motion; they iterate as OpenCV does now.
    "fixed": {},
    # More scales reach larger motion, few iterations make slow motion less accurate: another flow.
    "fast": {
        "scales": 8,
        "warps": 3,
        "epsilon": 0.0,
        "inner_iterations": 10,
        "outer_iterations": 1,
        "median_filtering": 1,
    },
}


@dataclass(frozen=True, kw_only=True)
class TVL1:
    """Parameters of TV-L1; the defaults are OpenCV's, grey levels run from 0 to 255.

    Raises ValueError for a value outside these limits, or not a number.
    """

    tau: float = 0.25  # step of the dual ascent, > 0; stable up to 0.25
    lambda_: float = 0.15  # weight of the data term, > 0: smaller is smoother
    theta: float = 0.3  # coupling of the two subproblems, > 0
    scales: int = 5  # most levels of the pyramid; it also ends before a side falls below 16 pixels
    scale_step: float = 0.8  # size of a level over the next finer one, in (0, 1)
    warps: int = 5  # times that the second image is warped at each level
    # Root mean square change of the flow, in pixels of the level, at which a warp's iterations end; 0 runs all of them.
    epsilon: float = 0.01
    inner_iterations: int = 30  # iterations between two median filters
    outer_iterations: int = 10  # rounds of median filter and inner iterations in a warp, at most
    gamma: float = 0.0  # weight of an illumination term; only OpenCV's own solver takes anything but 0
    median_filtering: int = 5  # side of the median filter on the flow, 5 or 3; 1 is none

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            types = (int,) if field.type is int else (int, float)
            if isinstance(value, bool) or not isinstance(value, types):
                raise ValueError(f"tvl1 does not take {field.name}={value!r}")
            object.__setattr__(self, field.name, types[-1](value))
        for name, right, limits in (
            ("tau", 0 < self.tau < 1e6, "> 0"),
            ("lambda_", 0 < self.lambda_ < 1e6, "> 0"),
            ("theta", 0 < self.theta < 1e6, "> 0"),
            ("scales", 1 <= self.scales <= 64, "in [1, 64]"),
            ("scale_step", 0 < self.scale_step < 1, "in (0, 1)"),
            ("warps", 1 <= self.warps <= 1000, "in [1, 1000]"),
            ("epsilon", 0 <= self.epsilon < 1e6, ">= 0"),
            ("inner_iterations", 1 <= self.inner_iterations <= 10**6, "in [1, 10**6]"),
            ("outer_iterations", 1 <= self.outer_iterations <= 10**6, "in [1, 10**6]"),
            ("gamma", 0 <= self.gamma < 1e6, ">= 0"),
            ("median_filtering", self.median_filtering in (1, 3, 5), "1, 3 or 5"),
        ):
            if not right:
                raise ValueError(f"tvl1 needs {name} {limits}, got {getattr(self, name)}")

    def description(self) -> dict[str, Any]:
        """Return what is recorded beside the flow, in plain types."""
        return {"algorithm": "tvl1", "parameters": asdict(self), "library": LIBRARY}

    def pyramid(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return (height, width) of each level, finest first, rounded to even at ties as OpenCV does."""
        sizes = [(height, width)]
        while len(sizes) < self.scales:
            height, width = round(height * self.scale_step), round(width * self.scale_step)
            if min(height, width) < 16:
                break
            sizes.append((height, width))
        return sizes


def build_parameters(preset: str, parameters: dict[str, float]) -> TVL1:
    """Return the preset with some of its parameters replaced.

    Raises ValueError for a parameter that does not exist or is out of range.
    """
    names = [field.name for field in fields(TVL1)]
    for name in parameters:
        if name not in names:
            raise ValueError(f"tvl1 has no parameter {name!r}; it has {', '.join(names)}")
    return TVL1(**(PRESETS[preset] | parameters))  # type: ignore[arg-type]
