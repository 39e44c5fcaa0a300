"""ActivityNet, and every data set with an annotation in its JSON form.

activity_net.v1-3.min.json   {"taxonomy": [{"nodeId", "nodeName", "parentId"}], "database": {"<youtube id>":
                             {"subset", "annotations": [{"segment": [start, end], "label"}]}}}; segments in seconds
v_<youtube id>/              frames; classes are the leaves of the taxonomy, in its order

kinetics.json, ucf101_01.json, hmdb51_1.json   {"labels": [...], "database": {"<video>":
                             {"subset", "annotations": {"label", "segment": [1, frames + 1]}}}}; segments may lack
<class>/<video>/             frames; "path" beside "label" says another place below the root
"""

import logging
import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..lists.annotation_json import read_members, text_of
from ..lists.annotations import check_path, collect, number_names
from ..lists.entries import Entry, Listing, Segment
from ..lists.source_groups import source_of

SUBSETS = {"train": ("training", "train"), "test": ("validation", "val")}
Item = tuple[str, dict[str, Any], bool]  # the video, one of its annotations, and whether its segment is in seconds

log = logging.getLogger(__name__)


def list_videos(annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one subset, in ActivityNet their segments; the "validation" videos serve as test list.

    Arguments and errors are those of `ListVideos`; of a folder the split tells which file, where their names end in _1,
    _2, _3 or _01, _02, _03.
    """
    file = find_file(annotation_path, split)
    data, members = read_members(file, "database")
    index = number_names((f"{file}:1", name) for name in read_labels(file, data))
    rows = [row for row in annotations_of(members, SUBSETS[subset]) if not is_empty(row)]
    return Listing(collect(rows, partial(parse, index, "taxonomy" in data)), list(index))


def find_file(path: Path, split: int) -> Path:
    """Find the JSON file of a folder, or of one of its splits.

    Raises FileNotFoundError if there is none, ValueError if there are several.
    """
    if not path.is_dir():
        return path
    matches = sorted(path.glob("*.json"))
    matches = [file for file in matches if re.search(rf"_0?{split}$", file.stem)] or matches
    if not matches:
        raise FileNotFoundError(f"{path}: no .json file; check --annotation_path")
    if len(matches) > 1:
        names = ", ".join(file.name for file in matches)
        raise ValueError(f"{path}: holds {names}; give one of them as --annotation_path")
    return matches[0]


def read_labels(file: Path, data: dict[str, Any]) -> Iterator[str]:
    """Read class names: "labels", or the leaves of "taxonomy"."""
    nodes = data.get("taxonomy", data.get("labels"))
    if not isinstance(nodes, list):
        raise ValueError(f"{file}:1: expected a list 'labels' or 'taxonomy'")
    if "taxonomy" not in data:
        nodes = [{"nodeName": name} for name in nodes]
    parents = {str(node.get("parentId")) for node in nodes if isinstance(node, dict)}
    for node in nodes:
        try:
            name = text_of(node, "nodeName")
        except ValueError as error:
            raise ValueError(f"{file}:1: a class {error}") from None
        if str(node.get("nodeId", "")) not in parents:
            yield name


def annotations_of(members: Iterable[tuple[str, str, Any]], subsets: tuple[str, ...]) -> Iterator[tuple[str, Item]]:
    """Yield the annotations of the videos of a subset."""
    for place, name, video in members:
        annotations = video.get("annotations") if isinstance(video, dict) else None
        is_list = isinstance(annotations, list)
        if not isinstance(annotations, list):
            annotations = [annotations]
        if not all(isinstance(annotation, dict) for annotation in annotations):
            raise ValueError(f"{place}: {name!r} lacks 'annotations'")
        if video.get("subset") in subsets:
            yield from ((place, (name, annotation, is_list)) for annotation in annotations)


def is_empty(row: tuple[str, Item]) -> bool:
    """Whether a segment in seconds has no length. Some annotators clicked twice; it is left out with a warning."""
    place, (name, annotation, seconds) = row
    segment = annotation.get("segment")
    empty = seconds and isinstance(segment, list) and len(segment) == 2 and segment[0] == segment[1]
    if empty:
        log.warning("%s: a segment of %r has no length and is left out", place, name)
    return empty


def parse(index: dict[str, int], of_activitynet: bool, item: Item) -> Entry:
    """Parse an annotation into an entry."""
    name, annotation, seconds = item
    label = text_of(annotation, "label")
    if label not in index:
        raise ValueError(f"{name!r}: {label!r} is not among the labels")
    default_path = f"{label}/{name}"
    if of_activitynet:  # whose crawler puts v_ before the 11 characters of an identifier, which may begin so itself
        default_path = name if name.startswith("v_") and len(name) == 13 else f"v_{name}"
    path = check_path(text_of(annotation, "path") if "path" in annotation else default_path)
    return Entry(path, index[label], source_of(path), parse_segment(name, annotation.get("segment"), seconds))


def parse_segment(name: str, segment: Any, seconds: bool) -> Segment | None:
    """Parse a segment: seconds, or frames counted from 1 of which the last is not included.

    Raises ValueError if it is not two numbers, the second larger.
    """
    if segment is None:
        return None
    if not isinstance(segment, list) or len(segment) != 2 or not all(map(is_number, segment)):
        raise ValueError(f"{name!r}: segment {segment!r} is not a pair of numbers")
    start, end = segment
    if not (0 if seconds else 1) <= start < end:
        raise ValueError(f"{name!r}: segment {segment!r} does not go forwards from the start of the video")
    if seconds:
        return Segment(float(start), float(end), "seconds")
    return Segment(math.floor(start), math.ceil(end) - 1, "frames")


def is_number(value: Any) -> bool:
    """Whether a value can be a time or a frame."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
