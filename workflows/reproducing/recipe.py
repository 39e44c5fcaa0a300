"""Recipes of whole experiments: which data, which options of which training, what papers report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from datasets.annotation import SPLITS
from engine.command.cli import did_you_mean

Options = dict[str, str | list[str]]  # of a command, by name, as words

STREAMS = ("rgb", "flow", "sfs")  # in the order of their trainings
SYSTEMS = tuple("+".join(names) for size in (1, 2, 3) for names in combinations(STREAMS, size))  # of the table
FILES = ("config", "pretrain_path")  # of a stream, that have to be there
MAPPINGS = ("extract", "options", *STREAMS, "test", "papers")
KEYS = ("base", "videos", "quarantine", "splits", "training_videos", *MAPPINGS)
REQUIRED = ("dataset", "frame_dir", "annotation_path")  # of "options"
TRUE, FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")  # in any capitals, as YAML has them


@dataclass(frozen=True)
class Recipe:
    """A whole experiment."""

    path: Path  # of its file
    videos: Path | None  # folder of the videos that are extracted; None if frames and flow are there
    quarantine: bool  # whether videos that the audit refuses are left out, in place of ending the experiment
    splits: tuple[int, ...]  # official splits, each with networks of its own
    training_videos: int | None  # of a split, for estimates; None if not stated
    extract: Options  # of the extraction
    options: Options  # of every training, as far as it reads them, and of all that reads the data
    streams: dict[str, Options]  # of the trainings, by `STREAMS`; "config" is a path below the recipe's folder
    test: Options  # of the test
    papers: dict[str, float]  # top-1 in percent that papers report, by system, such as "rgb+sfs"


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, with what its `base` says first.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no recipe; names the file, the key and what is known.
    """
    content = merged(path, ())
    options = content.get("options", {})
    if missing := [name for name in REQUIRED if not options.get(name)]:
        raise ValueError(f"{path}: options lacks {', '.join(missing)}")
    if content.get("extract") and not content.get("videos"):
        raise ValueError(f"{path}: extract: there are no videos to extract; say where they are: videos: FOLDER")
    videos = content.get("training_videos")
    return Recipe(
        path=path,
        videos=Path(content["videos"]) if content.get("videos") else None,
        quarantine=boolean(path, "quarantine", content.get("quarantine", "false")),
        splits=official_splits(path, content.get("splits", ["1"])),
        training_videos=None if videos is None else number(path, "training_videos", videos),
        extract=content.get("extract", {}),
        options=options,
        streams={stream: content.get(stream, {}) for stream in STREAMS},
        test=content.get("test", {}),
        papers={system: percent(path, system, text) for system, text in content.get("papers", {}).items()},
    )


class Loader(yaml.BaseLoader):
    """Makes nothing but text, and takes each key once, of which YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if key.value in seen:
                raise ValueError(f"{key.start_mark.name}: line {key.start_mark.line + 1}: {key.value} is set twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def merged(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Return the content of a recipe over that of its base; paths of configurations become those that they mean."""
    if path in above:
        raise ValueError(f"{path}: is its own base")
    content = dict(entries(path))
    for stream in STREAMS:
        if "config" in content.get(stream, {}):
            content[stream]["config"] = str(path.parent / content[stream]["config"])
    if "base" not in content:
        return content
    base = merged(path.parent / content.pop("base"), (*above, path))
    if content.get("videos") == "":
        base.pop("extract", None)  # frames are there, in place of the base's videos
    return base | content | {key: base.get(key, {}) | content.get(key, {}) for key in MAPPINGS}


def entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a file, every value as the words that are written there; raises as `load_recipe`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such recipe; there are some in configs, see docs/reproduce.md")
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply for a recipe") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping with keys of {', '.join(KEYS)}")
    for key, value in content.items():
        if key not in KEYS:
            raise ValueError(f"{path}: unknown key {key!r}{did_you_mean(key, KEYS)}; known are {', '.join(KEYS)}")
        check_form(path, key, value)
        yield key, value


def check_form(path: Path, key: str, value: Any) -> None:
    """Refuse what is nested in another way than the values of a key are; raises ValueError, which names the key."""
    if key == "splits":
        if not is_list(value):
            raise ValueError(f"{path}: splits: expected a list of numbers, such as [1, 2, 3]")
    elif key not in MAPPINGS:
        if not isinstance(value, str):
            raise ValueError(f"{path}: {key}: expected one value")
    elif not isinstance(value, dict):
        raise ValueError(f"{path}: {key}: expected name: value")
    else:
        for name, inner in value.items():
            single = key == "papers" or name in (*FILES, *REQUIRED)
            if not isinstance(inner, str) and (single or not is_list(inner)):
                raise ValueError(f"{path}: {key}: {name}: expected one value{'' if single else ' or a list of values'}")


def is_list(value: Any) -> bool:
    """Return whether a value is a list of words."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def boolean(path: Path, key: str, text: str) -> bool:
    """Return what a spelling of true or false means."""
    if text.lower() not in (*TRUE, *FALSE):
        raise ValueError(f"{path}: {key}: {text!r} is neither true nor false")
    return text.lower() in TRUE


def official_splits(path: Path, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of splits: one at least, each once."""
    splits = tuple(number(path, "splits", text) for text in texts)
    if not splits:
        raise ValueError(f"{path}: splits: names none; expected some of {', '.join(map(str, SPLITS))}")
    if unknown := set(splits) - set(SPLITS):
        raise ValueError(f"{path}: splits: {min(unknown)} is none of {', '.join(map(str, SPLITS))}")
    if len(set(splits)) < len(splits):
        raise ValueError(f"{path}: splits: {', '.join(texts)} names one twice; name each once")
    return splits


def number(path: Path, key: str, text: str) -> int:
    """Return a positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{path}: {key}: {text!r} is no number from 1")
    return int(text)


def percent(path: Path, system: str, text: str) -> float:
    """Return an accuracy in percent that papers report of a system of the table."""
    if system not in SYSTEMS:
        raise ValueError(
            f"{path}: papers: {system!r} is no system of the table{did_you_mean(system, SYSTEMS)}; there are "
            f"{', '.join(SYSTEMS)}"
        )
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ValueError(f"{path}: papers: {system}: {text!r} is no accuracy in percent")
    return value
