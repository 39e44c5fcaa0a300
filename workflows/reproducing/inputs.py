"""Files that the results of stages depend on: those that options name, lists of videos, what is known of the videos."""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets.lists.any_list import find_family
from datasets.lists.class_names import find_names
from datasets.lists.links import RECORDS
from datasets.records.manifest import MANIFEST
from datasets.records.quarantine import QUARANTINE
from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE

from .recipe import Options

KINDS = (".txt", ".csv", ".tsv", ".json")  # of lists
BESIDE_FRAMES = (*RECORDS, FRAMES_FILE, FLOW_FILE)  # no lists, where a folder holds these and the lists, too
SPLIT = re.compile(r"(split|list)_?0?([1-9])(?!\d)", re.IGNORECASE)  # in names: x_test_split1.txt, trainlist01.txt


def named_files(options: Options) -> list[Path]:
    """Return the files that options name, such as configurations and weights."""
    words = [word for value in options.values() for word in ([value] if isinstance(value, str) else value)]
    return [path for path in map(Path, words) if path.is_file()]


def list_files(annotation: Path, splits: Iterable[int]) -> list[Path]:
    """Return the files that lists of splits may be read from; none if there is no such folder or list."""
    return list(dict.fromkeys(file for split in splits for file in of_split(annotation, split)))


def of_split(annotation: Path, split: int) -> list[Path]:
    """Return the files of a split, with those for all.

    Files of another split are left out where this one has its own: their correction must not spoil its networks.
    """
    if annotation.is_file():
        family = find_family(annotation, split)
        names = find_names(annotation.parent, mini=family.key.startswith("mini_"))
        return list(dict.fromkeys([annotation, *family.files.values(), *([names] if names else [])]))
    files = sorted(annotation.iterdir()) if annotation.is_dir() else []
    lists = {file: split_mark(file.name) for file in files if file.suffix.lower() in KINDS and file.is_file()}
    words = {word for word, number in lists.values() if number == str(split)}
    others = [file for file, (word, number) in lists.items() if word in words and number != str(split)]
    return [file for file in lists if file not in others and file.name not in BESIDE_FRAMES]


def split_mark(name: str) -> tuple[str, str]:
    """Return the word and the number by which the name of a list says its split; "" both if it does not."""
    marks = SPLIT.findall(name)
    return (marks[-1][0].lower(), marks[-1][1]) if marks else ("", "")


def frame_records(frames: Path) -> list[Path]:
    """Return the files, there or not, that say how frames were made, which are sound, and which are left out."""
    return [*extraction_records(frames), frames / MANIFEST, frames / QUARANTINE]


def extraction_records(frames: Path) -> list[Path]:
    """Return the files of an extraction, there or not, that say how frames and flow were made."""
    return [frames / FRAMES_FILE, frames / FLOW_FILE]
