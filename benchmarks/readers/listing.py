"""Time to find the videos of a list: by their folders, and by a manifest."""

import time
from pathlib import Path
from typing import Any

from benchmarks.synthetic.videos import RGB_NAME
from datasets.lists.entries import Entry
from datasets.records.lookup import find_videos
from datasets.records.manifest import Facts, read_manifest, write_manifest
from datasets.stores.frames import FrameFolders

FRAMES = 60


def listing(root: Path, videos: int) -> dict[str, Any]:
    """Measure wall-clock seconds for a list of videos, each a folder of empty files."""
    paths = [f"class{number % 100:03d}/video{number:05d}" for number in range(videos)]
    for path in paths:
        (root / path).mkdir(parents=True)
        for frame in range(1, FRAMES + 1):
            (root / path / RGB_NAME.format(frame)).touch()
    entries = [Entry(path, int(path[5:8]), path) for path in paths]
    store = FrameFolders(root, "sts")
    write_manifest(root, "sts", (Facts(path, None, FRAMES, None, 1, 341, 256, 25.0, path) for path in paths))

    def by_manifest() -> int:
        manifest = read_manifest(root)
        assert manifest is not None
        manifest.check(store)
        return len(find_videos(entries, store, needs={"rgb"}, located=manifest.located))

    def by_folders() -> int:
        return len(find_videos(entries, store, needs={"rgb"}))

    seconds = {}
    for name, find in (("folders", by_folders), ("manifest", by_manifest)):
        start = time.perf_counter()
        assert find() == videos
        seconds[name] = time.perf_counter() - start
    return {"videos": videos, "frames": FRAMES, "seconds": seconds}
