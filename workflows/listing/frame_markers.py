"""Marker files that state the number of frames of a folder, or their rate."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datasets.decoding.video.index import index_video
from datasets.lists.entries import Entry
from datasets.stores.detect import open_store
from datasets.stores.video_files import VideoFiles
from sts_common.files import encoded, write_text

MARKERS = ("n_frames", "fps")


class FrameCounts:
    """Numbers of images of all videos below a root, counted on the disk once for each stream that is asked for."""

    def __init__(self, root: Path, layout: str, entries: Sequence[Entry]) -> None:
        self.store = open_store(layout, root, entries)
        self.paths = sorted({entry.path for entry in entries})
        self.known: dict[str, dict[str, int]] = {}

    def __call__(self, entry: Entry, stream: str) -> int:
        if stream not in self.known:
            with ThreadPoolExecutor(8) as pool:  # listing folders waits for the disk, not for Python
                counts = list(pool.map(lambda path: self.count(path, stream), self.paths))
            self.known[stream] = dict(zip(self.paths, counts, strict=True))
        return self.known[stream][entry.path]

    def count(self, path: str, stream: str) -> int:
        """Count the images of one video."""
        return self.store.counts(self.store.locate(path), {stream})[stream]


def write_marker(
    kind: str, entries: Sequence[Entry], counts: FrameCounts | None, video_dir: Path | None, force: bool
) -> None:
    """Write `n_frames` or `fps` into the folder of every video; raises as `make_lists`."""
    if counts is None or (kind == "fps" and video_dir is None):
        raise ValueError(f"--to {kind} needs --frame_dir" + (" and --video_dir" if kind == "fps" else ""))
    texts: dict[Path, str] = {}
    for entry in entries:
        folder, frames = counts.store.locate(entry.path), counts(entry, "rgb")
        if kind == "n_frames":
            texts[folder / kind] = str(frames)  # their readers expect no line break
        else:
            assert video_dir is not None
            seconds = index_video(VideoFiles(video_dir).locate(entry.path)).length
            texts[folder / kind] = f"{round(frames / seconds, 2)}\n"
    stale = {path for path, text in texts.items() if path.exists() and path.read_bytes() != encoded(text)}
    if stale and not force:
        raise ValueError(f"{min(stale)}: says something else than {texts[min(stale)].strip()}; replace it with --force")
    for path, text in texts.items():
        if path in stale or not path.exists():
            write_text(path, text)
