"""Streams whose names say otherwise than their checkpoints, which know whether they were distilled."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..shared.score_facts import Source, was_distilled

log = logging.getLogger(__name__)

PLAIN, STUDENT = "rgb", "sfs"  # names of streams of the published options


def tell_swapped(sources: Sequence[Source], states: Sequence[Mapping[str, Any]]) -> None:
    """Warn if the stream "rgb" has a distilled network and "sfs" one that is not, where the checkpoints state it.

    The names, which were given or are those of the positions of `--resume_path1` to 3, stay. `states` are the contents
    of the sources' checkpoints.
    """
    named = {source.name: (source.path, state) for source, state in zip(sources, states, strict=True)}
    if not {PLAIN, STUDENT} <= named.keys():
        return
    (first, plain), (second, student) = named[PLAIN], named[STUDENT]
    if was_distilled(plain) and was_distilled(student) is False:
        log.warning(
            "%s was distilled but is called rgb, and %s was not but is called sfs: names are those of the "
            "positions, or as given, and these two seem swapped",
            *(first, second),
        )
