"""Similarity of the features of a student and its teacher, layer by layer, on validation clips (linear CKA)."""

import logging
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from datasets import FLOW, ClipLoader, VideoDataset, build_loader, check_data, modality_of
from engine import checkpoint, setup
from models import StreamNetwork, load_stream
from models.analysis.similarity import FEATURES, FEWEST, LinearCKA
from models.distill.distiller import counterpart, reviewed
from models.distill.review import as_map
from opts import ARCHITECTURE, adopt, as_trained
from sts_common import counted
from sts_common.json_text import as_json

from ..testing.fusing import check_distinct
from ..testing.inputs import at_own_size, stream_of
from ..training.teacher_flow import build_teacher_flow
from .similarity_report import as_table, describe, write_matrix, write_picture

GROUP = 256  # clips whose pooled features are compared with each other; maps are by batches, for their size

log = logging.getLogger(__name__)


def main(opt: Namespace) -> dict[str, Any]:
    """Print the table; return its values."""
    if opt.clips < FEWEST:
        raise ValueError(f"--clips {opt.clips}: similarity needs at least {FEWEST}")
    roles = {"student": opt.student, "teacher": opt.teacher, "baseline": opt.baseline}
    paths = {role: path for role, path in roles.items() if path}
    check_distinct(
        [*paths.values()], "a network is like itself: --student, --teacher and --baseline are different ones"
    )
    states = {role: checkpoint.load(path) for role, path in paths.items()}
    streams = {role: stream_of(states[role], path) for role, path in paths.items()}
    data = as_trained(Namespace(**vars(opt) | {"modality": modality_of(streams.values())}), states["student"])
    device = setup(data.manual_seed, data.device)
    networks = []
    for role, path in paths.items():
        options = adopt(data, states[role], ARCHITECTURE)
        network = load_stream(options, streams[role], states[role], path).to(device).eval()
        check_data(at_own_size(network, data, states[role]), states[role], path, streams[role], None)
        networks.append(network)
    reader = next((role for role, stream in streams.items() if stream.source == FLOW.name), None)
    flow = (
        build_teacher_flow(data, states[reader], "the checkpoint that reads flow", torch.device("cpu"))
        if reader
        else None
    )
    whole = build_loader(data, "val", [network.view for network in networks], flow)
    loader = choose_clips(whole, opt.clips, data.annotation_path)
    alike = compare(networks, loader, device, opt.features)
    report = describe(alike, paths, levels_of(networks), opt.features)
    if opt.out:
        write_matrix(opt.out / "similarity.csv", report)
        write_picture(opt.out / "similarity.png", report)
    print(as_json(report, indent=2) if opt.json else as_table(report))  # noqa: T201 - the result
    return report


def choose_clips(loader: ClipLoader, count: int, source: str) -> ClipLoader:
    """Choose a clip of so many videos, evenly spaced over the list, for that is sorted by class.

    Args:
        loader: Of the validation videos.
        count: Clips, fewer if there are not as many videos.
        source: Their annotation, for errors.

    Raises:
        ValueError: If there are too few videos.
    """
    whole = loader.dataset
    assert isinstance(whole, VideoDataset)
    count = min(count, len(whole))
    if count < FEWEST:
        there = counted(count, "validation video")
        raise ValueError(f"{source}: {there}; similarity needs at least {FEWEST}")
    videos = [whole.videos[k * len(whole) // count] for k in range(count)]
    chosen = VideoDataset(videos, whole.reader, sample=whole.sample, length=whole.length, seed=whole.seed)
    return replace(loader, dataset=chosen)


def compare(networks: Sequence[StreamNetwork], loader: ClipLoader, device: torch.device, kind: str) -> LinearCKA:
    """Compare every level of every network with every other, the networks' levels one after the other.

    Args:
        networks: In eval mode, on `device`.
        loader: Clips of their views.
        device: Where they are.
        kind: A key of `FEATURES`.
    """
    alike = LinearCKA(len(networks) * len(levels_of(networks)))
    for group in groups(features_of(networks, loader, device, kind), GROUP if kind == "pooled" else 1):
        if len(group[0]) < FEWEST:
            log.warning("the last %s are too few to compare, and left out", counted(len(group[0]), "clip"))
        else:
            alike.update(group)
    if not alike.clips:
        raise ValueError(
            f"--batch_size {loader.batch_size}: similarity of maps needs at least {FEWEST} clips in a batch"
        )
    return alike


def features_of(
    networks: Sequence[StreamNetwork], loader: ClipLoader, device: torch.device, kind: str
) -> Iterator[list[Tensor]]:
    """Yield features of the clips of each batch: (N, D) for every network and level."""
    channels = [network.network.feature_channels for network in networks]
    chosen = [[counterpart(level, channels[0], own) for level in levels_of(networks)] for own in channels]
    with torch.inference_mode():
        for batch in tqdm(loader, "clips", leave=False, disable=None):
            clips = {name: x.to(device) for name, x in batch.items() if isinstance(x, Tensor)}
            outputs = zip((network(clips) for network in networks), chosen, strict=True)
            yield [FEATURES[kind](as_map(out, level)).float() for out, levels in outputs for level in levels]


def levels_of(networks: Sequence[StreamNetwork]) -> list[str]:
    """Return the levels of the first network for which all others have counterparts, in forward order."""
    first, *others = (network.network.feature_channels for network in networks)
    return [level for level in reviewed((), first) if all(counterpart(level, first, other) for other in others)]


def groups(batches: Iterable[list[Tensor]], size: int) -> Iterator[list[Tensor]]:
    """Regroup the rows in batches of at least `size`, but for the last one."""
    kept: list[list[Tensor]] = []
    for batch in batches:
        kept.append(batch)
        if sum(len(part[0]) for part in kept) >= size:
            yield [torch.cat(parts) for parts in zip(*kept, strict=True)]
            kept = []
    if kept:
        yield [torch.cat(parts) for parts in zip(*kept, strict=True)]
