"""Source of a video, as far as its name tells."""

import re
from collections import defaultdict
from collections.abc import Sequence

from .entries import Entry

# What numbers the clips of one source at the end of a name: UCF101's clip after its group, Kinetics' seconds of the
# source, or any other number.
CLIP = re.compile(r"(?:(?<=_g\d\d)_c\d+|_\d{6}_\d{6}|[ ._(-]*\d+\)?)$")


def source_of(path: str) -> str:
    """Return a path without the clip number at its end; all of it if there is none or nothing would be left."""
    if not (path[-1:].isdecimal() or path.endswith(")")):
        return path
    folder, slash, name = path.rpartition("/")
    match = CLIP.search(name)
    return folder + slash + name[: match.start()] if match and match.start() > 0 else path


def ungroup_single_sources(entries: Sequence[Entry]) -> list[Entry]:
    """Make every video its own group in a class that seems to be cut from one source.

    Names like "clip_1", "clip_2" say nothing about sources; as one group no video could be held out.
    """
    groups: dict[int, set[str]] = defaultdict(set)
    for entry in entries:
        groups[entry.label].add(entry.group)
    return [e if len(groups[e.label]) > 1 else e._replace(group=e.path) for e in entries]
