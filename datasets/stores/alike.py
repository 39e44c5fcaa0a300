"""Listed names whose files are called a little otherwise: other capitals, or _ for spaces.

UCF101's lists and files disagree in HandstandPushups and HandStandPushups; tools that fetch Kinetics make
"riding_a_bike" of its class "riding a bike".
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock

FOLDERS = 512  # whose names are kept

log = logging.getLogger(__name__)
lock, said = Lock(), set[Path]()


def find_alike(root: Path, path: str) -> Path:
    """`root / path`, or what lies there under names that differ in capitals or in _ for spaces alone, which is said.

    Returns:
        A path that does not exist, where nothing fits.

    Raises:
        ValueError: If two fit.
    """
    place = root / path
    if place.exists():
        return place
    place = root
    for name in PurePosixPath(path).parts:
        place = only(place, name, [place / name] if (place / name).exists() else alike(place, name)) or place / name
    return place


def alike(folder: Path, name: str, key: Callable[[str], str] = str) -> list[Path]:
    """What a folder holds under a name like this one.

    Args:
        folder: Need not exist.
        name: As listed.
        key: What of the name of a file is compared.
    """
    try:
        stamp = folder.stat().st_mtime_ns
        return [folder / other for other in names_of(folder, stamp, key).get(plain(name), ())]
    except (FileNotFoundError, NotADirectoryError):
        return []


@lru_cache(FOLDERS)
def names_of(folder: Path, stamp: int, key: Callable[[str], str]) -> Mapping[str, Sequence[str]]:
    """Names in a folder by what is compared of them; anew when the folder has changed."""
    names: dict[str, list[str]] = {}
    for place in sorted(folder.iterdir()):
        names.setdefault(plain(key(place.name)), []).append(place.name)
    return names


def plain(name: str) -> str:
    """What names that are alike have in common."""
    return name.casefold().replace(" ", "_")


def only(folder: Path, name: str, places: Sequence[Path], key: Callable[[str], str] = str) -> Path | None:
    """The one place that a listed name may mean; said, once for each folder, if it is called otherwise.

    Raises:
        ValueError: If there are several.
    """
    if len(places) > 1:
        raise ValueError(f"{folder / name}: {places[0].name} and {places[1].name} there both fit; rename the right one")
    place = places[0] if places else None
    with lock:
        if place and key(place.name) != name and folder not in said:
            said.add(folder)
            log.info(
                "%s: %r is called %r there, and is taken for it; so are others that differ in capitals or _ for spaces",
                *(folder, name, key(place.name)),
            )
    return place
