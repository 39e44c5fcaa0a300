"""Something-Something v1 and v2 (Goyal et al., ICCV 2017): 174 classes whose labels have a side.

something-something-v2-labels.json           {"<template>": "<index>"}; also named labels.json
something-something-v2-train.json            [{"id", "template" with things in [brackets]}]; also train.json
something-something-v2-validation.json       also validation.json
something-something-v1-labels.csv            one template per line, numbered in their order
something-something-v1-train.csv             lines "<id>;<template>"; likewise -validation
<id>/                                        frames; the files of v1 are extracted already
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..lists.annotation_json import read_items, read_members, text_of
from ..lists.annotations import check_path, collect, number_names, parse_index, read_lines
from ..lists.entries import Entry, Listing

SUBSETS = {"train": "train", "test": "validation"}


def list_videos(annotation_path: Path, split: int, subset: str, version: int = 2) -> Listing:
    """List the videos of one subset, as `ListVideos`; the validation list serves as test list, whose labels are secret.

    Of version 1 or 2; either is read from JSON, or from CSV where there is no JSON.
    """
    name = f"something-something-v{version}"
    if version == 1 and not find(annotation_path, name, "labels", "json").exists():
        return list_named(annotation_path, name, subset)
    index = read_templates(find(annotation_path, name, "labels", "json"))
    file = find(annotation_path, name, SUBSETS[subset], "json")
    class_names = sorted(index, key=index.__getitem__)
    return Listing(collect(read_items(file), partial(parse_item, index)), class_names)


list_v1 = partial(list_videos, version=1)


def find(folder: Path, name: str, part: str, kind: str) -> Path:
    """Find an official file by its first or its present name; the first if neither is there."""
    named, plain = folder / f"{name}-{part}.{kind}", folder / f"{part}.{kind}"
    return plain if plain.exists() and not named.exists() else named


def read_templates(path: Path) -> dict[str, int]:
    """Read class indices by template; raises ValueError if they do not go from 0 without a gap."""
    index = {}
    for place, template, number in read_members(path)[1]:
        try:
            index[template] = parse_index(text_of({"index": number}, "index"))
        except ValueError as error:
            raise ValueError(f"{place}: class {template!r}: {error}") from None
    if sorted(index.values()) != list(range(len(index))):
        raise ValueError(f"{path}: class indices must go from 0 to {len(index) - 1} without a gap")
    return index


def parse_item(index: Mapping[str, int], item: dict[str, Any]) -> Entry:
    """Parse a video with its template: "Holding [something]" is the class "Holding something"."""
    video, template = check_path(text_of(item, "id")), text_of(item, "template").replace("[", "").replace("]", "")
    if template not in index:
        raise ValueError(f"video {video}: {template!r} is not in the list of labels")
    return Entry(video, index[template], video)


def list_named(folder: Path, name: str, subset: str) -> Listing:
    """List a subset of a data set whose files are "<name>-labels.csv" and "<name>-train.csv", lines "<id>;<class>"."""
    index = number_names(read_lines(find(folder, name, "labels", "csv")))

    def parse(line: str) -> Entry:
        video, _, label = line.partition(";")
        if label.strip() not in index:
            raise ValueError(f"expected '<id>;<class>' with a class of {name}-labels.csv, got {line[:80]!r}")
        video = check_path(video.strip())
        return Entry(video, index[label.strip()], video)

    return Listing(collect(read_lines(find(folder, name, SUBSETS[subset], "csv")), parse), list(index))
