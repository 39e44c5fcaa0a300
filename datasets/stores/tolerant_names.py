"""Tolerant lookup of listed names: files may differ in capitals, or have _ for spaces.

UCF101's lists and files disagree in HandstandPushups and HandStandPushups; tools that fetch Kinetics make
"riding_a_bike" of its class "riding a bike".
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock

CACHED_FOLDERS = 512  # whose names are kept in memory

log = logging.getLogger(__name__)
lock, logged = Lock(), set[Path]()


def find_alike(root: Path, path: str) -> Path:
    """Find `root / path`, or a path that differs in capitals or in _ for spaces alone, which is logged.

    Where nothing fits the path returned does not exist. Raises ValueError if two fit.
    """
    place = root / path
    if place.exists():
        return place
    place = root
    for name in PurePosixPath(path).parts:
        candidates = [place / name] if (place / name).exists() else find_similar(place, name)
        place = choose(place, name, candidates) or place / name
    return place


def find_similar(folder: Path, name: str, key: Callable[[str], str] = str) -> list[Path]:
    """List the paths in a folder, if there is one, whose names or the `key` of them are like this one."""
    try:
        stamp = folder.stat().st_mtime_ns
        return [folder / similar for similar in names_of(folder, stamp, key).get(normalise(name), ())]
    except (FileNotFoundError, NotADirectoryError):
        return []


@lru_cache(CACHED_FOLDERS)
def names_of(folder: Path, stamp: int, key: Callable[[str], str]) -> Mapping[str, Sequence[str]]:
    """Map normalised names to the names in a folder; anew when the folder has changed."""
    names: dict[str, list[str]] = {}
    for place in sorted(folder.iterdir()):
        names.setdefault(normalise(key(place.name)), []).append(place.name)
    return names


def normalise(name: str) -> str:
    """Normalise a name: names that are alike become equal."""
    return name.casefold().replace(" ", "_")


def choose(folder: Path, name: str, places: Sequence[Path], key: Callable[[str], str] = str) -> Path | None:
    """Return the one place that a listed name may mean; logged, once for each folder, if its name differs.

    Raises ValueError if there are several.
    """
    if len(places) > 1:
        raise ValueError(f"{folder / name}: {places[0].name} and {places[1].name} there both fit; rename the right one")
    place = places[0] if places else None
    with lock:
        if place and key(place.name) != name and folder not in logged:
            logged.add(folder)
            log.info(
                "%s: %r is used for the listed %r; names may differ in capitals, or have _ for spaces",
                *(folder, key(place.name), name),
            )
    return place
