"""Settings of an extraction."""

from dataclasses import dataclass
from typing import Any

from datasets.decoding.video.containers import load_av
from datasets.decoding.video.sizes import MAX_SIDE
from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE
from flow import FLOWS, build_flow
from flow.encoding import check_bound
from sts_common import check_choice
from sts_common.typed import check_fields

FLOW_QUALITY = 95  # OpenCV's default, which all published tools used


@dataclass(frozen=True, kw_only=True)
class FlowRecipe:
    """Settings of the flow solver and of its quantisation; names and values are those of `flow.build_flow`.

    Attributes:
        parameters: Those of the solver that replace the preset's, as pairs.
        bound: Pixels that become grey level 255.
    """

    name: str = "tvl1"
    backend: str = "auto"
    preset: str = "opencv"
    parameters: tuple[tuple[str, Any], ...] = ()
    bound: float = 20.0
    quantisation: str = "truncate"

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("flow", self.name, FLOWS)
        check_bound(self.bound)

    def build(self) -> Any:
        """Build the solver."""
        return build_flow(self.name, self.backend, self.preset, **dict(self.parameters))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of the images. None keeps the video's rate or size; without `flow` only frames are written."""

    fps: float | None = 25.0
    short_side: int | None = 256
    quality: int = 95
    allow_short: bool = False
    flow: FlowRecipe | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value, least, most in (
            ("fps", self.fps, 0.01, 999),
            ("short_side", self.short_side, 1, MAX_SIDE),
            ("quality", self.quality, 1, 100),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"--{name} {value} is not between {least} and {most}")

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that are written."""
        return ("rgb", "flow") if self.flow else ("rgb",)

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the content of each provenance file, by file name."""
        geometry = {"fps": self.fps, "short_side": self.short_side}
        records = {FRAMES_FILE: geometry | {"quality": self.quality, "decoder": f"pyav {load_av().__version__}"}}
        if self.flow:
            encoding = {"bound": self.flow.bound, "quantisation": self.flow.quantisation, "quality": FLOW_QUALITY}
            records[FLOW_FILE] = self.flow.build().description | geometry | encoding
        return records
