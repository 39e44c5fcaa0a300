"""Source of a video, as far as its name tells."""

import re
from collections.abc import Sequence

import numpy as np

from .entries import Entry
from .entry_table import EntryTable, by_label
from .text_columns import Texts

# What numbers the clips of one source at the end of a name, which is read from there: UCF101's clip after its group,
# Kinetics' seconds of the source, or any other number.
CLIP = re.compile(r"\d+c_(?=\d\dg_)|\d{6}_\d{6}_|\)?\d+[ ._(-]*")


def source_of(path: str) -> str:
    """Return a path without the clip number at its end; all of it if there is none or nothing would be left."""
    if not (path[-1:].isdecimal() or path.endswith(")")):
        return path
    name = path.rpartition("/")[2]
    match = CLIP.match(name[::-1])
    return path[: -match.end()] if match and match.end() < len(name) else path


def ungroup_single_sources(entries: Sequence[Entry]) -> EntryTable:
    """Make every video its own group in a class that seems to be cut from one source.

    Names like "clip_1", "clip_2" say nothing about sources; as one group no video could be held out.
    """
    table = EntryTable.of(entries)
    groups, paths = table.groups, table.paths
    is_single = np.zeros(len(table), bool)
    for rows in by_label(table):
        first = groups[int(rows[0])]
        is_single[rows] = all(group == first for group in groups.take(rows))
    starts = np.where(is_single, paths.starts, groups.starts)
    lengths = np.where(is_single, paths.lengths, groups.lengths)
    return EntryTable(paths, table.labels, Texts(groups.data, starts, lengths), table.segments)
