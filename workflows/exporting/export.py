"""Export of trained networks by keyword arguments: the file, checked against the networks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from datasets import FLOW, parse_view
from sts_common import counted

from ..predicting.trained import Source, listed
from .calibration import CalibrationSettings, open_calibration
from .formats import FORMATS, Format, check_format, destination
from .parity import BATCHES, LIMITS, Parity, write_checked
from .plan import INT8, Export, build_export
from .real_clips import Accuracies


class Exported(NamedTuple):
    """A written file."""

    path: Path
    parity: Parity  # its deviation from the networks
    plan: Export  # its content
    kind: Format
    accuracies: Accuracies | None = None  # of the networks and the file on held-out videos, if it is in int8
    latency: Sequence[str] = ()  # lines of a table, if rounds were asked for

    @property
    def bytes(self) -> int:
        """Size, with the weights that lie beside it."""
        beside = [self.path.with_suffix(self.kind.weights)] if self.kind.weights else []
        return sum(file.stat().st_size for file in (self.path, *beside))


def export(  # noqa: PLR0913  an interface of keywords
    networks: Source | Iterable[Source],
    file: str | Path = "",
    *,
    format: str | None = None,
    dtype: str = "float32",
    fusion: str = "activno",
    fusion_weights: Sequence[float] | None = None,
    softmax: bool = False,
    tolerance: float | None = None,
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
    calibrate: CalibrationSettings | None = None,
    rounds: int = 0,
) -> Exported:
    """Write networks, fused if several, as one file for other programs, as export.py does.

    Args:
        networks: Checkpoint files, or networks; see `load_trained`.
        file: To write; "" for one beside the first checkpoint.
        format: A key of `FORMATS`; None for that of the file's name.
        dtype: Of weights and activations, a key of `DTYPES`, or "int8", which needs `calibrate`.
        fusion: A key of `FUSIONS`: activation before streams are averaged.
        fusion_weights: One per network; None for equal ones.
        softmax: Whether probabilities are a second result.
        tolerance: Part of the largest score by which scores may differ; None for that of the `dtype`.
        class_names: Of networks alone, K names; else as their checkpoints state.
        recipe: How clips are made, of networks alone; else as their checkpoints state.
        calibrate: Videos by which int8 is quantised, and its accuracy measured.
        rounds: Of the latency table, >= 0; 0 leaves it out.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If the format cannot hold this, the networks cannot be one model, or the file would differ from
            them by more, or be less accurate by more than `calibrate` allows; then there is none.

    Example:
        >>> export(["rgb.pth", "sfs.pth"], "sts.onnx", softmax=True).parity.difference < 1e-4
        True
    """
    sources = listed(networks)
    formats = {kind.suffix: name for name, kind in FORMATS.items()}
    name = format or formats.get(Path(file).suffix, "")
    if name not in FORMATS:
        raise ValueError(f"{file}: its name must end in {' or '.join(formats)}")
    if (dtype == INT8) != (calibrate is not None):
        raise ValueError("--dtype int8 and --calibrate need each other: give the folder of frames or videos as well")
    path = destination(str(file), name, [str(source) for source in sources if isinstance(source, str | Path)])
    check_format(name, dtype, len(sources), fusion, softmax)
    plan = build_export(
        sources,
        dtype=dtype,
        fusion=fusion,
        fusion_weights=fusion_weights,
        softmax=softmax,
        class_names=class_names,
        recipe=recipe,
    )
    if calibrate:
        plan = replace(plan, calibration=open_calibration(plan, calibrate))
    limit = LIMITS[dtype] if tolerance is None else tolerance
    parity, accuracies, latency = write_checked(plan, FORMATS[name], path, limit, rounds)
    return Exported(path, parity, plan, FORMATS[name], accuracies, latency)


def report(written: Exported, tolerance: float | None = None) -> list[str]:
    """Report the parity of a file with its checkpoints within `tolerance`, and its latency, in lines of Markdown."""
    parity, plan = written.parity, written.plan
    limit = LIMITS[plan.dtype] if tolerance is None else tolerance
    clips = "held-out clips" if plan.calibration else "noise"
    lines = [
        f"parity on {clips} in batches of {', '.join(map(str, BATCHES))}: {parity.difference:.1e} of the largest score "
        f"(limit {limit:.0e}), the same first class in {parity.agreeing} of {parity.clips} clips"
    ]
    if accuracies := written.accuracies:
        lines.append(
            f"accuracy on {counted(accuracies.videos, 'held-out training video')}, a clip each: "
            f"{accuracies.checkpoints:.2f} % of the checkpoints, {accuracies.file:.2f} % of the file, the same first "
            f"class in {accuracies.agreeing}"
        )
    lines += written.latency
    if any(parse_view(name).stream == FLOW for name in plan.shapes()):
        frames = plan.recipe["sample_duration"]
        lines.append(
            f"computing flow comes on top, {frames} pairs of frames per clip: docs/flow.md says what they take"
        )
    return lines
