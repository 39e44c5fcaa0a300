"""Videos as packed clips, one file for each stream, as `utils1/pack.py` makes them."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement, whole
from ..decoding.images import Decode
from ..streams import RGB, STORED, Stream
from .layouts import LAYOUTS
from .pack_file import PackFile
from .pack_format import RECORD, SUFFIX
from .provenance import read_record
from .store import Video, counted_streams, inside
from .tolerant_names import find_alike

OPEN = 64  # files that a process keeps open


class PackedVideos:
    """Packed clips, a `store.Store`. A video is located at the path of its files without `.STREAM.clips`.

    Raises ValueError if the record of how they were packed is damaged.
    """

    def __init__(self, root: Path, decode: str = "exact", decoder: str = "auto") -> None:
        self.root, self.decode = root, Decode(decoder, decode == "fast")
        record = read_record(root / RECORD)
        self.flow_lag = int(record.get("flow_lag", 1))
        self.layout = LAYOUTS.get(record.get("layout", ""))
        self.streams = frozenset(self.layout.images if self.layout else STORED)
        self.open = lru_cache(OPEN)(PackFile)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open files, which stay in their process."""
        return {name: value for name, value in vars(self).items() if name != "open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, open=lru_cache(OPEN)(PackFile))

    def locate(self, path: str) -> Path:
        """Find a video; its path is without the ending that the file of each stream adds."""
        inside(self.root, path)
        places = self.layout.places(path) if self.layout else [path]
        for place in places:
            for stream in STORED:
                file = find_alike(self.root, f"{place}.{stream}{SUFFIX}")
                if file.is_file():
                    inside(self.root, file.relative_to(self.root).as_posix())
                    return file.with_name(file.name[: -len(f".{stream}{SUFFIX}")])
        raise FileNotFoundError(f"{file_of(self.root / places[0], RGB.name)}: no such file, the video is not packed")

    def counts(self, folder: Path, needs: Collection[str]) -> dict[str, int]:
        counts = {}
        for stream in counted_streams(needs):
            if file_of(folder, stream).is_file():
                counts[stream] = self.open(file_of(folder, stream)).count
            elif stream in needs:
                raise FileNotFoundError(f"{file_of(folder, stream)}: no such file; pack this stream, too")
            else:
                counts[stream] = 0
        return counts

    def rate(self, folder: Path) -> float:
        """Return frames per second of the folder that was packed."""
        file = next(file for stream in STORED if (file := file_of(folder, stream)).is_file())
        rate = self.open(file).description.rate
        if rate is None:
            raise ValueError(f"{file}: its frame rate was unknown when it was packed")
        return rate

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> NDArray[np.uint8]:
        file = self.open(file_of(video.folder, stream.name))
        return file.show(self.frames(file, video, numbers), stream.channels // file.planes, placement, self.decode)

    def grey(self, video: Video, numbers: Sequence[int]) -> NDArray[np.uint8]:
        file = self.open(file_of(video.folder, RGB.name))
        return file.show(self.frames(file, video, numbers), 1, Placement(whole), self.decode)[0]

    @staticmethod
    def frames(file: PackFile, video: Video, numbers: Sequence[int]) -> list[int]:
        """Return frames of a video by their numbers in its file; raises FileNotFoundError if it does not have one."""
        frames = [int(number) + video.first for number in numbers]
        if frames and not 0 < min(frames) <= max(frames) <= file.count:
            absent = next(frame for frame in frames if not 0 < frame <= file.count)
            raise FileNotFoundError(f"{file.path}: has no frame {absent}, but frames 1 to {file.count}")
        return frames


def file_of(folder: Path, stream: str) -> Path:
    """Return the file of one stream of a located video."""
    return folder.with_name(f"{folder.name}.{stream}{SUFFIX}")
