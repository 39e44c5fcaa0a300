"""Exported files in place of networks: opened by a runtime, with all that they say of themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from datasets import parse_view
from engine.device.reproducibility import choose_device
from models.backbones.output import Output
from models.inference.runtimes import ENGINES, Clips, ExportedModel, check_packages

from .agreement import check_states
from .trained import Source, Trained

TORCH, AUTO = "torch", "auto"
CHOICES = (AUTO, TORCH, *ENGINES)


class ExportedNetwork:
    """An exported file as a network of a `Predictor`."""

    clips_on = torch.device("cpu")  # where it wants clips; its program copies them to where it computes

    def __init__(self, opened: ExportedModel) -> None:
        self.opened, self.views = opened, list(opened.about["inputs"])  # names of the views that it reads

    def __call__(self, batch: Clips) -> Output:
        """Compute logits (N, K), float32, of clips by view, uint8 (N, C, T, H, W)."""
        return Output(self.opened.run(batch)["logits"], {})


def engine_for(sources: Sequence[Source], engine: str) -> str:
    """Return the program that runs some sources: "torch", or a key of `ENGINES`; for "auto" by the names of the files.

    Raises ValueError if the program cannot read them, or is not there.
    """
    suffixes = [Path(source).suffix if isinstance(source, str | Path) else "" for source in sources]
    by_name = {runtime.suffixes[0]: name for name, runtime in ENGINES.items()}
    if engine == AUTO:
        engine = next((by_name[suffix] for suffix in suffixes if suffix in by_name), TORCH)
    for source, suffix in zip(sources, suffixes, strict=True):
        if engine in ENGINES and suffix not in ENGINES[engine].suffixes:
            suffixes_read = " and ".join(ENGINES[engine].suffixes)
            raise ValueError(f"{source}: --engine {engine} reads files of export.py that end in {suffixes_read}")
        if engine == TORCH and suffix in by_name:
            raise ValueError(f"{source}: is an exported file, which --engine {by_name[suffix]} reads, and not torch")
    if engine in ENGINES:
        check_packages(f"--engine {engine}", ENGINES[engine].requires)
    return engine


def device_for(engine: str, device: str) -> torch.device:
    """Return the device on which a program runs: the CPU where it knows no other, and none is asked for.

    Raises ValueError if it cannot run on the one that is asked for.
    """
    if engine == TORCH:
        return choose_device(device)
    kinds = ENGINES[engine].devices()
    place = choose_device(device if device != "auto" or "cuda" in kinds else "cpu")
    if place.type not in kinds:
        raise ValueError(f"--device {device}: --engine {engine} runs on {' or '.join(kinds)} here: leave --device out")
    return place


def open_exported(
    paths: Sequence[str], engine: str, device: torch.device, calls: int
) -> list[Trained[ExportedNetwork]]:
    """Open exported files that are used together, checked against each other; `calls` of each run at a time.

    Raises FileNotFoundError if a file is missing; ValueError if one is damaged, none of export.py, of other classes, or
    not of logits.
    """
    files = []
    for path in paths:
        opened = ENGINES[engine].open(Path(path), str(device), torch.get_num_threads(), calls)
        about = opened.about
        if (method := about["fusion"]["method"]) != "activno":
            raise ValueError(
                f"{path}: gives no logits, but scores of --fusion {method}: export it with --fusion activno"
            )
        files.append(Trained(ExportedNetwork(opened), state_of_file(about, engine), path))
    check_states(paths, [file.state for file in files])
    sides = [file.state["recipe"]["sample_size"] for file in files]
    for path, side in zip(paths, sides, strict=True):
        if side != sides[0]:
            raise ValueError(f"{path}: clips of {side} pixels, {paths[0]} of {sides[0]}: export both as one file")
    return files


def state_of_file(about: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return what a checkpoint would state, and what answers say of a file, of what it says of itself."""
    views, parts = [parse_view(name) for name in about["inputs"]], about["checkpoints"]
    flow = [view.stream.name for view in views if view.stream.is_flow]
    epochs = {part.get("epoch") for part in parts}
    return {
        "options": {},
        "class_names": about["class_names"],
        "recipe": about["recipe"],
        "stream": (flow or [view.stream.name for view in views])[0],
        "arch": " + ".join(str(part.get("arch")) for part in parts),
        "epoch": 1 + epochs.pop() if len(epochs) == 1 and None not in epochs else None,  # the next one, as there
        "engine": {
            "engine": engine,
            "dtype": about["dtype"],
            "checkpoints": [{name: part.get(name) for name in ("file", "arch", "epoch", "stream")} for part in parts],
            "weights": about["fusion"]["weights"],
        },
    }
