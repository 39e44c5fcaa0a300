"""Flow on the disk, as JPEG pairs or .flo files: finding it, its encoding, and reading it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.pixels import read_image
from datasets.stores.frames import count_usable_frames
from datasets.stores.layouts import LAYOUTS
from datasets.stores.numbering import list_names, numbers_of
from datasets.stores.provenance import FLOW_FILE, read_record
from flow.encoding import check_bound, decode
from flow.flo import read_flo

FLOW_XY = LAYOUTS["sts"]["flow"]


class Encoding(NamedTuple):
    """Quantisation of flow to grey levels."""

    bound: float
    quantisation: str


def flow_folders(root: Path) -> tuple[list[Path], bool]:
    """Find folders with flow at or below `root`, sorted, and whether it is .flo files.

    Raises FileNotFoundError if there is no such folder; ValueError if there is no flow, or both kinds.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    by_kind: dict[bool, list[Path]] = {False: [], True: []}
    for place, folders, files in os.walk(root, followlinks=True):
        is_flo = not numbers_of(files, FLOW_XY[0])
        if not is_flo or any(name.endswith(".flo") for name in files):
            by_kind[is_flo].append(Path(place))
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
    if bool(by_kind[True]) == bool(by_kind[False]):
        what = f"both of {by_kind[True][0]} and {by_kind[False][0]}; name one of" if by_kind[True] else "neither of"
        raise ValueError(f"{root}: holds {what} .flo files and JPEG pairs {FLOW_XY[0].format(1)}, ...")
    return sorted(by_kind[True] or by_kind[False]), bool(by_kind[True])


def flow_files(folder: Path) -> list[tuple[Path, ...]]:
    """Return flow files 1, 2, ... of a video: (x, y) images, or one .flo file, whose longest number counts.

    Raises ValueError if a number is missing or double.
    """
    names = list_names(folder)
    if numbers_of(names, FLOW_XY[0]):
        count = count_usable_frames(folder, LAYOUTS["sts"], {"flow"})
        return [tuple(folder / pattern.format(i) for pattern in FLOW_XY) for i in range(1, count + 1)]
    numbered: dict[int, Path] = {}
    for name in sorted(names):
        if name.endswith(".flo") and not name.startswith("."):
            number = int(max(re.findall(r"\d+", name), key=len, default="0"))
            if numbered.setdefault(number, folder / name) != folder / name:
                raise ValueError(f"{numbered[number]}: and {name} have the same number")
    for i, (number, path) in enumerate(sorted(numbered.items()), start=1):
        if number != i:
            raise ValueError(f"{path}: number {number} where {i} is next; .flo files count from 1 without gaps")
    return [(path,) for _, path in sorted(numbered.items())]


def read_levels(files: Sequence[Path]) -> NDArray[np.uint8]:
    """Read a pair of images as (H, W, 2)."""
    x, y = (read_image(path, 1)[..., 0] for path in files)
    if x.shape != y.shape:
        raise ValueError(f"{files[1]}: its size is not that of {files[0].name}; extract the video again")
    return np.stack([x, y], -1)


def read_flow(files: Sequence[Path], encoding: Encoding | None) -> NDArray[np.float32]:
    """Read flow (H, W, 2) in pixels; `encoding` is that of a pair of images."""
    return decode(read_levels(files), *encoding) if encoding else read_flo(files[0])


def find_record(folder: Path, file_name: str = FLOW_FILE) -> dict[str, Any]:
    """Read the record in a folder or the nearest one above it, as far up as a root can be; {} if there is none."""
    near = folder.absolute()
    return next((record for place in (near, *near.parents[:3]) if (record := read_record(place / file_name))), {})


def find_encoding(folder: Path, bound: float | None, quantisation: str | None, options: str) -> Encoding:
    """Return the encoding of JPEG pairs below a folder, from flow.json or, where it has none, from the arguments.

    Raises ValueError if neither says it, or they disagree, with the names of the `options` to give.
    """
    record = find_record(folder)
    given = {"bound": bound, "quantisation": quantisation}
    for name, value in given.items():
        if value is None and name not in record:
            raise ValueError(f"{folder}: no {FLOW_FILE} says the {name} of its flow; give {options}")
        if value is not None and record.get(name, value) != value:
            raise ValueError(f"{folder}: its {FLOW_FILE} says {name} {record[name]}, not {value}; leave out {options}")
    stated = given | {name: record[name] for name in given if name in record}
    check_bound(stated["bound"])
    return Encoding(float(stated["bound"]), stated["quantisation"])
