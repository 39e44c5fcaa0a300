"""Video files, read directly: frames are decoded when a clip needs them."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement
from ..decoding.images import Decode, resample_frames
from ..decoding.timing import spent
from ..decoding.video.index import index_video
from ..decoding.video.pictures import Picture
from ..decoding.video.rates import check_rate, mean_rate, ticks_of
from ..decoding.video.reading import read_positions
from ..lists.annotations import VIDEOS, without_extension
from ..streams import FRAMES_ALONE, RGB, Stream
from .store import Video, inside
from .tolerant_names import choose, find_alike, find_similar

log = logging.getLogger(__name__)


class VideoFiles:
    """Videos as files, a `store.Store` of RGB frames, at the file's own size.

    Frame k is what is on the screen at (k - 1) / fps seconds after the first frame, as in an extraction at that rate,
    which however also scales the frames and compresses them once more; without a rate, every frame of a file once.
    """

    flow_lag = 1
    streams = frozenset({RGB.name})

    def __init__(self, root: Path, fps: float | None = 25.0, decoder: str = "auto") -> None:
        check_rate(fps, "--video_fps")
        self.root, self.fps, self.resize = root, fps, Decode(decoder)

    def locate(self, path: str) -> Path:
        """Find the file of a video, under whichever extension and capitals, also with _ for spaces."""
        expected = inside(self.root, path)
        name, folder = expected.name, find_alike(self.root, PurePosixPath(path).parent.as_posix())
        files = [place for suffix in VIDEOS if (place := folder / f"{name}{suffix}").is_file()]
        if len(files) > 1:
            raise ValueError(f"{files[0]}: and {files[1].name} have one name; move one of them away")
        if not files:
            similar = find_similar(folder, name, without_extension)
            files = [place for place in similar if place.suffix.lower() in VIDEOS and place.is_file()]
        if file := choose(folder, name, files, without_extension):
            return inside(self.root, file.relative_to(self.root).as_posix())
        raise FileNotFoundError(f"{expected}: no such video file with any of {' '.join(VIDEOS)}")

    def counts(self, folder: Path, needs: Collection[str]) -> dict[str, int]:
        if "flow" in needs:
            raise ValueError(
                f"{folder}: a video file has no flow: extract it with utils1/extract_frames_flows.py, or read frames "
                f"alone with --modality {FRAMES_ALONE}"
            )
        for note in index_video(folder).notes:
            log.warning("%s: %s", folder, note)
        return {RGB.name: self.count(folder)}

    def count(self, path: Path) -> int:
        """Count the frames of a file at the rate at which they are read."""
        return len(index_video(path).seconds if self.fps is None else ticks_of(path, self.fps))

    def rate(self, folder: Path) -> float:
        return self.fps or mean_rate(index_video(folder))

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> Picture:
        if stream != RGB:
            raise ValueError(f"{video.folder}: a video file has no {stream.name}")
        images: list[Picture] = []
        positions, order = self.positions(video, numbers)
        frames = read_positions(video.folder, positions)
        for _ in positions:
            with spent("decode"):
                frame = next(frames)
            images.append(resample_frames(frame[None], placement(*frame.shape[:2]), self.resize))
        return np.ascontiguousarray(np.concatenate(images, 1)[:, order])

    def grey(self, video: Video, numbers: Sequence[int]) -> Picture:
        positions, order = self.positions(video, numbers)
        with spent("decode"):
            frames = read_positions(video.folder, positions)
            grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]
            return np.stack(grey)[order]

    def positions(self, video: Video, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
        """Return the frames of the file to read, each once and ascending, and which of them each number takes."""
        with spent("read"):
            count = self.count(video.folder)
            ticks = None if self.fps is None else ticks_of(video.folder, self.fps)
        chosen = np.asarray(numbers, np.int64) + video.first - 1
        if (beyond := chosen[(chosen < 0) | (chosen >= count)]).size:
            raise ValueError(f"{video.folder}: frame {beyond[0] + 1} is asked for, but it has {count} from number 1 on")
        unique, order = np.unique(chosen if ticks is None else ticks[chosen], return_inverse=True)
        return unique.tolist(), order
