"""Warnings where a test does not suit what its checkpoints state of their training."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from datasets import Annotation
from datasets.annotation import SPLITS

from ..shared.score_facts import was_distilled

log = logging.getLogger(__name__)


def warn_of_swapped(streams: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """Warn if the stream "rgb" has a distilled network and "sfs" one that is not, where the checkpoints state it.

    The names, which were given or are those of the positions of `--resume_path1` to 3, stay. Each stream has the path
    and the content of its checkpoint.
    """
    if not {"rgb", "sfs"} <= streams.keys():
        return
    (first, plain), (second, student) = streams["rgb"], streams["sfs"]
    if was_distilled(plain) and was_distilled(student) is False:
        log.warning(
            "%s was distilled but is called rgb, and %s was not but is called sfs: names are those of the "
            "positions, or as given, and these two seem swapped",
            *(first, second),
        )


def warn_of_other_split(
    state: Mapping[str, Any], source: str, annotation: Annotation, splits: Collection[int] = ()
) -> dict[str, int]:
    """Warn if a checkpoint states another split of the data set than that of a test list, which was read.

    `splits` are those that the networks which are tested together state.

    Returns:
        "trained_split", for the score file, which the result then says, too; {} if it is the same or not stated.
    """
    options = state.get("options", {})
    trained = options.get("split")
    if options.get("dataset") != annotation.dataset or trained not in SPLITS or trained == annotation.split:
        return {}
    if not has_list_of(trained, annotation):
        return {}
    cure = "fuse networks of one split" if len(splits) > 1 else f"test it with --split {trained}"
    log.warning(
        "--split %d: %s was trained on split %d, so tested videos may be in its training list: %s",
        *(annotation.split, source, trained, cure),
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
