"""Metadata of score files: which videos were scored, how, and with which checkpoints."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from datasets import MODALITIES
from datasets.lists.entries import Listing
from datasets.records.fingerprint import list_sha256
from engine.checkpoint import finished_epochs
from sts_common.files import sha256
from sts_common.json_text import as_json

log = logging.getLogger(__name__)


def state_scored(
    listing: Listing,
    checkpoints: Mapping[str, Mapping[str, Any]],
    *,
    subset: str,
    options: Mapping[str, Any],
    provenance: Mapping[str, Any],
    activation: str,
) -> dict[str, Any]:
    """Return `Scores.about` as plain values, without the fusion of the streams.

    `checkpoints` are by stream as of `state_checkpoint`, `options` those of `RECORDED` as used, `provenance` as of
    `images_made`, `activation` that of clips before their mean is taken, a key of `FUSIONS`, or "".
    """
    about = {
        "subset": subset,
        "dataset": options["dataset"],
        "split": options["split"],
        "list_sha256": list_sha256(listing.entries),
        "options": dict(options),
        "provenance": dict(provenance),
        "activation": activation,
        "checkpoints": dict(checkpoints),
    }
    return json.loads(as_json(about, default=str, skipkeys=True))  # files of others may hold tensors


def state_checkpoint(path: str, state: Mapping[str, Any], arch: str, view: str) -> dict[str, Any]:
    """Return the metadata of a checkpoint whose network reads a view; a published one is of the network `arch`."""
    return {
        "file": path,
        "sha256": sha256(path),
        "reads": view,
        "arch": state.get("arch", arch),
        "epoch": finished_epochs(state),
        "recipe": state.get("recipe", {}),
    }


def was_distilled(state: Mapping[str, Any]) -> bool | None:
    """Return whether a checkpoint's network was distilled; None if it does not state its training."""
    options = state.get("options", {})
    if "modality" not in options:
        return None
    return bool("losses" in state or options.get("teacher")) or len(MODALITIES.get(options["modality"], ())) > 1


def check_held_out(state: Mapping[str, Any], source: str, *, dataset: str, split: int, val_fraction: float) -> None:
    """Refuse to score a network on the held-out videos if it was trained on them.

    Of a published checkpoint it is not known what it was trained on, and that is said. Raises ValueError if it held out
    other videos.
    """
    stored = state.get("options", {})
    for name, here in (("dataset", dataset), ("split", split), ("val_fraction", val_fraction)):
        if name not in stored:
            log.warning("%s: does not say its --%s, so it may have been trained on these videos", source, name)
            return
        if stored[name] != here:
            raise ValueError(
                f"{source}: trained with --{name} {stored[name]}, here it is {here}: it has seen videos "
                "that --test_subset val takes for held out"
            )
    if stored["val_fraction"] == 0:
        raise ValueError(f"{source}: trained with --val_fraction 0: no videos are left for --test_subset val")
