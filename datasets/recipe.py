"""What a checkpoint knows of the data it was made with, and whether other data fits it."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .provenance import flow_mismatch, read_provenance
from .streams import FLOW, Stream

log = logging.getLogger(__name__)

# Options that shape a clip; a checkpoint brings its own.
CLIP_OPTIONS = ("sample_size", "sample_duration", "layout")


def build_recipe(opt: Namespace) -> dict[str, Any]:
    """How the clips were made, as plain values for a checkpoint. Normalisation is the network's to say."""
    return {
        **{name: getattr(opt, name) for name in CLIP_OPTIONS},
        "provenance": read_provenance(Path(opt.frame_dir)),
    }


def check_data(
    opt: Namespace, checkpoint: Mapping[str, Any], source: str, stream: Stream, class_names: Sequence[str] | None
) -> None:
    """Refuse data that a checkpoint's network would misread.

    Args:
        opt: Describes the data.
        checkpoint: Content of the checkpoint; a published one, which knows nothing, fits.
        source: Its name, for errors.
        stream: What the network reads.
        class_names: Class names of the data, None where the classifier is about to be replaced.

    Raises:
        ValueError: If classes, clip geometry or the encoding of flow differ.
    """
    stored = checkpoint.get("class_names")
    if stored and class_names is not None and list(stored) != list(class_names):
        raise ValueError(
            f"{source}: trained on {len(stored)} classes ({', '.join(stored[:3])}, ...), but {opt.annotation_path} "
            f"has {len(class_names)} ({', '.join(class_names[:3])}, ...)"
        )
    recipe = checkpoint.get("recipe", {})
    for name in CLIP_OPTIONS:
        if name in recipe and recipe[name] != getattr(opt, name):
            log.warning("%s: trained with --%s %s, used with %s", source, name, recipe[name], getattr(opt, name))
    if stream == FLOW:
        differences = flow_mismatch(read_provenance(Path(opt.frame_dir)), recipe.get("provenance", {}))
        if differences and not opt.allow_flow_mismatch:
            raise ValueError(
                f"{source}: saw other flow than {opt.frame_dir} holds: {'; '.join(differences)}. Extract the flow "
                "again, or go on with --allow_flow_mismatch"
            )
