"""Videos as folders of frames."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement, whole
from ..decoding.images import Decode, read_images
from ..streams import RGB, Stream
from .layouts import FPS, LAYOUTS, Layout
from .numbering import Plane, count_numbers, list_names, number_in, numbers_of, stated_counts
from .provenance import FRAMES_FILE, read_record
from .store import Video, counted_streams, inside, usable_frames
from .tolerant_names import find_alike


class FrameFolders:
    """Videos as folders of JPEG images, a `store.Store`, in a layout or the published one of a name."""

    def __init__(self, root: Path, layout: Layout | str = "sts", decode: str = "exact", decoder: str = "auto") -> None:
        self.root, self.decode = root, Decode(decoder, decode == "fast")
        self.layout = LAYOUTS[layout] if isinstance(layout, str) else layout
        self.flow_lag = self.layout.lags[0]
        self.streams = frozenset(self.layout.images)

    def locate(self, path: str) -> Path:
        """Find the folder of a video; if its frames are absent, that of its flow."""
        inside(self.root, path)
        places = self.layout.places(path)
        video_folder = next((place for path in places if (place := find_alike(self.root, path)).is_dir()), None)
        if video_folder is None:
            raise FileNotFoundError(f"{self.root / places[0]}: no such folder, the video is not extracted")
        return self.inside(video_folder)

    def inside(self, place: Path) -> Path:
        """Check that a place below the root stays there after links."""
        return inside(self.root, place.relative_to(self.root).as_posix())

    def planes(self, folder: Path, stream: str) -> list[Plane]:
        """Return where the images of a located video lie."""
        planes = []
        for pattern in self.layout[stream]:
            prefix = pattern.prefix.replace("{name}", folder.name)
            other = pattern.folder.replace("{name}", folder.name)
            place = self.inside(find_alike(self.root, other)) if other else folder
            planes.append(Plane(place, pattern._replace(prefix=prefix)))
        return planes

    def streams_begun(self, folder: Path) -> int:
        """Count the streams of a located video that have a first image, and none before it."""
        first = self.layout.first
        planes = [self.planes(folder, stream) for stream in self.layout.images]
        return sum(all(p.path(first).is_file() and not p.path(first - 1).exists() for p in group) for group in planes)

    def counts(self, folder: Path, needs: Collection[str]) -> dict[str, int]:
        """Count images by stream. Where flow is needed, frames without a flow do not count."""
        listed: dict[Path, set[str]] = {folder: list_names(folder)}
        stated = stated_counts(folder, listed[folder])
        counts = {}
        for stream in counted_streams(needs):
            planes = self.planes(folder, stream)
            for plane in planes:
                if plane.folder not in listed:
                    listed[plane.folder] = list_names(plane.folder) if plane.folder.is_dir() else set()
            numbers = [numbers_of(listed[plane.folder], plane.pattern) for plane in planes]
            counts[stream] = count_numbers(planes, numbers, self.layout.first)
            if stream in needs and not counts[stream]:
                raise FileNotFoundError(self.absent(folder, stream, planes))
            if 0 < counts[stream] < stated.get(stream, 0):
                missing = planes[0].path(counts[stream] + self.layout.first)
                raise ValueError(f"{missing}: missing, the video was extracted to {stated[stream]} {stream} images")
        return self.fitting(folder, counts) if counts["rgb"] and "flow" in counts else counts

    def absent(self, folder: Path, stream: str, planes: Sequence[Plane]) -> str:
        """Describe a stream without images."""
        if not planes:
            return f"{folder}: no {stream} images, which this layout does not know"
        where = f" in {planes[0].folder}" if planes[0].folder != folder else ""
        return f"{folder}: no {stream} images ({planes[0].pattern.format(self.layout.first)}, ...{where})"

    def fitting(self, folder: Path, counts: dict[str, int]) -> dict[str, int]:
        """Return the counts of frames and flow, as few frames as the first lag means.

        Raises ValueError, which names the file that is missing, if they do not fit each other.
        """
        frames, flows = counts["rgb"], counts["flow"]
        if frames - flows in self.layout.lags:
            return {"rgb": flows + self.flow_lag, "flow": flows}
        short = "rgb" if frames < flows + max(self.layout.lags) else "flow"
        missing = self.planes(folder, short)[0].path(counts[short] + self.layout.first)
        lags = " or ".join(f"N - {lag}" if lag else "N" for lag in self.layout.lags)
        raise ValueError(
            f"{missing}: missing; there are {frames} frames and {flows} flow images, but N frames have {lags} flows"
        )

    def rate(self, folder: Path) -> float:
        """Return frames per second, by the `fps` file of the video or the record of the extraction."""
        file = folder / FPS
        rate = number_in(file) if file.is_file() else read_record(self.root / FRAMES_FILE).get("fps")
        if not isinstance(rate, int | float) or not 0 < rate < 1000:
            raise ValueError(
                f"{file}: neither it nor {self.root / FRAMES_FILE} states the frame rate; write it into that file"
            )
        return float(rate)

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> NDArray[np.uint8]:
        planes = self.files(video, stream.name, numbers)
        return read_images(planes, stream.channels // len(planes), placement, self.decode)

    def grey(self, video: Video, numbers: Sequence[int]) -> NDArray[np.uint8]:
        return read_images(self.files(video, RGB.name, numbers), 1, whole, self.decode)[0]

    def paths(self, video: Video, stream: str, numbers: Iterable[int]) -> list[list[Path]]:
        """Return the files of some frames by image plane."""
        return [[Path(file) for file in plane] for plane in self.files(video, stream, numbers)]

    def files(self, video: Video, stream: str, numbers: Iterable[int]) -> list[list[Any]]:
        """Return `paths` as strings: every clip has dozens, and to make a `Path` takes ten times as long."""
        numbers = [number + video.first + self.layout.first - 1 for number in numbers]
        planes = self.planes(video.folder, stream)
        if not planes:
            raise ValueError(f"{video.folder}: this layout has no {stream} images")
        return [[f"{plane.folder}{os.sep}{plane.pattern.format(i)}" for i in numbers] for plane in planes]


def count_usable_frames(folder: Path, layout: Layout, needs: Collection[str]) -> int:
    """Count the usable frames 1 to n of the video in a folder; raises as `FrameFolders.counts`.

    Flow i leads from frame i to i + 1, so a video of N frames has N - 1 flows, and N - 1 usable frames where flow is
    needed. Where it is not, it is not looked at.
    """
    store = FrameFolders(folder.parent, layout)
    return usable_frames(store.counts(folder, needs), store.flow_lag)
