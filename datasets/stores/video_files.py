"""Video files, read directly: frames are decoded when a clip needs them."""

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..annotations import VIDEOS, without_extension
from ..clock import spent
from ..decode import MAX_GAP
from ..images import Decode, resample_frames
from ..streams import RGB, Stream
from ..views import Placement
from .alike import alike, find_alike, only
from .store import Video, inside
from .video_decode import VIDEO_DECODERS, Picture, load_torchcodec
from .video_index import VideoIndex, index_video


class VideoFiles:
    """Videos as files, a `store.Store` of RGB frames, at the file's own size.

    Frame k is what is on the screen at (k - 1) / fps seconds after the first frame, as in an extraction at that rate,
    which however also scales the frames and compresses them once more.

    Args:
        root: Folder of all videos.
        fps: Frames per second; None reads every frame of a file once.
        decoder: What resizes frames, see `images`.
        video_decoder: "pyav", "torchcodec" if that is installed, or "auto", which is PyAV: it decodes as the extraction
            does.
    """

    flow_lag = 1
    streams = frozenset({RGB.name})

    def __init__(
        self, root: Path, fps: float | None = 25.0, decoder: str = "auto", video_decoder: str = "auto"
    ) -> None:
        if fps is not None and not 0 < fps < 1000:
            raise ValueError(f"--video_fps must be between 0 and 1000, or 0 for each video's own, got {fps}")
        if video_decoder not in VIDEO_DECODERS:
            raise ValueError(f"--video_decoder {video_decoder}: is none of {', '.join(VIDEO_DECODERS)}")
        if video_decoder == "torchcodec":
            load_torchcodec()
        self.root, self.fps, self.resize = root, fps, Decode(decoder)
        self.decode = VIDEO_DECODERS[video_decoder]

    def locate(self, path: str) -> Path:
        """The file of a video, under whichever extension and capitals, also with _ for spaces."""
        expected = inside(self.root, path)
        name, folder = expected.name, find_alike(self.root, PurePosixPath(path).parent.as_posix())
        files = [place for suffix in VIDEOS if (place := folder / f"{name}{suffix}").is_file()]
        if len(files) > 1:
            raise ValueError(f"{files[0]}: and {files[1].name} have one name; move one of them away")
        if not files:
            others = alike(folder, name, without_extension)
            files = [place for place in others if place.suffix.lower() in VIDEOS and place.is_file()]
        if file := only(folder, name, files, without_extension):
            return inside(self.root, file.relative_to(self.root).as_posix())
        raise FileNotFoundError(f"{expected}: no such video file with any of {' '.join(VIDEOS)}")

    def counts(self, folder: Path, needs: Collection[str]) -> dict[str, int]:
        """Frames of a located video."""
        if "flow" in needs:
            raise ValueError(
                f"{folder}: a video file has no flow: extract it with utils1/extract_frames_flows.py, or read frames "
                "alone with --modality RGB --only_RGB"
            )
        index = index_video(folder)
        return {"rgb": len(index.seconds) if self.fps is None else nearest_ticks(index, self.fps, folder)[1]}

    def rate(self, folder: Path) -> float:
        """The rate at which frames are read."""
        return self.fps or 1 / index_video(folder).period

    def read(self, video: Video, stream: Stream, numbers: Sequence[int], placement: Placement) -> Picture:
        if stream != RGB:
            raise ValueError(f"{video.folder}: a video file has no {stream.name}")
        images: list[Picture] = []
        wanted, order = self.wanted(video, numbers)
        frames = self.decode(video.folder, wanted)
        for _ in wanted:
            with spent("decode"):
                frame = next(frames)
            images.append(resample_frames(frame[None], placement(*frame.shape[:2]), self.resize))
        return np.ascontiguousarray(np.concatenate(images, 1)[:, order])

    def grey(self, video: Video, numbers: Sequence[int]) -> Picture:
        wanted, order = self.wanted(video, numbers)
        with spent("decode"):
            frames = self.decode(video.folder, wanted)
            grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]
            return np.stack(grey)[order]

    def wanted(self, video: Video, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
        """Which frames of the file are shown, each once and ascending, and which of them each number takes."""
        with spent("read"):
            index = index_video(video.folder)
        ticks = np.asarray(numbers, np.int64) + video.first - 1
        if self.fps is None:
            positions, count = ticks, len(index.seconds)
        else:
            starts, count = nearest_ticks(index, self.fps, video.folder)
            positions = np.searchsorted(starts, ticks, side="right") - 1
        if (beyond := ticks[(ticks < 0) | (ticks >= count)]).size:
            raise ValueError(f"{video.folder}: frame {beyond[0] + 1} is asked for, but it has {count} from number 1 on")
        each, order = np.unique(positions, return_inverse=True)
        return each.tolist(), order


def nearest_ticks(index: VideoIndex, fps: float, path: Path) -> tuple[NDArray[np.int64], int]:
    """The tick of `fps` nearest to each frame, and how many ticks the video lasts: as `decode.resample` has it.

    Raises:
        ValueError: If the times cannot be right.
    """
    seconds = index.seconds
    gap = np.diff(seconds).max(initial=0)
    if gap > MAX_GAP:
        raise ValueError(f"{path}: {gap:.0f} s without a frame; its timestamps are damaged")
    ends = np.append(seconds, seconds[-1] + index.period)
    ticks = np.floor(ends * fps + 0.5 + 1e-6).astype(np.int64)
    return ticks[:-1], max(int(ticks[-1]), int(ticks[-2]), 1)
