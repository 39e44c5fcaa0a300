"""Networks that were trained on another split than the one that they are tested on."""

import logging
from collections.abc import Mapping
from typing import Any

from datasets import Annotation
from datasets.annotation import SPLITS

log = logging.getLogger(__name__)


def tell_other_split(state: Mapping[str, Any], source: str, annotation: Annotation) -> dict[str, int]:
    """Warn if a checkpoint states another split of the data set than that of a test list, which was read.

    Returns:
        "trained_split", for the score file, which the result then says, too; {} if it is the same or not stated.
    """
    stored = state.get("options", {})
    trained = stored.get("split")
    if stored.get("dataset") != annotation.dataset or trained not in SPLITS or trained == annotation.split:
        return {}
    if not has_list_of(trained, annotation):
        return {}
    log.warning(
        "--split %d: %s was trained on split %d, so tested videos may be in its training list: test it with --split %d",
        *(annotation.split, source, trained, trained),
    )
    return {"trained_split": trained}


def has_list_of(split: int, annotation: Annotation) -> bool:
    """Return whether another split has a test list of its own; data sets with a single one read the same files."""
    other = Annotation(annotation.path, dataset=annotation.dataset, split=split)
    try:
        other.read("test")
    except FileNotFoundError:  # the files of this split alone were copied here
        return True
    return not other.files.keys() <= annotation.files.keys()
