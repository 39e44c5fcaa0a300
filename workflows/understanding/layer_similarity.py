"""Similarity of the features of a student and its teacher, layer by layer, on validation clips (linear CKA)."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from datasets import ClipLoader, OnlineFlow, Stream, VideoDataset
from engine import checkpoint
from models import StreamNetwork
from models.analysis.similarity import FEATURES, MIN_CLIPS, LinearCKA
from models.distill.distiller import counterpart, review_levels
from models.distill.review import as_map
from sts_common import counted

from ..testing.fusing import check_distinct
from ..testing.inputs import stream_of
from ..training.teacher_flow import flow_seen
from .similarity_report import describe, write_matrix, write_picture

GROUP = 256  # clips whose pooled features are compared with each other; maps are by batches, for their size

log = logging.getLogger(__name__)


class StoredNetwork(NamedTuple):
    """A network to compare, in its file."""

    state: Mapping[str, Any]  # content of the checkpoint
    source: str  # the file
    stream: Stream  # what the network reads


def read_networks(student: str, teacher: str, baseline: str | None = None) -> dict[str, StoredNetwork]:
    """Read the checkpoints of a student, of its teacher and of a network that had none, by their roles.

    Raises FileNotFoundError if a file is missing; ValueError if one is damaged, or there twice.
    """
    roles = {"student": student, "teacher": teacher, "baseline": baseline}
    paths = {role: path for role, path in roles.items() if path}
    check_distinct(
        [*paths.values()], "a network is like itself: --student, --teacher and --baseline are different ones"
    )
    states = {role: checkpoint.load(path) for role, path in paths.items()}
    return {role: StoredNetwork(states[role], path, stream_of(states[role], path)) for role, path in paths.items()}


def flow_read(stored: Iterable[StoredNetwork], *, in_workers: bool) -> OnlineFlow | None:
    """Return the flow that the first network which reads flow has seen, to be computed; None if there is none."""
    state = next((network.state for network in stored if network.stream.is_flow), None)
    if state is None:
        return None
    return flow_seen(state, "the checkpoint that reads flow", torch.device("cpu"), in_workers=in_workers)


def similarity(
    networks: Mapping[str, StreamNetwork],
    loader: ClipLoader,
    *,
    device: torch.device,
    features: str = "pooled",
    out: Path | None = None,
) -> dict[str, Any]:
    """Compare the features of networks on clips, as utils1/layer_similarity.py does; returns as `describe`.

    The networks, "student" and "teacher", and "baseline" if there is one, are brought to the device and into eval mode.
    With `out` every layer against every other is written, as .csv and .png.
    """
    compared = [network.to(device).eval() for network in networks.values()]
    cka = compare(compared, loader, device, features)
    paths = {role: network.source for role, network in networks.items()}
    report = describe(cka, paths, levels_of(compared), features)
    if out:
        write_matrix(out / "similarity.csv", report)
        write_picture(out / "similarity.png", report)
    return report


def check_clips(count: int) -> None:
    """Refuse a number of clips that similarity cannot be measured with."""
    if count < MIN_CLIPS:
        raise ValueError(f"--clips {count}: similarity needs at least {MIN_CLIPS}")


def choose_clips(loader: ClipLoader, count: int, source: str) -> ClipLoader:
    """Choose a clip of so many videos, or all, evenly spaced over the list, for that is sorted by class.

    Raises ValueError, which names the `source` of the list, if there are too few videos.
    """
    whole = loader.dataset
    assert isinstance(whole, VideoDataset)
    count = min(count, len(whole))
    if count < MIN_CLIPS:
        text = counted(count, "validation video")
        raise ValueError(f"{source}: {text}; similarity needs at least {MIN_CLIPS}")
    videos = [whole.videos[k * len(whole) // count] for k in range(count)]
    chosen = VideoDataset(videos, whole.reader, sample=whole.sample, length=whole.length, seed=whole.seed)
    return replace(loader, dataset=chosen)


def compare(networks: Sequence[StreamNetwork], loader: ClipLoader, device: torch.device, kind: str) -> LinearCKA:
    """Compare every level of every network with every other, the networks' levels one after the other."""
    cka = LinearCKA(len(networks) * len(levels_of(networks)))
    for group in groups(features_of(networks, loader, device, kind), GROUP if kind == "pooled" else 1):
        if len(group[0]) < MIN_CLIPS:
            log.warning("the last %s are too few to compare, and left out", counted(len(group[0]), "clip"))
        else:
            cka.update(group)
    if not cka.clips:
        raise ValueError(
            f"--batch_size {loader.batch_size}: similarity of maps needs at least {MIN_CLIPS} clips in a batch"
        )
    return cka


def features_of(
    networks: Sequence[StreamNetwork], loader: ClipLoader, device: torch.device, kind: str
) -> Iterator[list[Tensor]]:
    """Yield features of the clips of each batch: (N, D) for every network and level."""
    channels = [network.network.feature_channels for network in networks]
    chosen = [[counterpart(level, channels[0], widths) for level in levels_of(networks)] for widths in channels]
    with torch.inference_mode():
        for batch in tqdm(loader, "clips", leave=False, disable=None):
            clips = {name: x.to(device) for name, x in batch.items() if isinstance(x, Tensor)}
            outputs = zip((network(clips) for network in networks), chosen, strict=True)
            yield [FEATURES[kind](as_map(out, level)).float() for out, levels in outputs for level in levels]


def levels_of(networks: Sequence[StreamNetwork]) -> list[str]:
    """Return the levels of the first network for which all others have counterparts, in forward order."""
    first, *others = (network.network.feature_channels for network in networks)
    return [level for level in review_levels((), first) if all(counterpart(level, first, other) for other in others)]


def groups(batches: Iterable[list[Tensor]], size: int) -> Iterator[list[Tensor]]:
    """Regroup the rows in batches of at least `size`, but for the last one."""
    pending: list[list[Tensor]] = []
    for batch in batches:
        pending.append(batch)
        if sum(len(part[0]) for part in pending) >= size:
            yield [torch.cat(parts) for parts in zip(*pending, strict=True)]
            pending = []
    if pending:
        yield [torch.cat(parts) for parts in zip(*pending, strict=True)]
