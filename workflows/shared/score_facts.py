"""Metadata of score files: which videos were scored, how, and with which checkpoints."""

import json
import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from datasets import ClipDataset, Stream
from datasets.lists.entries import Listing
from datasets.records.clip_recipe import images_made
from datasets.records.fingerprint import list_sha256
from engine.checkpoint import finished_epochs
from models.backbones import arch_of
from opts import STATED
from sts_common.files import sha256
from sts_common.json_text import as_json

log = logging.getLogger(__name__)


class Source(Protocol):
    """A stream and its checkpoint, as `testing.evaluation.StreamSpec`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def stream(self) -> Stream | None: ...


def state_scored(
    opt: Namespace,
    dataset: ClipDataset,
    listing: Listing,
    sources: Sequence[Source],
    states: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return `Scores.about` as plain values, without the fusion of the streams.

    Args:
        opt: Options as used.
        dataset: What is scored.
        listing: What its annotation lists.
        sources: Streams.
        states: Their checkpoints.
    """
    about = {
        "subset": opt.test_subset,
        "dataset": opt.dataset,
        "split": opt.split,
        "list_sha256": list_sha256(listing.entries),
        "options": {name: getattr(opt, name) for name in STATED},
        "provenance": images_made(dataset.reader.store, opt.flow_source),
        "activation": opt.fusion if opt.clip_mean == "after" else "",
        "checkpoints": {
            source.name: state_checkpoint(opt, source, state) for source, state in zip(sources, states, strict=True)
        },
    }
    return json.loads(as_json(about, default=str, skipkeys=True))  # files of others may hold tensors


def state_checkpoint(opt: Namespace, source: Source, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a checkpoint; a published one has none."""
    assert source.stream
    return {
        "file": source.path,
        "sha256": sha256(source.path),
        "reads": source.stream.name,
        "arch": state.get("arch", arch_of(opt)),
        "epoch": finished_epochs(state),
        "recipe": state.get("recipe", {}),
    }


def check_held_out(opt: Namespace, state: Mapping[str, Any], source: str) -> None:
    """Refuse to score with `--test_subset val` a network that was trained on these videos.

    Args:
        opt: Options.
        state: The checkpoint; of a published one it is not known what it was trained on, and that is said.
        source: Its name, for errors.

    Raises:
        ValueError: If it held out other videos.
    """
    if opt.test_subset != "val":
        return
    stored = state.get("options", {})
    for name in ("dataset", "split", "val_fraction"):
        if name not in stored:
            log.warning("%s: does not say its --%s, so it may have been trained on these videos", source, name)
            return
        if stored[name] != getattr(opt, name):
            raise ValueError(
                f"{source}: trained with --{name} {stored[name]}, here it is {getattr(opt, name)}: it has seen videos "
                "that --test_subset val takes for held out"
            )
    if stored["val_fraction"] == 0:
        raise ValueError(f"{source}: trained with --val_fraction 0: no videos are left for --test_subset val")
