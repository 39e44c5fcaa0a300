"""Input flow of a teacher, computed while its student trains."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from datasets import OnlineFlow
from flow import encode, rebuild_flow, recorded_encoding, suits_gpu


def flow_seen(checkpoint: Mapping[str, Any], source: str, device: torch.device, *, in_workers: bool) -> OnlineFlow:
    """Build flow with the solver and encoding of a teacher's checkpoint, or those of published ones.

    A GPU that can compute it does; otherwise the loader processes do, on a core each, if there are any (`in_workers`).
    `source` is the checkpoint's name, for errors, `device` that of the networks.

    Raises:
        ValueError: If the checkpoint does not say enough, or what it states cannot be computed here.
    """
    recipe = checkpoint.get("recipe", {}).get("provenance", {})
    on_gpu = device.type == "cuda" and suits_gpu(recipe)
    threads = 1 if in_workers else None
    build = partial(rebuild_flow, recipe, device=str(device) if on_gpu else None, threads=threads)
    encoding = recorded_encoding(recipe)
    try:
        description = build().description  # here as well: what cannot be had is known before training
    except ValueError as error:
        raise ValueError(f"{source}: {error}; extract its flow, and leave out --flow_source online") from error
    return OnlineFlow(
        build, partial(encode, **encoding), record=description | encoding, device=device if on_gpu else None
    )


def shared_flow(readers: Mapping[str, Mapping[str, Any]], device: torch.device, *, in_workers: bool) -> OnlineFlow:
    """Build the flow that all teachers which read flow have seen; the readers are their checkpoints by file.

    Raises:
        ValueError: If there are none, two of them saw unlike flow, or as `flow_seen`.
    """
    built = [(path, flow_seen(state, path, device, in_workers=in_workers)) for path, state in readers.items()]
    if not built:
        raise ValueError("--flow_source online: no teacher reads flow: leave it out")
    (first, flow), *others = built
    for path, other in others:
        if unlike := [name for name in flow.record if flow.record[name] != other.record.get(name)]:
            raise ValueError(
                f"{path}: saw flow with {unlike[0]} {other.record.get(unlike[0])}, and {first} with "
                f"{flow.record[unlike[0]]}, but --flow_source online computes one flow: leave out one of the teachers"
            )
    return flow
