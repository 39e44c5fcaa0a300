"""Networks as exported files, quantised by noise where they are in int8: for times, and not for accuracies."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from models import StreamNetwork
from models.inference.runtimes import ENGINES, Clips, Run

from ..exporting.formats import FORMATS
from ..exporting.plan import INT8, Export, build_export
from ..exporting.real_clips import Calibration

FORMAT_OF = {"openvino": "openvino", "onnxruntime": "onnx"}  # of each engine
NOISE = 8  # clips of a quantisation


class NoiseClips:
    """Clips of noise, of the shapes of an export, as `CentreClips`."""

    def __init__(self, plan: Export, count: int) -> None:
        self.plan, self.labels = plan, [0] * count

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Clips:
        return self.plan.clips(1, seed=index)

    def batch(self, start: int, count: int) -> Clips:
        """Return so many clips as one batch."""
        return self.plan.clips(count, seed=start)

    def batches(self) -> Iterator[Clips]:
        """Yield all clips."""
        return (self[i] for i in range(len(self)))


def missing_packages(engine: str, dtype: str) -> list[str]:
    """Return the packages that are not here and without which a row cannot be measured."""
    kind = FORMATS[FORMAT_OF[engine]]
    return [name for name in (*kind.requires, *(kind.quantiser if dtype == INT8 else ())) if find_spec(name) is None]


def calibrated(plan: Export) -> Export:
    """Quantise a plan by noise, if it is in int8."""
    if plan.dtype != INT8:
        return plan
    clips: Any = NoiseClips(plan, NOISE)
    return replace(plan, calibration=Calibration(clips, clips, max_drop=100.0, about={"noise": NOISE}))


def write_exported(plan: Export, engine: str, folder: Path) -> Path:
    """Write an export for an engine, unchecked; return the file."""
    path = folder / f"network{ENGINES[engine].suffixes[0]}"
    with path.open("wb") as file:
        FORMATS[FORMAT_OF[engine]].write(plan, file)
    return path


def exported_run(model: StreamNetwork, shape: Sequence[int], engine: str, dtype: str) -> Run:
    """Return the call of a network as an exported file, with as many threads as torch has.

    Clips have the `shape` (C, T, H, W); `dtype` is a key of `DTYPES`, or `INT8`.
    """
    recipe = {"sample_size": shape[2], "sample_duration": shape[1], "clip_stride": 1}
    names = [f"class {i}" for i in range(model.num_classes)]
    plan = calibrated(build_export(model, dtype=dtype, class_names=names, recipe=recipe))
    with tempfile.TemporaryDirectory() as folder:
        path = write_exported(plan, engine, Path(folder))
        return ENGINES[engine].open(path, "cpu", torch.get_num_threads(), 1).run
