"""The deployed module as a program of torch, for any number of clips."""

import re
from typing import Any

import torch

from models.inference.runtimes import Clips

from .plan import Export

EXAMPLES = 2  # clips with which a network is traced; of one, torch would take the batch for fixed


def trace(export: Export, *, channels_last: bool = True) -> torch.export.ExportedProgram:
    """Trace the deployed module for any number of clips."""
    clips = export.clips(EXAMPLES)
    with torch.no_grad():
        program = torch.export.export(
            export.deployed(channels_last=channels_last), (clips,), dynamic_shapes=any_batch(clips)
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def unsupported(name: str, error: Exception) -> ValueError:
    """Build the error for a format `name` whose converter, by its own error, lacks an operation of a network."""
    missing = ", ".join(sorted(set(re.findall(r"aten\.\w+", str(error)))))
    reason = f"has no {missing}, which this network computes" if missing else str(error).partition("\n")[0]
    return ValueError(f"--format {name}: {reason}; choose another format, pt2 takes any network")


def any_batch(clips: Clips) -> dict[str, Any]:
    """Declare the first axis of all inputs dynamic."""
    batch = torch.export.Dim("batch", min=1)
    return {"clips": {name: {0: batch} for name in clips}}
