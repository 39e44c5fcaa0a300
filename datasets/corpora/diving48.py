"""Diving48 (Li et al., ECCV 2018): 48 dives, told apart by take-off, flight and entry.

Diving48_vocab.json                          [["Back", "15som", "05Twis", "FREE"], ...], numbered in their order
Diving48_V2_train.json, Diving48_V2_test.json   [{"vid_name", "label", "start_frame", "end_frame"}]; V1 without "_V2"
<vid_name>/                                  frames; the published videos are cut already, so their frames are not used
"""

from pathlib import Path
from typing import Any

from ..lists.annotation_json import read_items, read_json, text_of
from ..lists.annotations import check_path, collect, parse_index
from ..lists.entries import Entry, Listing
from ..lists.source_groups import source_of


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, as `ListVideos`. Dives of one competition are one group."""
    class_names = read_dives(annotation_path / "Diving48_vocab.json")
    second, first = (annotation_path / f"Diving48_{version}{subset}.json" for version in ("V2_", ""))

    def parse(item: dict[str, Any]) -> Entry:
        video = check_path(text_of(item, "vid_name"))
        return Entry(video, parse_index(text_of(item, "label"), count=len(class_names)), source_of(video))

    file = first if first.exists() and not second.exists() else second
    return Listing(collect(read_items(file), parse), class_names)


def read_dives(path: Path) -> list[str]:
    """Read class names by index: the parts of a dive, joined by spaces."""
    value = read_json(path)
    if not isinstance(value, list) or not all(isinstance(dive, list) and dive for dive in value):
        raise ValueError(f"{path}:1: expected a list of dives, each a list of its parts")
    return [" ".join(str(part) for part in dive) for dive in value]
