"""Export of trained networks by keyword arguments: the file, checked against the networks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..predicting.trained import Source, listed
from .formats import FORMATS, Format, check_format, destination
from .parity import LIMITS, Parity, write_checked
from .plan import Export, build_export


class Exported(NamedTuple):
    """A written file.

    Attributes:
        path: Where it is.
        parity: Its deviation from the networks.
        plan: What is in it.
        kind: Its format.
    """

    path: Path
    parity: Parity
    plan: Export
    kind: Format


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
) -> Exported:
    """Write networks, fused if several, as one file for other programs, as export.py does.

    Args:
        networks: Checkpoint files, or networks; see `load_trained`.
        file: To write; "" for one beside the first checkpoint.
        format: A key of `FORMATS`; None for that of the file's name.
        dtype: Of weights and activations, a key of `DTYPES`.
        fusion: A key of `FUSIONS`: activation before streams are averaged.
        fusion_weights: One per network; None for equal ones.
        softmax: Whether probabilities are a second result.
        tolerance: Part of the largest score by which scores may differ; None for that of the `dtype`.
        class_names: Of networks alone, K names; else as their checkpoints state.
        recipe: How clips are made, of networks alone; else as their checkpoints state.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If the format cannot hold this, the networks cannot be one model, or the file would differ from
            them by more; then there is none.

    Example:
        >>> export(["rgb.pth", "sfs.pth"], "sts.onnx", softmax=True).parity.difference < 1e-4
        True
    """
    sources = listed(networks)
    name = format or Path(file).suffix[1:]
    if name not in FORMATS:
        raise ValueError(f"{file}: its name must end in .{' or .'.join(FORMATS)}")
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
    limit = LIMITS[dtype] if tolerance is None else tolerance
    return Exported(path, write_checked(plan, FORMATS[name], path, limit), plan, FORMATS[name])
